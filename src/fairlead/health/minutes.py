"""Uptime by the minute: how it is reckoned, and what this worker knows and has to tell of it.

The public uptime (wire-api, 7.7) is the share of good minutes among those that say something: the fleet has made at
least LEAST_ATTEMPTS attempts in them, and a minute is good if GOOD_PERCENT of these succeeded. Which attempts count,
`outcome.py` says. An attempt counts when it is over, in the minute in which its worker takes it in: at most a tick
later.

A minute is one of the store's clock (Unix time / 60), so that all workers mean the same one; from the store's answers
each knows what that says. The current minute counts as soon as it says something: the windows are it and the 4, 29 or
1439 before it. Who looks in an outage is to see it, and not a minute later.

Batches to the store carry it (`percentiles.py`), so that nothing is added twice. A store that has lost all of it begins
anew: a worker knows of the minutes how they were, but not the fleet's numbers.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

LEAST_ATTEMPTS = 10
GOOD_PERCENT = 80
MINUTE_S = 60.0
DAY = 1440
"""Minutes that are kept, and the longest window."""
DAYS_S = 60.0
"""How often a worker reads the days of a group: only to have them while the store is away."""
GOOD, BAD, UNKNOWN = b"+", b"-", b"\0"
"""What a minute is."""

Tried = dict[int, tuple[int, int]]
"""Attempts and successes by minute."""


@dataclass(frozen=True, slots=True)
class Uptime:
    """In per cent; None where no minute of the window says anything."""

    last_5m: float | None = None
    last_30m: float | None = None
    last_1d: float | None = None


NO_UPTIME = Uptime()


@dataclass(frozen=True, slots=True)
class Day:
    """What the store says of an endpoint: the DAY minutes up to `latest`, each GOOD, BAD or UNKNOWN."""

    latest: int
    minutes: bytes

    def of(self, minute: int) -> bytes:
        index = minute - self.latest + DAY - 1
        return self.minutes[index : index + 1] if 0 <= index < DAY else UNKNOWN

    def count(self, what: bytes, first: int, last: int) -> int:
        """Return how many minutes are that, from `first` to `last`."""
        start = first - self.latest + DAY - 1
        return self.minutes.count(what, max(start, 0), max(start + last - first + 1, 0))


NOTHING_KNOWN = Day(0, UNKNOWN * DAY)


def judged(attempts: int, successes: int) -> bytes:
    """Return what a minute is. The script says the same."""
    if attempts < LEAST_ATTEMPTS:
        return UNKNOWN
    return GOOD if 100 * successes >= GOOD_PERCENT * attempts else BAD


def uptime(day: Day, minute: int, untold: Mapping[int, tuple[int, int]] | None = None) -> Uptime:
    """Return it as of `minute`, the current one. Where `day` says nothing, `untold` may."""
    own = {m: judged(*tried) for m, tried in (untold or {}).items() if day.of(m) == UNKNOWN}

    def share(window: int) -> float | None:
        first = minute - window + 1
        late = [what for m, what in own.items() if first <= m <= minute]
        good = day.count(GOOD, first, minute) + late.count(GOOD)
        bad = day.count(BAD, first, minute) + late.count(BAD)
        return round(100.0 * good / (good + bad), 2) if good + bad else None

    return Uptime(share(5), share(30), share(DAY))


class StoreClock:
    """The store's clock, as far as this worker knows it. Until the store has answered, the worker's own stands for it,
    so that minutes can be numbered."""

    __slots__ = ("_ahead_s", "is_known")

    def __init__(self) -> None:
        self._ahead_s = 0.0
        self.is_known = False

    def minute(self, now: float) -> int:
        return max(0, math.floor((now + self._ahead_s) / MINUTE_S))

    def learn(self, stored_now: float, now: float) -> int:
        """Set it. Return what is to be added to the numbers of minutes that were counted by the worker's own clock."""
        shift = 0 if self.is_known else round((stored_now - now) / MINUTE_S)
        self._ahead_s, self.is_known = stored_now - now, True
        return shift


@dataclass(slots=True)
class GroupMinutes:
    """Those of one group in one worker."""

    days: Mapping[str, Day] = field(default_factory=dict)
    """By endpoint id: what the store said last."""
    days_at: float = -math.inf
    untold: dict[str, Tried] = field(default_factory=dict)
    """By endpoint id. However long the store is away, it is at most DAY minutes for each."""

    def collect(self, endpoint_id: str, attempts: int, successes: int, minute: int) -> None:
        """Count attempts that have ended."""
        tried = self.untold.setdefault(endpoint_id, {})
        add(tried, {minute: (attempts, successes)})
        if len(tried) > DAY:
            del tried[min(tried)]

    def take(self) -> dict[str, Tried]:
        """Hand over what is to be told."""
        found, self.untold = self.untold, {}
        return found

    def renumber(self, shift: int) -> None:
        """Give what has not been told the numbers of the store's minutes."""
        for endpoint_id, tried in self.untold.items():
            self.untold[endpoint_id] = {m + shift: counted for m, counted in tried.items() if m + shift >= 0}

    def uptime(self, endpoint_id: str, minute: int, unacknowledged: Iterable[Mapping[str, Tried]]) -> Uptime:
        """Return what is known here; `unacknowledged` is what the store has been told and has not confirmed."""
        own: Tried = {}
        for told in (*unacknowledged, self.untold):
            add(own, told.get(endpoint_id, {}))
        return uptime(self.days.get(endpoint_id, NOTHING_KNOWN), minute, own)


def add(tried: Tried, others: Mapping[int, tuple[int, int]]) -> None:
    for minute, (attempts, successes) in others.items():
        before = tried.get(minute, (0, 0))
        tried[minute] = before[0] + attempts, before[1] + successes
