"""Percentiles and minutes: what a first token costs, what a tick, what a question; and how much a tick sends."""

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import replace

import uvloop

from bench.micro.embedded import client
from bench.micro.timing import Case
from fairlead.health.board import HealthBoard
from fairlead.health.endpoint import EndpointHealth
from fairlead.health.histogram import FIRST_TOKEN, SPEED, Counts, Histogram
from fairlead.health.minutes import DAY, GOOD, MINUTE_S, Day, GroupMinutes, uptime
from fairlead.health.percentiles import TICK_S, Batch, Percentiles, Stored
from fairlead.store.percentiles import PercentileStore, pack

_MODEL = "bench/echo"
_ENDPOINTS = 10
_ROUNDS = 50
_STREAMS = 200
"""Of each endpoint between two ticks."""


def cases() -> Sequence[Case]:
    """With first-token times as scattered as those of real providers."""
    rng = random.Random(1)
    ln_waits = [rng.gauss(-1.0, 0.8) for _ in range(_STREAMS)]
    ln_speeds = [rng.gauss(4.0, 0.5) for _ in range(_STREAMS)]
    endpoint = EndpointHealth(f"a:{_MODEL}", 0.0)

    def observe() -> None:
        for ln_wait in ln_waits:
            endpoint.buckets[FIRST_TOKEN.bucket(ln_wait)] += 1

    def fill(endpoint: EndpointHealth) -> None:
        for ln_wait, ln_speed in zip(ln_waits, ln_speeds, strict=True):
            endpoint.buckets[FIRST_TOKEN.bucket(ln_wait)] += 1
            endpoint.buckets[SPEED.bucket(ln_speed)] += 1

    board = HealthBoard()
    endpoints = [board.of(f"p{n}:{_MODEL}") for n in range(_ENDPOINTS)]
    percentiles = Percentiles(board, "bench")
    for one in endpoints:
        fill(one)
    (batch,) = percentiles.batches(TICK_S)
    size_bytes = sum(len(name) + len(pack(counts)) for name, counts in batch.news.items())
    counts = batch.news[endpoints[0].id]
    histogram = Histogram(FIRST_TOKEN, counts)
    day, minutes = Day(DAY, GOOD * DAY), GroupMinutes()
    return [
        Case("count a first token (0.3 allowed)", observe, _STREAMS),
        Case(f"pack {_ENDPOINTS} endpoints: {size_bytes} bytes", lambda: [*map(pack, batch.news.values())]),
        Case(f"histogram of {math.ceil(len(counts) / 2)} buckets", lambda: Histogram(FIRST_TOKEN, counts)),
        Case("quantile", lambda: histogram.quantile(0.95)),
        Case("count a tick's attempts, one endpoint", lambda: minutes.collect(endpoint.id, 20, 19, 1)),
        Case("uptimes of one that is busy all day", lambda: uptime(day, DAY)),
        *_through_the_store(batch.news),
    ]


def _through_the_store(news: dict[str, Counts]) -> Sequence[Case]:
    """Batches and readings of endpoints that are busy all day, with and without their minutes."""
    loop = uvloop.new_event_loop()
    store = PercentileStore(client(loop))
    numbers = itertools.count(1)

    async def send(batch: Batch) -> Stored:
        if batch.news or batch.minutes:
            batch.number = next(numbers)
        (answer,) = await store.add([batch])
        assert isinstance(answer, Stored), answer
        return answer

    async def rounds(batch: Batch) -> None:
        for _ in range(_ROUNDS):
            await send(batch)

    def case(name: str, batch: Batch) -> Case:
        return Case(name, lambda: loop.run_until_complete(rounds(batch)), units=_ROUNDS)

    nothing = Batch(_MODEL, "bench", 0, 0.0)
    this = int(loop.run_until_complete(send(nothing)).now // MINUTE_S)
    day = dict.fromkeys(range(this - DAY + 1, this), (20, 19))
    loop.run_until_complete(send(replace(nothing, minutes=dict.fromkeys(news, day))))
    minutes = {endpoint_id: {this: (20, 19)} for endpoint_id in news}
    return [
        case(f"batch of {len(news)} endpoints, round trip", replace(nothing, news=news)),
        case("the same, with their minutes", replace(nothing, news=news, minutes=minutes)),
        case("a mere reading", nothing),
        case("the same, with days", replace(nothing, asks=[*news])),
    ]
