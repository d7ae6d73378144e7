"""What the fleet knows of endpoints at this moment, for those who look at the catalogue.

Any worker can answer: it reads the groups it is asked about from the store, and remembers them for FRESH_S. While the
store is away it tells what it knows itself.

`uptime` is what decayed sums can tell: the share of attempts that were answered and did not break off, the latest
counting most (half-lives of 20 and 60 s, see `health/sums.py`), None once an attempt would be five minutes old. As at
OpenRouter neither rate limits nor callers' faults count. Unlike there it is no share of minutes (wire-api, 7.7), since
nobody counts minutes; and of half an hour or a day nothing can be told.

`status` has OpenRouter's numbers, whose meanings it does not document. Here: 0 gets traffic, -1 cools down, or its
account does, -2 is being probed after an ejection, -3 is ejected.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from fairlead import clock
from fairlead.catalog.model import Endpoint
from fairlead.health import sums
from fairlead.health.board import ACCOUNT, HealthBoard
from fairlead.health.histogram import Histogram
from fairlead.health.percentiles import Percentiles
from fairlead.health.record import Record, Snapshot, State
from fairlead.health.sums import A20, F20, M60, S60
from fairlead.store.health import HealthStore, StoreAway
from fairlead.store.percentiles import PercentileStore

FRESH_S = 2.0
"""However many ask, a group is read once in this time: as often as workers tell the store of it."""
AT_ONCE = 200
"""Groups in one round trip. More would keep requests waiting while the answers are taken apart."""
_LEAST_ATTEMPTS = math.exp2(-300.0 / sums.HALF_LIVES_S[A20])
_LEAST_REPLIES = math.exp2(-300.0 / sums.HALF_LIVES_S[S60])
"""What one of them counts after five minutes."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one endpoint: its first-token times in seconds, its speeds in tokens per second."""

    status: int = 0
    uptime: float | None = None
    """In per cent."""
    first_token: Histogram | None = None
    speed: Histogram | None = None


UNKNOWN = Figures()

FiguresOf = Callable[[Collection[Endpoint]], Awaitable[Mapping[str, Figures]]]
"""Return what is known of endpoints, by id; of one that nobody knows there is nothing. Raises nothing."""

Records = Mapping[str, tuple[Record, float]]
"""By endpoint id, with the time on the record's clock."""


async def nothing_known(_: Collection[Endpoint]) -> Mapping[str, Figures]:
    """As FiguresOf, without anybody to ask."""
    return {}


class LiveFigures:
    """`of` is what routes ask. `board` and `percentiles` are what this worker knows, to go on without the store."""

    def __init__(
        self, board: HealthBoard, store: HealthStore, percentiles: Percentiles, percentile_store: PercentileStore
    ) -> None:
        self._board = board
        self._store = store
        self._percentiles = percentiles
        self._percentile_store = percentile_store
        self._turn = asyncio.Lock()
        self._away_at = -math.inf
        """When the store last told nothing at all: for FRESH_S it is not asked again."""
        self._read_at: dict[str, float] = {}
        self._known: dict[str, Figures] = {}

    async def of(self, endpoints: Collection[Endpoint]) -> Mapping[str, Figures]:
        """As FiguresOf; what is told is at most FRESH_S old."""
        async with self._turn:  # those who come meanwhile wait for the same answer
            now = clock.monotonic()
            stale = [one for one in endpoints if now - self._read_at.get(one.id, -math.inf) >= FRESH_S]
            if stale:
                await self._read(stale)
        return {one.id: self._known[one.id] for one in endpoints if one.id in self._known}

    async def _read(self, endpoints: Sequence[Endpoint]) -> None:
        models = list(dict.fromkeys(one.model.id for one in endpoints))
        accounts = {ACCOUNT + one.provider.slug for one in endpoints}
        groups = [*models, *sorted(accounts)]
        records = await self._records(groups) if self._may_ask() else self._remembered(groups)
        percentiles = await self._histograms(models) if self._may_ask() else self._own_histograms(models)
        self._read_at |= dict.fromkeys((one.id for one in endpoints), clock.monotonic())
        for endpoint in endpoints:
            found, account = records.get(endpoint.id), records.get(ACCOUNT + endpoint.provider.slug)
            first_token, speed = percentiles.get(endpoint.id, (None, None))
            self._known[endpoint.id] = Figures(status_of(found, account), uptime_of(found), first_token, speed)

    def _may_ask(self) -> bool:
        return clock.monotonic() - self._away_at >= FRESH_S

    async def _records(self, groups: Sequence[str]) -> Records:
        found: dict[str, tuple[Record, float]] = {}
        silent: set[str] = set()
        for start in range(0, len(groups), AT_ONCE):
            asked = groups[start : start + AT_ONCE]
            answers = await self._store.merge([self._board.reading(group, clock.monotonic()) for group in asked])
            for group, answer in zip(asked, answers, strict=True):
                if isinstance(answer, Snapshot):
                    found |= {name: (record, answer.now) for name, record in answer.records.items()}
                else:
                    silent.add(group)
            if len(silent) == start + len(asked):  # nothing at all: it would be the same with the others
                silent.update(groups)
                self._away_at = clock.monotonic()
                break
        return {**self._remembered(silent), **found}

    def _remembered(self, groups: Collection[str]) -> Records:
        now = clock.monotonic()
        return {
            name: (health.record, now - health.offset)
            for group in self._board.groups
            if group.name in groups
            for name, health in group.endpoints.items()
            if health.record is not None
        }

    async def _histograms(self, models: Sequence[str]) -> Mapping[str, tuple[Histogram | None, Histogram | None]]:
        found: dict[str, tuple[Histogram | None, Histogram | None]] = {}
        try:
            for start in range(0, len(models), AT_ONCE):
                found |= await self._percentile_store.read(models[start : start + AT_ONCE])
        except StoreAway:
            return {**self._own_histograms(models), **found}
        return found

    def _own_histograms(self, models: Sequence[str]) -> Mapping[str, tuple[Histogram | None, Histogram | None]]:
        known = (name for group in self._board.groups if group.name in models for name in group.endpoints)
        return {name: (self._percentiles.first_token(name), self._percentiles.speed(name)) for name in known}


def status_of(found: tuple[Record, float] | None, account: tuple[Record, float] | None) -> int:
    """Return the number for an endpoint with this record, and its account with that."""
    if found is not None and found[0].state != State.HEALTHY:
        return -2 if found[0].state == State.PROBING else -3
    known: Iterable[tuple[Record, float]] = (one for one in (found, account) if one is not None)
    return -1 if any(record.cool_until > now for record, now in known) else 0


def uptime_of(found: tuple[Record, float] | None) -> float | None:
    """Return the share of attempts that went well, in per cent; None without any of the last five minutes."""
    if found is None:
        return None
    record, now = found
    s = sums.decayed(record.sums, now - record.at)
    if s[A20] < _LEAST_ATTEMPTS:
        return None
    begun = 1.0 - s[F20] / s[A20]
    ended = 1.0 - s[M60] / s[S60] if s[S60] >= _LEAST_REPLIES else 1.0
    return round(100.0 * min(max(begun * ended, 0.0), 1.0), 2)
