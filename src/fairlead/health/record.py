"""What the fleet knows of one endpoint, as the store keeps it.

A group is one model with its endpoints; all records of a group are merged and read together. Times are the store's own
clock, in seconds; a worker reads them as durations from the `now` of the snapshot they came in.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from fairlead.health import sums


class State(IntEnum):
    """The breaker's: `HEALTHY → EJECTED → PROBING → HEALTHY`."""

    HEALTHY = 0
    EJECTED = 1
    PROBING = 2


class Why(IntEnum):
    """What an endpoint was ejected for."""

    NOTHING = 0
    IN_A_ROW = 1
    SHARE = 2
    BROKEN_OFF = 3
    SLOW = 4
    PROBE = 5


WHY_TEXT: Mapping[Why, str] = {
    Why.NOTHING: "",
    Why.IN_A_ROW: "failures in a row",
    Why.SHARE: "share of failures",
    Why.BROKEN_OFF: "replies broken off",
    Why.SLOW: "far slower than usual",
    Why.PROBE: "the probe failed",
}


@dataclass(slots=True)
class Record:
    """State of one endpoint in the fleet. Mutable: `merge` changes it in place."""

    born: float
    """When the record was made; another one means that the store has lost what it knew."""
    at: float
    """The instant of `sums`."""
    failures_in_row: float = 0.0
    state: float = State.HEALTHY
    why: float = Why.NOTHING
    until: float = 0.0
    """End of the ejection."""
    level: float = 0.0
    """Ejections lately: the next lasts 2^level times the shortest."""
    lease_until: float = 0.0
    """While PROBING: when the probe is given up for lost."""
    epoch: float = 0.0
    """Grows with every change of state: words of an older one are ignored."""
    cool_until: float = 0.0
    """End of the cool-down that the provider asked for, apart from any ejection."""
    cool_why: float = 0.0
    """Number of the verdict that began it."""
    cool_level: float = 0.0
    cap_rate: float = 0.0
    """Attempts per second at which the provider last limited us; 0 when it never did."""
    cap_at: float = 0.0
    good_at: float = 0.0
    """Since when it has been HEALTHY, moved on as `level` falls."""
    last_ejected_at: float = 0.0
    last_why: float = Why.NOTHING
    """The last ejection, kept after a recovery for people to read; 0 if there was none."""
    sums: list[float] = field(default_factory=sums.zeros)


HEADER = (
    "born", "at", "failures_in_row", "state", "why", "until", "level", "lease_until", "epoch",
    "cool_until", "cool_why", "cool_level", "cap_rate", "cap_at", "good_at", "last_ejected_at", "last_why",
)  # fmt: skip
HEADER_COUNT = len(HEADER)
TIMES = ("at", "until", "lease_until", "cool_until", "cap_at", "good_at", "last_ejected_at")
"""All of them that are instants. `born` is a name rather than one."""
LAYOUT = 2
"""Grows with every change of what is packed, so that workers of two versions keep apart."""
_PACKED = struct.Struct(f"<{HEADER_COUNT + sums.COUNT}d")


def move(record: Record, seconds: float) -> None:
    """Put its times on a clock that shows so much more."""
    for name in TIMES:
        setattr(record, name, getattr(record, name) + seconds)


def pack(record: Record) -> bytes:
    return _PACKED.pack(*(getattr(record, name) for name in HEADER), *record.sums)


def unpack(data: bytes) -> Record:
    """Raises struct.error for what no `pack` has written."""
    values = _PACKED.unpack(data)
    return Record(*values[:HEADER_COUNT], sums=list(values[HEADER_COUNT:]))  # type: ignore[misc]  # as many as there are


_MOST = 1e12
"""Of any number in a record: a time in seconds, or a decayed sum. Far beyond what can be, and far below overflow."""
_MOST_LOAD = 50.0
"""Of ln(in flight + 1), on the average."""
_SIGNED = frozenset((sums.RY, sums.RXY))
"""Sums of logarithms of seconds; all others grow only."""


