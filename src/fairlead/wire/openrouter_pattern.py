"""A stream's events are mostly alike: they differ in a piece of text, and so does what becomes of them.

So one event of a kind is taken apart, with a mark in place of its text, and the others are put together from what came
of that. It is three times as fast (2 µs instead of 6), and cannot differ: whatever is not certain to be the same, as
text with quotes or with escapes by number, is left to the slow way.
"""

import re
from collections.abc import Callable
from typing import Final

_TEXT = re.compile(rb'"(?:content|reasoning|reasoning_content)":[ ]?"((?:[^"\\]|\\.)+)"')
_MARK: Final = b"~~mark of the text~~"


class Pattern:
    """The events of one kind."""

    __slots__ = ("_after", "_before", "_least", "_parts")

    def __init__(self, before: bytes, after: bytes, parts: list[bytes]) -> None:
        self._before = before
        self._after = after
        self._least = len(before) + len(after)
        self._parts = parts

    def fits(self, event: bytes) -> bool:
        """Whether an event is of this kind."""
        return event.startswith(self._before) and event.endswith(self._after) and len(event) > self._least

    def adapted(self, event: bytes) -> bytes | None:
        """Return what becomes of an event of this kind; None where that is not certain."""
        text = event[len(self._before) : -len(self._after)]
        if b'"' in text or b"\\u" in text or b"\n" in text or text.endswith(b"\\"):
            return None
        return text.join(self._parts)


def learned(event: bytes, said: bytes, adapt: Callable[[bytes], bytes]) -> Pattern | None:
    """Return the kind of an event that has become `said`; None if it has no text, or several.

    `adapt` is the slow way.
    """
    found = list(_TEXT.finditer(event))
    if len(found) != 1 or _MARK in event:
        return None
    before, after = event[: found[0].start(1)], event[found[0].end(1) :]
    parts = adapt(b"%b%b%b" % (before, _MARK, after)).split(_MARK)
    return Pattern(before, after, parts) if found[0][1].join(parts) == said else None
