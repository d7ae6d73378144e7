"""Percentiles of the fleet: what this worker has to tell of its endpoints, and what it knows of them.

    attempts ──▶ buckets ──tick──▶ backlog ──batch──▶ (store: add) ──stored──▶ known ──▶ histogram

`batches` says what to send, `learn` takes the answers in; whoever calls them carries the bytes. The worker's view is
what the store said last and what the store has not confirmed: without the store it goes on with its own traffic.
While the store is away, the backlog is one vector per endpoint, however long it takes.

The minutes of uptime go the same way, in the same batches; what they are, and are worth, is in `minutes.py`. They are
not told before the first answer of the store, by whose clock they are numbered.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from fairlead.health import histogram
from fairlead.health.board import ACCOUNT, FORGOTTEN_S, GroupHealth, HealthBoard
from fairlead.health.histogram import FIRST_TOKEN, SPEED, Counts, Histogram
from fairlead.health.minutes import DAYS_S, NO_UPTIME, Day, GroupMinutes, StoreClock, Tried, Uptime

TICK_S = 2.0
"""How often a worker tells what is new."""
READ_S = 10.0
"""How often a group is read in which nothing happens here."""
CALLS_PER_S = 200.0
"""That the whole fleet may ask of the store: with many workers and groups the batches become fewer."""
RESTORER = "restored"
"""Stands for all workers when one of them gives back what the store has lost: the first is heard, as number 1."""


@dataclass(slots=True)
class Batch:
    """News of one group. Sent again unchanged but for decay, under the same number, until it is acknowledged."""

    group: str
    worker: str
    number: int
    """Grows with each batch of a worker; what is not above the last that was seen is not added again. 0: a mere
    reading."""
    at: float
    """The instant of the counts, this worker's clock."""
    news: dict[str, Counts] = field(default_factory=dict)
    """By endpoint id."""
    minutes: Mapping[str, Tried] = field(default_factory=dict)
    """By endpoint id. They do not decay."""
    asks: Collection[str] = ()
    """Endpoints whose days are to be in the answer."""


@dataclass(slots=True)
class Stored:
    """All that the store has of a group: its answer to a batch."""

    now: float
    """On the store's clock."""
    born: str
    """Names what the store keeps: another name means that it has lost what it knew. Empty: it has nothing."""
    counts: Mapping[str, tuple[float, Counts]]
    """By endpoint id, with the instant of each, on the store's clock."""
    days: Mapping[str, Day] = field(default_factory=dict)
    """Of those that the batch has asked for, if there is anything."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of an endpoint: its first-token times in seconds, its speeds in tokens per second."""

    first_token: Histogram | None = None
    speed: Histogram | None = None
    uptime: Uptime = NO_UPTIME


@dataclass(slots=True)
class _Group:
    read_at: float = -math.inf
    told_at: float = -math.inf
    born: str = ""
    known: dict[str, tuple[float, Counts]] = field(default_factory=dict)
    """What the store said last: as `Stored.counts`, on this worker's clock."""
    unacknowledged: list[Batch] = field(default_factory=list)
    """At most two: what is being given back, and news."""
    backlog: dict[str, Counts] = field(default_factory=dict)
    backlog_at: float = 0.0
    minutes: GroupMinutes = field(default_factory=GroupMinutes)

    @property
    def has_news(self) -> bool:
        return bool(self.backlog or self.unacknowledged or self.minutes.untold)

    def collect(self, endpoint_id: str, seen: Mapping[int, int], now: float) -> None:
        """Add what has been seen to what is to be sent; the seconds since the last tick are not worth their decay."""
        if now > self.backlog_at:
            self.backlog = {i: histogram.decayed(counts, now - self.backlog_at) for i, counts in self.backlog.items()}
            self.backlog_at = now
        histogram.add(self.backlog.setdefault(endpoint_id, {}), seen)

    def to_send(self, name: str, worker: str, number: int, now: float, *, can_number: bool) -> list[Batch]:
        for batch in self.unacknowledged:
            batch.news = {i: histogram.decayed(counts, now - batch.at) for i, counts in batch.news.items()}
            batch.at = now
        minutes = can_number and self.minutes.untold
        if (self.backlog or minutes) and not any(batch.worker == worker for batch in self.unacknowledged):
            news = {i: histogram.decayed(counts, now - self.backlog_at) for i, counts in self.backlog.items()}
            self.unacknowledged.append(Batch(name, worker, number, now, news, self.minutes.take() if minutes else {}))
            self.backlog = {}
        self.told_at = now
        return self.unacknowledged or [Batch(name, worker, 0, now)]

    def counts(self, endpoint_id: str, now: float) -> Counts:
        """Everything known of an endpoint at `now`."""
        parts = [
            self.known.get(endpoint_id, (now, {})),
            *((batch.at, batch.news.get(endpoint_id, {})) for batch in self.unacknowledged),
            (self.backlog_at, self.backlog.get(endpoint_id, {})),
        ]
        found: Counts = {}
        for at, counts in parts:
            histogram.add(found, histogram.decayed(counts, now - at))
        return found


