"""Everything that the store knows of the endpoints of the catalogue, read when somebody looks.

Any worker can answer for the whole fleet: what it tells is the store's, not its own. Without the store it tells what
it knows itself, and says so.
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from fairlead import clock
from fairlead.admin.view import Known, Look
from fairlead.catalog.model import Catalog
from fairlead.health.board import ACCOUNT, HealthBoard
from fairlead.health.histogram import Histogram
from fairlead.health.percentiles import Percentiles
from fairlead.health.record import Snapshot
from fairlead.store.health import HealthStore
from fairlead.store.percentiles import PercentileStore

FRESH_S = 0.5
"""However many look, the store is read once in this time."""
AT_ONCE = 200
"""Groups in one round trip. More would keep requests waiting while the answers are taken apart."""


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    known: dict[str, Known] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    """Groups that the store did not tell of."""


class Fleet:
    """`look` is what admin routes ask; `catalog` returns the current catalogue.

    `board` and `percentiles` are what this worker knows, to go on with when the stores do not answer.
    """

    def __init__(
        self,
        board: HealthBoard,
        store: HealthStore,
        percentiles: Percentiles,
        percentile_store: PercentileStore,
        catalog: Callable[[], Catalog],
    ) -> None:
        self._board = board
        self._store = store
        self._percentiles = percentiles
        self._percentile_store = percentile_store
        self._catalog = catalog
        self._turn = asyncio.Lock()
        self._look: Look | None = None
        self._looked_at = -math.inf

    async def look(self) -> Look:
        """Return what is known, at most FRESH_S old."""
        async with self._turn:  # those who come meanwhile wait for the same answer
            look = self._look
            if look is None or clock.monotonic() - self._looked_at >= FRESH_S:
                look = self._look = await self._take_a_look()
                self._looked_at = clock.monotonic()
        return look

    async def _take_a_look(self) -> Look:
        catalog = self._catalog()
        accounts = {ACCOUNT + endpoint.provider.slug for served in catalog.endpoints.values() for endpoint in served}
        reading = await self._read([*catalog.endpoints, *sorted(accounts)])
        known = dict(self._remembered(reading.missing)) | reading.known
        first_tokens = await self._first_tokens([name for name in known if not name.startswith(ACCOUNT)])
        return Look(catalog, known, first_tokens, clock.wall(), is_store_away=bool(reading.missing))

    async def _read(self, groups: Sequence[str]) -> _Reading:
        reading = _Reading()
        for start in range(0, len(groups), AT_ONCE):
            asked = groups[start : start + AT_ONCE]
            answers = await self._store.merge([self._board.reading(group, clock.monotonic()) for group in asked])
            for group, answer in zip(asked, answers, strict=True):
                if isinstance(answer, Snapshot):
                    reading.known |= {name: Known(record, answer.now) for name, record in answer.records.items()}
                else:
                    reading.missing.append(group)
            if len(reading.missing) == start + len(asked):  # nothing at all: it would be the same with the others
                reading.missing = list(groups)
                break
        return reading

    async def _first_tokens(self, endpoints: Sequence[str]) -> dict[str, Histogram]:
        groups: dict[str, list[str]] = {}
        for name in endpoints:
            groups.setdefault(name.partition(":")[2], []).append(name)
        told = await self._percentile_store.read(dict.fromkeys(groups, ()))
        found: dict[str, Histogram | None] = {}
        for group, served in groups.items():
            if group in told:
                found |= {name: seen.first_token for name, seen in told[group].items()}
            else:
                found |= {name: self._percentiles.first_token(name) for name in served}
        return {name: histogram for name, histogram in found.items() if histogram is not None}

    def _remembered(self, groups: Iterable[str]) -> Iterable[tuple[str, Known]]:
        """What this worker knows of these groups."""
        now, wanted = clock.monotonic(), set(groups)
        for group in self._board.groups:
            if group.name in wanted:
                for name, health in group.endpoints.items():
                    if health.record is not None:
                        yield name, Known(health.record, now - health.offset)
