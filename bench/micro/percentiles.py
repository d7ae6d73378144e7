"""Percentiles: what a first token costs, what a tick, what a question; and how much a tick sends."""

import math
import random
from collections.abc import Sequence

from bench.micro.timing import Case
from fairlead.health.board import HealthBoard
from fairlead.health.endpoint import EndpointHealth
from fairlead.health.histogram import FIRST_TOKEN, SPEED, Histogram
from fairlead.health.percentiles import TICK_S, Percentiles
from fairlead.store.percentiles import pack

_ENDPOINTS = 10
_STREAMS = 200
"""Of each endpoint between two ticks."""


def cases() -> Sequence[Case]:
    """With first-token times as scattered as those of real providers."""
    rng = random.Random(1)
    ln_waits = [rng.gauss(-1.0, 0.8) for _ in range(_STREAMS)]
    ln_speeds = [rng.gauss(4.0, 0.5) for _ in range(_STREAMS)]
    endpoint = EndpointHealth("a:bench/echo", 0.0)

    def observe() -> None:
        for ln_wait in ln_waits:
            endpoint.buckets[FIRST_TOKEN.bucket(ln_wait)] += 1

    def fill(endpoint: EndpointHealth) -> None:
        for ln_wait, ln_speed in zip(ln_waits, ln_speeds, strict=True):
            endpoint.buckets[FIRST_TOKEN.bucket(ln_wait)] += 1
            endpoint.buckets[SPEED.bucket(ln_speed)] += 1

    board = HealthBoard()
    endpoints = [board.of(f"p{n}:bench/echo") for n in range(_ENDPOINTS)]
    percentiles = Percentiles(board, "bench")
    for one in endpoints:
        fill(one)
    (batch,) = percentiles.batches(TICK_S)
    size_bytes = sum(len(name) + len(pack(counts)) for name, counts in batch.news.items())
    counts = batch.news[endpoints[0].id]
    histogram = Histogram(FIRST_TOKEN, counts)
    return [
        Case("count a first token (0.3 allowed)", observe, _STREAMS),
        Case(f"pack {_ENDPOINTS} endpoints: {size_bytes} bytes", lambda: [*map(pack, batch.news.values())]),
        Case(f"histogram of {math.ceil(len(counts) / 2)} buckets", lambda: Histogram(FIRST_TOKEN, counts)),
        Case("quantile", lambda: histogram.quantile(0.95)),
    ]
