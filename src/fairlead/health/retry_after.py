"""How long a provider asks to be left alone, in whichever header it says so."""

import re
from collections.abc import Callable

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_WHAT = ("-requests", "-tokens", "")
_UNIX_S, _UNIX_MS = 1e9, 1e12
"""A reset beyond these is no duration but a time (OpenRouter's is in milliseconds)."""


def asked_wait(header: Callable[[bytes], bytes], status: int, now_unix: float) -> str | None:
    """Return the wait as a value of Retry-After: seconds, or the date as it came; None if none is asked for.

    `header` returns the value of a header, b"" if there is none. `retry-after-ms` is the most exact (OpenAI, Azure). Of
    a 429 without either, `x-ratelimit-reset-…` tells it (OpenAI, Groq: `6m0s`, `20ms`), but only of what is used up:
    the others come with every reply.
    """
    if _NUMBER.fullmatch(in_ms := _text(header(b"retry-after-ms"))):
        return f"{float(in_ms) / 1e3:.3f}"
    if told := _text(header(b"retry-after")):
        return told
    if status != 429:
        return None
    waits = [
        _seconds(_text(header(f"x-ratelimit-reset{what}".encode())), now_unix)
        for what in _WHAT
        if _text(header(f"x-ratelimit-remaining{what}".encode())) in ("0", "0.0")
    ]
    known = [wait_s for wait_s in waits if wait_s is not None]
    return f"{max(known):.3f}" if known else None


def _text(value: bytes) -> str:
    return value[:64].decode("latin-1").strip()


def _seconds(text: str, now_unix: float) -> float | None:
    if _NUMBER.fullmatch(text):
        number = float(text)
        number = number / 1e3 if number >= _UNIX_MS else number
        return max(number - now_unix, 0.0) if number >= _UNIX_S else number
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        return None
    hours, minutes, seconds, thousandths = (float(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds + thousandths / 1e3
