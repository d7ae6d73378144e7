"""A schema in a few words, for people."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

REF: Final = re.compile("#/components/(schemas|responses)/([A-Za-z0-9]+)")

Part = Mapping[str, Any]


def kind_of(schema: Part) -> Iterator[str]:
    """Yield words; one that begins with `#` is the name of a schema."""
    if (target := REF.fullmatch(schema.get("$ref", ""))) is not None:
        yield f"#{target[2]}"
    elif "anyOf" in schema:
        for at, one in enumerate(schema["anyOf"]):
            yield " or " if at else ""
            yield from kind_of(one)
    elif "const" in schema or "enum" in schema:
        known = [schema["const"]] if "const" in schema else schema["enum"]
        yield " · ".join(one if isinstance(one, str) else json.dumps(one) for one in known)
    else:
        kinds = schema.get("type", "anything")
        for at, one in enumerate([kinds] if isinstance(kinds, str) else kinds):
            yield " or " if at else ""
            yield from _plain(one, schema)


def _plain(kind: str, schema: Part) -> Iterator[str]:
    if kind == "array":
        yield "list"
        if items := schema.get("items"):
            yield " of "
            yield from kind_of(items)
        yield _span(schema.get("minItems"), schema.get("maxItems"), "")
        return
    yield kind
    if kind == "string":
        yield _span(schema.get("minLength"), schema.get("maxLength"), " characters")
        if "format" in schema:
            yield f" ({schema['format']})"
        if "contentSchema" in schema:
            yield " that holds "
            yield from kind_of(schema["contentSchema"])
    elif kind in ("integer", "number"):
        yield _span(schema.get("minimum"), schema.get("maximum"), "")


def _span(least: float | None, most: float | None, unit: str) -> str:
    if least is not None and most is not None:
        return f", {least:,} to {most:,}{unit}"
    if most is not None:
        return f", at most {most:,}{unit}"
    return f", {least:,} or more{unit}" if least else ""


def members_of(schema: Part) -> Iterator[tuple[str, Part, bool]]:
    """Yield name, schema and whether it is required of the members of an object, or of those in a list or a union."""
    for inner in (schema, *schema.get("anyOf", ()), schema.get("items", {})):
        required = inner.get("required", ())
        for name, member in inner.get("properties", {}).items():
            yield name, member, name in required
    if "items" not in schema:
        return
    if "items" in schema["items"]:
        yield from members_of(schema["items"])
