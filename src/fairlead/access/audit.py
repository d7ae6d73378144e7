"""Does the ledger add up? Every counter is what the ledger's entries have added to it, or here is the difference.

An entry is written in one step with the counters that it changes. So at any one instant they agree; but reading all of
them takes many steps, between which more is written. Each value is therefore read together with the id of the ledger's
last entry at that moment, and taken back to one instant, the same for all: by taking off what the ledger says was added
between. Nothing that arrives meanwhile looks like a difference, and nothing has to be read twice.

What is compared:

    day:<day>        every counter of a roll-up with the sum of the ledger's entries of that day, for each day that the
                     ledger still holds whole
    spent:<account>  every window of an account, and its number of requests, with the sum of all days: of the ledger's
                     where it holds them, of the roll-ups for older ones

A counter that is missing is a difference unless it would be 0, or is of a window so old that it has been dropped.
"""

import datetime
import functools
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from fairlead.access.rollup import METRICS, Amounts, field_of, split_field
from fairlead.access.windows import day_of, windows_at

StreamId = tuple[int, int]
"""Of an entry: Unix milliseconds when it was written, and a number."""

WINDOWS_KEPT = 3
"""Of the days, weeks and months of an account that have counters; older ones are dropped by and by."""
SKEW_S = 3_600
"""The gateway's clock says when a request began, the store's when it was written: they may differ by as much."""
NEVER = "99999999"
"""After all days."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What an entry of the ledger adds to the counters. `day` is that of the request's start."""

    at: StreamId
    day: str
    key: str
    model: str
    provider: str
    amounts: Amounts


@dataclass(frozen=True, slots=True)
class Reading:
    """A counter as it was when the ledger's last entry was `at`."""

    value: int
    at: StreamId


@dataclass(frozen=True, slots=True)
class Difference:
    """A counter that is not what it should be. `place` is `day:<day>` or `spent:<account>`."""

    place: str
    field: str
    stored: int | None
    """None: it is not there."""
    ledger: int

    @property
    def excess(self) -> int:
        """By how much the counter is too high. Taking it off is right at any time, whatever is written meanwhile."""
        return (self.stored or 0) - self.ledger


def whole_from(first: StreamId, *, is_complete: bool) -> str:
    """Return the first day of which the ledger holds every entry.

    `first`: its oldest entry. Older ones have been dropped, unless it `is_complete`, and may have been of that day.
    """
    if is_complete:
        return ""
    return day_of(first[0] / 1000 + SKEW_S + 86_399.999)


class Audit:
    """Give it readings of every place that there is, then all entries up to the last of them; ask for the `differences`
    then. A place of which there is no reading is taken for empty.

    Everything is compared as it was when the ledger's last entry was `until`.
    """

    def __init__(self, until: StreamId) -> None:
        self._until = until
        self._read: dict[str, dict[str, Reading]] = {}
        self._sums: dict[str, dict[str, int]] = {}
        self.last = until
        """The last entry that any reading may contain."""
        self.entries = 0

    @property
    def places(self) -> Set[str]:
        """Of which there are readings."""
        return self._read.keys()

    def take_readings(self, place: str, counters: Mapping[str, int], at: StreamId) -> None:
        """Some counters of a place, or all, read in one step. Of what is read twice the later reading counts."""
        self._read.setdefault(place, {}).update({field: Reading(value, at) for field, value in counters.items()})
        self.last = max(self.last, at)

    def take_entry(self, entry: Entry) -> None:
        """An entry of the ledger. `at` must not come twice."""
        if entry.at > self._until:
            self._take_back(entry)
            return
        self.entries += 1
        sums = self._sums.setdefault(f"day:{entry.day}", {})
        for field, amount in _rollup_changes(entry):
            sums[field] = sums.get(field, 0) + amount

    def _take_back(self, entry: Entry) -> None:
        changes = {f"day:{entry.day}": _rollup_changes(entry)}
        changes |= {f"spent:{account}": _account_changes(entry) for account in {entry.key, "*"} - {""}}
        for place, fields in changes.items():
            readings = self._read.get(place, {})
            for field, amount in fields:
                if (reading := readings.get(field)) is not None and entry.at <= reading.at:
                    readings[field] = Reading(reading.value - amount, reading.at)

    def differences(self, first_whole: str) -> list[Difference]:
        """Return what does not agree, the roll-ups first. `first_whole`: see `whole_from`."""
        rollups, days = {}, [place for place in self._read.keys() | self._sums.keys() if place.startswith("day:")]
        found: list[Difference] = []
        for place in sorted(days):
            stored = self._read.get(place, {})
            if place >= f"day:{first_whole}":
                rollups[place] = self._sums.get(place, {})
                found += _compared(place, stored, rollups[place], rollups[place].keys() | stored.keys())
            else:
                rollups[place] = {field: reading.value for field, reading in stored.items()}
        accounts = _accounts(rollups)
        for place in sorted(place for place in self._read.keys() | accounts.keys() if place.startswith("spent:")):
            stored, sums = self._read.get(place, {}), accounts.get(place, {})
            found += _compared(place, stored, sums, _kept(stored.keys(), sums))
        return found


def _rollup_changes(entry: Entry) -> list[tuple[str, int]]:
    named = zip(METRICS, entry.amounts, strict=True)
    return [(field_of(entry.key, entry.model, entry.provider, metric), amount) for metric, amount in named if amount]


def _account_changes(entry: Entry) -> list[tuple[str, int]]:
    changes = [(window, entry.amounts.usd_nanos) for window in _windows_of(entry.day)]
    return [*changes, ("n", entry.amounts.requests)]


def _accounts(rollups: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """What the counters of all accounts should be."""
    found: dict[str, dict[str, int]] = {}
    for place, counters in rollups.items():
        windows = _windows_of(place.removeprefix("day:"))
        for field, value in counters.items():
            parts = split_field(field)
            if parts is None or parts[3] not in ("usd_nanos", "requests"):
                continue
            names = windows if parts[3] == "usd_nanos" else ("n",)
            for account in {parts[0], "*"} - {""}:
                sums = found.setdefault(f"spent:{account}", {})
                for name in names:
                    sums[name] = sums.get(name, 0) + value
    return found


def _kept(stored: Set[str], sums: Mapping[str, int]) -> Iterator[str]:
    """The counters that an account should have: of the windows of a kind the newest three may be all that there are."""
    for kind in ("total", "d:", "w:", "m:", "n"):
        present = sorted(field for field in stored if field.startswith(kind))
        oldest = present[-WINDOWS_KEPT] if len(present) >= WINDOWS_KEPT else ""
        yield from {field for field in sums if field.startswith(kind) and field >= oldest} | set(present)


def _compared(
    place: str, stored: Mapping[str, Reading], sums: Mapping[str, int], fields: Iterable[str]
) -> list[Difference]:
    found = []
    for field in sorted(fields):
        reading = stored.get(field)
        difference = Difference(place, field, reading.value if reading else None, sums.get(field, 0))
        if difference.excess:
            found.append(difference)
    return found


@functools.lru_cache(maxsize=4096)
def _windows_of(day: str) -> tuple[str, ...]:
    at = datetime.datetime.strptime(day, "%Y%m%d").replace(tzinfo=datetime.UTC)
    return tuple(windows_at(at.timestamp()).values())
