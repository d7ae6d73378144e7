"""What a query string asks for, read by name and by kind.

A value that cannot be meant is refused (ApiError 400) in words that name the parameter and what it may be; one that is
empty counts as not given. Names that nobody reads are let pass: OpenRouter adds some without notice.
"""

import re
from collections.abc import Collection
from decimal import Decimal

from starlette.datastructures import QueryParams

from fairlead.errors import ApiError

_WHOLE = re.compile(r"[0-9]{1,15}")
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,3})?")
"""With as many digits as any float is written with (0.9098900846618267 has sixteen)."""
_SHOWN_CHARS = 60


class Query:
    """Of a parameter that is given twice the last counts; lists are joined."""

    def __init__(self, given: QueryParams) -> None:
        self._given = given

    def text(self, name: str) -> str:
        return self._given.get(name, "").strip()

    def words(self, name: str, known: Collection[str] | None = None) -> tuple[str, ...]:
        """Return a comma-separated list, in lower case; `known` are the words that it may have."""
        given = ",".join(self._given.getlist(name)).lower().split(",")
        words = tuple(dict.fromkeys(word for part in given if (word := part.strip())))
        for word in words:
            if known is not None and word not in known:
                raise _refusal(name, word, f"send a comma-separated list of {_listed(known)}")
        return words

    def choice(self, name: str, known: Collection[str]) -> str:
        """Return one of the `known` words, "" if none is given."""
        word = self.text(name).lower()
        if word and word not in known:
            raise _refusal(name, word, f"send one of {_listed(known)}")
        return word

    def flag(self, name: str) -> bool | None:
        word = self.choice(name, ("true", "false"))
        return word == "true" if word else None

    def whole(self, name: str, least: int = 0, most: int | None = None) -> int | None:
        text = self.text(name)
        if not text:
            return None
        number = int(text) if _WHOLE.fullmatch(text) else -1
        if number < least or (most is not None and number > most):
            span = f"from {least} to {most}" if most is not None else f"of {least} or more"
            raise _refusal(name, text, f"send a whole number {span}")
        return number

    def number(self, name: str, *, least: int | None = 0, most: int | None = None) -> Decimal | None:
        text = self.text(name)
        if not text:
            return None
        number = Decimal(text) if _NUMBER.fullmatch(text) else None
        if number is None or (least is not None and number < least) or (most is not None and number > most):
            upper = "" if most is None else f" to {most}"
            raise _refusal(name, text, "send a number" + ("" if least is None else f" from {least}{upper or ' up'}"))
        return number


def _refusal(name: str, value: str, remedy: str) -> ApiError:
    shown = value if len(value) <= _SHOWN_CHARS else f"{value[:_SHOWN_CHARS]}…"
    return ApiError(400, f"'{name}' is \"{shown}\"; {remedy}", param=name)


def _listed(known: Collection[str]) -> str:
    return ", ".join(known if isinstance(known, tuple) else sorted(known))