class Percentiles:
    """How fast the endpoints of a board answer, over the last minutes and the whole fleet.

    `worker` names this process among all workers, for as long as it lives. Times are its monotonic seconds.
    """

    def __init__(self, board: HealthBoard, worker: str) -> None:
        self._board = board
        self._worker = worker
        self._number = 0
        self._now = 0.0
        self._clock = StoreClock()
        self._groups: dict[str, _Group] = {}
        self._views: dict[str, tuple[Histogram, Histogram]] = {}

    # -- for those who ask ---------------------------------------------------------------------------------------

    def first_token(self, endpoint_id: str) -> Histogram | None:
        """Return the first-token times of an endpoint's streams, in seconds, as of the last tick."""
        view = self._view(endpoint_id)
        return view[0] if view is not None else None

    def speed(self, endpoint_id: str) -> Histogram | None:
        """Return the speeds of an endpoint's streams after their first tokens, in tokens/s, as of the last tick."""
        view = self._view(endpoint_id)
        return view[1] if view is not None else None

    def uptime(self, endpoint_id: str) -> Uptime:
        """Return an endpoint's uptime as of the last tick: by what the store said within the last minute, and by what
        has not been confirmed."""
        group = self._groups.get(endpoint_id.partition(":")[2])
        if group is None:
            return NO_UPTIME
        untold = [batch.minutes for batch in group.unacknowledged]
        return group.minutes.uptime(endpoint_id, self._clock.minute(self._now), untold)

    def seen(self, endpoint_id: str) -> Seen:
        """Return all three."""
        return Seen(self.first_token(endpoint_id), self.speed(endpoint_id), self.uptime(endpoint_id))

    def _view(self, endpoint_id: str) -> tuple[Histogram, Histogram] | None:
        view = self._views.get(endpoint_id)
        if view is None:
            group = self._groups.get(endpoint_id.partition(":")[2])
            counts = group.counts(endpoint_id, self._now) if group is not None else None
            if not counts:
                return None
            view = self._views[endpoint_id] = histograms(counts)
        return view

    # -- for whoever carries it to the store ---------------------------------------------------------------------

    def batches(self, now: float) -> list[Batch]:
        """Take in what the endpoints have seen, and return what to send now. To be called every TICK_S.

        Each batch is to be followed by `learn`, else it is returned again.
        """
        self._now = now
        self._views = {}
        groups = {group.name: group for group in self._board.groups if not group.name.startswith(ACCOUNT)}
        for name in self._groups.keys() - groups.keys():
            del self._groups[name]
        for name, health in groups.items():
            self._collect(name, health, now)
        busy = [name for name, group in self._groups.items() if group.has_news]
        fleet = max((group.fleet for group in groups.values()), default=1)
        pause_s = min(fleet * len(busy) / CALLS_PER_S, READ_S)
        found: list[Batch] = []
        for name, health in groups.items():
            group = self._groups.setdefault(name, _Group())
            if group.has_news:
                is_due = now - group.told_at >= pause_s
            else:
                is_due = now - health.asked_at < FORGOTTEN_S and now - group.read_at >= READ_S
            if is_due:
                self._number += 1
                found += group.to_send(name, self._worker, self._number, now, can_number=self._clock.is_known)
                if now - group.minutes.days_at >= DAYS_S:
                    found[-1].asks = [*health.endpoints]
        return found

    def _collect(self, name: str, health: GroupHealth, now: float) -> None:
        group = self._groups.get(name)
        for endpoint_id, endpoint in health.endpoints.items():
            if group is None and (endpoint.buckets or endpoint.tried):
                group = self._groups[name] = _Group()
            if group is not None and endpoint.buckets:
                group.collect(endpoint_id, endpoint.take_buckets(), now)
            if group is not None and endpoint.tried:
                group.minutes.collect(endpoint_id, *endpoint.take_tried(), self._clock.minute(now))

    def learn(self, batch: Batch, stored: Stored, now: float) -> None:
        """Take in the store's answer to `batch`."""
        shift = self._clock.learn(stored.now, now)
        if shift:
            for other in self._groups.values():
                other.minutes.renumber(shift)
        group = self._groups.get(batch.group)
        if group is None:
            return
        group.unacknowledged = [other for other in group.unacknowledged if other is not batch]
        if group.born not in ("", stored.born):
            self._give_back(group, batch.group, now)
        group.born = stored.born
        group.known = {i: (now - (stored.now - at), counts) for i, (at, counts) in stored.counts.items()}
        group.read_at = now
        if batch.asks:
            group.minutes.days, group.minutes.days_at = stored.days, now
        self._views = {}

    def _give_back(self, group: _Group, name: str, now: float) -> None:
        """The store has lost what it knew. All workers know about the same: whichever comes first restores it."""
        if group.known and not any(batch.worker == RESTORER for batch in group.unacknowledged):
            lost = {i: histogram.decayed(counts, now - at) for i, (at, counts) in group.known.items()}
            group.unacknowledged.append(Batch(name, RESTORER, 1, now, lost))


def histograms(counts: Mapping[int, float]) -> tuple[Histogram, Histogram]:
    """Return the first-token times and the speeds of an endpoint."""
    return Histogram(FIRST_TOKEN, counts), Histogram(SPEED, counts)
