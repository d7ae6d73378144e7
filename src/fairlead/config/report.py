"""The effective configuration, for people and for programs. Secrets are masked already; nothing is printed here."""

import json

from fairlead.config.load import Loaded

Row = tuple[str, str, str]
"""Variable, value, source."""


def effective(loaded: Loaded) -> list[Row]:
    """Every setting with its value and source, then the variables of providers that are set."""
    return [(variable, origin.value, origin.source) for variable, origin in loaded.origins.items()]


def as_text(rows: list[Row]) -> str:
    """A table with aligned columns, one row a line."""
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    lines = (f"{name:<{widths[0]}}  {value:<{widths[1]}}  {source}".rstrip() for name, value, source in rows)
    return "\n".join(lines)


def as_json(rows: list[Row]) -> str:
    """A list of objects with the members `variable`, `value` and `source`."""
    objects = [{"variable": variable, "value": value, "source": source} for variable, value, source in rows]
    return json.dumps(objects, ensure_ascii=False, indent=2)
