"""What the fleet knows of endpoints at this moment, for those who look at the catalogue.

Any worker can answer: it reads the groups it is asked about from the store, and remembers them for FRESH_S. While the
store is away it tells what it knows itself.

Uptimes are the fleet's, as OpenRouter defines them: see `health/minutes.py`.

`status` has OpenRouter's numbers, whose meanings it does not document. Here: 0 gets traffic, -1 cools down, or its
account does, -2 is being probed after an ejection, -3 is ejected.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from fairlead import clock
from fairlead.catalog.model import Endpoint
from fairlead.health.board import ACCOUNT, HealthBoard
from fairlead.health.histogram import Histogram
from fairlead.health.minutes import NO_UPTIME, Uptime
from fairlead.health.percentiles import Percentiles, Seen
from fairlead.health.record import Record, Snapshot, State
from fairlead.store.health import HealthStore
from fairlead.store.percentiles import PercentileStore

FRESH_S = 2.0
"""However many ask, a group is read once in this time: as often as workers tell the store of it."""
AT_ONCE = 200
"""Groups in one round trip. More would keep requests waiting while the answers are taken apart."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one endpoint: its first-token times in seconds, its speeds in tokens per second."""

    status: int = 0
    uptime: Uptime = NO_UPTIME
    first_token: Histogram | None = None
    speed: Histogram | None = None


UNKNOWN = Figures()
_UNSEEN = Seen()

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
        models: dict[str, list[str]] = {}
        for endpoint in endpoints:
            models.setdefault(endpoint.model.id, []).append(endpoint.id)
        accounts = {ACCOUNT + one.provider.slug for one in endpoints}
        groups = [*models, *sorted(accounts)]
        records = await self._records(groups) if self._may_ask() else self._remembered(groups)
        seen = await self._seen(models)
        read_at = clock.monotonic()
        for endpoint in endpoints:
            found, account = records.get(endpoint.id), records.get(ACCOUNT + endpoint.provider.slug)
            one = seen.get(endpoint.id, _UNSEEN)
            self._known[endpoint.id] = Figures(status_of(found, account), one.uptime, one.first_token, one.speed)
            self._read_at[endpoint.id] = read_at

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

    async def _seen(self, models: Mapping[str, Collection[str]]) -> Mapping[str, Seen]:
        told = await self._percentile_store.read(models) if self._may_ask() else {}
        found: dict[str, Seen] = {}
        for name, served in models.items():
            found |= told[name] if name in told else {one: self._percentiles.seen(one) for one in served}
        return found


def status_of(found: tuple[Record, float] | None, account: tuple[Record, float] | None) -> int:
    """Return the number for an endpoint with this record, and its account with that."""
    if found is not None and found[0].state != State.HEALTHY:
        return -2 if found[0].state == State.PROBING else -3
    known: Iterable[tuple[Record, float]] = (one for one in (found, account) if one is not None)
    return -1 if any(record.cool_until > now for record, now in known) else 0
