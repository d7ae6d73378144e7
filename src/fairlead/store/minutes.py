"""The fleet's minutes of uptime, in Redis: their part of what `percentiles.py` sends and gets.

    fl:1:{<group>}:minutes:<endpoint>   string, 13 KB: what each minute of a day is, and what makes it so

An endpoint without an attempt for a day has none. Workers of a version that knows of no minutes leave these keys alone.
"""

import math
import struct
from collections.abc import Mapping
from pathlib import Path

from fairlead.health.minutes import BAD, DAY, GOOD, GOOD_PERCENT, LEAST_ATTEMPTS, MINUTE_S, UNKNOWN, Day

CONSTANTS: Mapping[str, object] = {
    "DAY": DAY,
    "DAY_TTL_S": round(DAY * MINUTE_S + 3600.0),  # from its latest minute on; longer, so that no clock cuts it short
    "MINUTE_S": MINUTE_S,
    "LEAST_ATTEMPTS": LEAST_ATTEMPTS,
    "GOOD_PERCENT": GOOD_PERCENT,
    **{name: f"'\\{what[0]}'" for name, what in (("GOOD", GOOD), ("BAD", BAD), ("UNKNOWN", UNKNOWN))},
}
"""That the script goes by."""

_TRIED = struct.Struct("<III")
_LATEST = struct.Struct("<d")


def functions() -> str:
    """Return the script's text that keeps minutes."""
    return Path(__file__).with_name("minutes.lua").read_text(encoding="utf-8")


def pack(tried: Mapping[int, tuple[int, int]]) -> bytes:
    return b"".join(_TRIED.pack(minute, *counted) for minute, counted in tried.items())


def unpack_day(record: bytes) -> Day:
    """Raises struct.error for what the script does not write."""
    (latest,) = _LATEST.unpack_from(record)
    minutes = record[_LATEST.size :]
    if len(minutes) != DAY:
        raise struct.error(f"a day of {len(minutes)} minutes")
    if not math.isfinite(latest):
        raise struct.error(f"a day up to the minute {latest}")
    return Day(int(latest), minutes)
