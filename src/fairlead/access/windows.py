"""The windows that spend is counted in: days, weeks and months of UTC. Weeks begin on Monday."""

import datetime
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Window = Literal["total", "daily", "weekly", "monthly"]
_DAY_S = 86_400
WINDOWS: tuple[Window, ...] = ("total", "daily", "weekly", "monthly")


def windows_at(unix: float) -> Mapping[Window, str]:
    """Return the name of each window that `unix` (seconds) is in, as the store has it: `d:20261121`, `w:20261116`."""
    return _windows(int(unix // _DAY_S))


@functools.lru_cache(maxsize=8)  # asked for each request, and mostly of the same day
def _windows(days: int) -> Mapping[Window, str]:
    day = _day(days * _DAY_S)
    monday = day - datetime.timedelta(days=day.weekday())
    return {"total": "total", "daily": f"d:{day:%Y%m%d}", "weekly": f"w:{monday:%Y%m%d}", "monthly": f"m:{day:%Y%m}"}


def resets_at(window: Window, unix: float) -> int | None:
    """Return when the window that `unix` is in ends, in Unix seconds; None for the total."""
    if window == "total":
        return None
    day = _day(unix)
    if window == "monthly":
        following = day.replace(day=28) + datetime.timedelta(days=4)
        end = following.replace(day=1)
    else:
        end = day + datetime.timedelta(days=1 if window == "daily" else 7 - day.weekday())
    return int(datetime.datetime.combine(end, datetime.time(), datetime.UTC).timestamp())


def day_of(unix: float) -> str:
    """Return the UTC day, `20261121`."""
    return windows_at(unix)["daily"][2:]


def _day(unix: float) -> datetime.date:
    return datetime.datetime.fromtimestamp(unix, datetime.UTC).date()


@dataclass(frozen=True, slots=True)
class Spent:
    """What an account has spent, in nano-USD: ever, and in the windows of now."""

    total: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    requests: int = 0
    last: int = 0
    """Unix seconds of the last use; 0: never."""

    def in_window(self, window: Window) -> int:
        return {"total": self.total, "daily": self.daily, "weekly": self.weekly, "monthly": self.monthly}[window]