def is_plausible(record: Record) -> bool:
    """Whether a record can be reckoned with: one that was spoilt in the store must not reach a decision."""
    numbers = (*(getattr(record, name) for name in HEADER), *record.sums)
    if not all(-_MOST < number < _MOST for number in numbers):  # nor is NaN
        return False
    s = record.sums
    return (
        record.state in _STATES
        and record.why in _REASONS
        and record.last_why in _REASONS
        and record.cap_rate >= 0.0
        and all(value >= 0.0 for index, value in enumerate(s) if index not in _SIGNED)
        and s[sums.RX] <= _MOST_LOAD * s[sums.R0] + 1.0
    )


_STATES = frozenset(float(state) for state in State)
_REASONS = frozenset(float(why) for why in Why)


@dataclass(slots=True)
class Increment:
    """A worker's news of one endpoint, `sums` decayed to the instant of sending. Durations in seconds."""

    sums: list[float]
    has_success: bool = False
    tail: int = 0
    """Failures since the last success in it."""
    cool_s: float = 0.0
    cool_why: int = 0
    does_cool_grow: bool = False
    limited: int = 0
    """How often the provider refused for its rate limit."""
    used_epoch: int = 0
    """The probe's, when its request has been sent: the lease lasts as long as that may take."""
    is_suspect: bool = False
    """Other endpoints of its provider are out: it takes fewer failures in a row."""
    epoch: int = 0
    """Of the ejection that the worker believes in; a store that forgot it is reminded."""
    ejected_s: float = 0.0
    """What it believes to be left of that."""
    cool_age_s: float = 0.0
    """How long ago the cool-down began. Not sent: what is left of it is."""

    def add(self, later: "Increment") -> None:
        """Take in what happened after it, but for the sums."""
        self.tail = later.tail if later.has_success else self.tail + later.tail
        self.has_success = self.has_success or later.has_success
        self.limited += later.limited
        if later.cool_s:
            self.cool(later.cool_s, later.cool_why, does_grow=later.does_cool_grow)

    def cool(self, seconds: float, why: int, *, does_grow: bool) -> None:
        """Note a cool-down; of two the longer counts."""
        if seconds >= self.cool_s:
            self.cool_s, self.cool_why, self.does_cool_grow, self.cool_age_s = seconds, why, does_grow, 0.0

    def age(self, seconds: float) -> None:
        """Let time pass before it is sent.

        Of a cool-down that grows the store must know the measure, which it multiplies: that stays until it is over.
        """
        if self.sums:
            self.sums = sums.decayed(self.sums, seconds)
        self.ejected_s = max(0.0, self.ejected_s - seconds)
        self.cool_age_s += seconds
        if not self.does_cool_grow:
            self.cool_s = max(0.0, self.cool_s - seconds)
        elif self.cool_age_s >= self.cool_s:
            self.cool_s = 0.0


_INCREMENT = struct.Struct(f"<10d{sums.COUNT}d")
INCREMENT_HEADER = 10


def pack_increment(news: Increment) -> bytes:
    return _INCREMENT.pack(
        news.has_success, news.tail, news.cool_s, news.cool_why, news.does_cool_grow, news.limited, news.used_epoch,
        news.is_suspect, news.epoch, news.ejected_s, *news.sums,
    )  # fmt: skip


@dataclass(slots=True)
class Flush:
    """What one worker tells the store about one group. Sent again unchanged but for decay, under the same number."""

    group: str
    worker: str
    number: int
    """Grows from one of a worker's flushes to the next; what is not above the last that was seen of this group is not
    applied again. 0: a mere reading."""
    can_probe: bool
    """Whether this worker has traffic for the group, and so takes probe leases."""
    jitter: float
    """In [0, 1): lengthens an ejection that this flush causes."""
    increments: Mapping[str, Increment]
    """By endpoint id."""


@dataclass(slots=True)
class Snapshot:
    """What the store answers to a flush."""

    now: float
    """On the store's clock."""
    workers: int
    """How many have flushed this group within WORKER_S."""
    records: Mapping[str, Record]
    granted: Mapping[str, int]
    """Probe leases for the worker that flushed: the epoch of each."""


@dataclass(slots=True)
class Change:
    """A change of state, for everyone: also the line that is published. `seconds` until it ends, 0 if it does not."""

    group: str
    endpoint: str
    kind: str
    """`ejected`, `probing`, `recovered`, `cooling`."""
    seconds: float
    why: int
    epoch: int
