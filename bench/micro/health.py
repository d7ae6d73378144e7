"""What it takes to learn from a request, and to share that. The target is 5 µs for what is done per attempt."""

import asyncio
import random
from collections.abc import Sequence

import uvloop

from bench.micro.embedded import client
from bench.micro.timing import Case
from fairlead.health import sums
from fairlead.health.board import HealthBoard
from fairlead.health.breaker import BreakerLimits
from fairlead.health.endpoint import EndpointHealth
from fairlead.health.estimate import Prior, estimate
from fairlead.health.merge import Group, merge
from fairlead.health.outcome import OK
from fairlead.health.record import Flush, Increment, Snapshot
from fairlead.store.health import HealthStore

_MODEL = "bench/echo"
_ENDPOINTS = tuple(f"p{n}:{_MODEL}" for n in range(10))
_LIMITS = BreakerLimits()
_ROUNDS = 50


class _Traffic:
    """One endpoint with a few requests under way, and a clock that goes on by itself."""

    def __init__(self) -> None:
        self.board = HealthBoard(_LIMITS)
        self.health: EndpointHealth = self.board.of(_ENDPOINTS[0], 0.0)
        self.now = 1.0
        for _ in range(5):
            self.health.begin(self.now, is_stream=True)

    def attempt(self) -> None:
        """One request from its beginning to its end."""
        self.now += 0.01
        attempt = self.health.begin(self.now, is_stream=True)
        self.board.first_token(attempt, self.now + 0.4)
        self.board.end(attempt, OK, self.now + 1.0)

    def flush(self) -> None:
        """What a tick does for one endpoint."""
        self.now += 0.1
        self.health.take_news(self.now)


def _increment(rng: random.Random) -> Increment:
    return Increment([rng.uniform(1.0, 2.0) for _ in range(sums.COUNT)], has_success=True)


def _flush(number: int, endpoints: Sequence[str]) -> Flush:
    rng = random.Random(number)
    return Flush(_MODEL, "worker", number, True, 0.5, {endpoint: _increment(rng) for endpoint in endpoints})


def _merged(group: Group, flush: Flush) -> None:
    flush.number += 1
    merge(group, flush, flush.number * 0.1, _LIMITS)


def _through_the_store(
    name: str, loop: asyncio.AbstractEventLoop, store: HealthStore, endpoints: Sequence[str]
) -> Case:
    flush = _flush(1, endpoints)

    async def rounds() -> None:
        for _ in range(_ROUNDS):
            flush.number += 1
            (answer,) = await store.merge([flush])
            assert isinstance(answer, Snapshot), answer

    flush.worker = name
    return Case(name, lambda: loop.run_until_complete(rounds()), units=_ROUNDS)


def cases() -> Sequence[Case]:
    """Per attempt; per tick and endpoint; per tick and group, here and in the store."""
    attempts, ticks, group = _Traffic(), _Traffic(), Group(_MODEL)
    known, prior = _increment(random.Random(1)).sums, Prior()
    all_ten, loop = _flush(1, _ENDPOINTS), uvloop.new_event_loop()
    store = HealthStore(client(loop), _LIMITS)
    return [
        Case("observe: begin, first token, end", attempts.attempt),
        Case("tick and take_news, one endpoint", ticks.flush),
        Case("estimate, one endpoint", lambda: estimate(known, prior)),
        Case("merge in Python, ten endpoints", lambda: _merged(group, all_ten)),
        _through_the_store("merge in the store, ten endpoints, round trip", loop, store, _ENDPOINTS),
        _through_the_store("the same, news of two of them", loop, store, _ENDPOINTS[:2]),
        _through_the_store("the same, a mere reading", loop, store, ()),
    ]
