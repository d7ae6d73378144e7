"""Prequal's hot-cold rule on signals that cost nothing. Wydrowski et al., "Load is not what you should balance", 2024.

Prequal probes servers for their requests in flight and their latency. An endpoint is hot when it has more requests in
flight than a share Q of those known; among cold ones the fastest is taken, and when all are hot the least loaded. Here
a request is the probe: one of those endpoints that have been silent for `STALE_S` gets one request in `LOOK_EVERY`.
"""

import random
from collections import deque
from collections.abc import Sequence
from statistics import median

from bench.simulate.attempt import Attempt, EndpointId, Kind, Outcome
from bench.simulate.baselines.plain import Counting, picked
from bench.simulate.policy import View
from bench.simulate.requests import Request

HOT_QUANTILE = 0.84
POOL = 16
"""How many answers are remembered, of all endpoints together: a worker's view of the last second."""
STALE_S = 5.0
LOOK_EVERY = 32


class Prequal(Counting):
    """Each worker for itself; requests in flight are its own."""

    def start(self, view: View, workers: int, rng: random.Random) -> None:
        """The pool is empty."""
        super().start(view, workers, rng)
        count = len(view.prices)
        self._latencies = [[deque[float]([0.0], maxlen=POOL) for _ in range(count)] for _ in range(workers)]
        self._heard_at = [[-STALE_S] * count for _ in range(workers)]

    def order(self, now: float, worker: int, request: Request) -> Sequence[EndpointId]:
        """By the hot-cold rule; now and then first one of those that have been silent."""
        pending, latencies = self.pending[worker], self._latencies[worker]

        def pick(left: Sequence[EndpointId]) -> EndpointId:
            in_flight = sorted(pending[endpoint] for endpoint in left)
            hot_above = in_flight[int(HOT_QUANTILE * (len(left) - 1))]
            cold = [endpoint for endpoint in left if pending[endpoint] <= hot_above]
            return min(cold, key=lambda endpoint: median(latencies[endpoint]))

        order = picked(self.endpoints, pick)
        if self.rng.random() * LOOK_EVERY < 1:
            heard_at = self._heard_at[worker]
            silent = [endpoint for endpoint in self.endpoints if now - heard_at[endpoint] > STALE_S]
            if silent:
                look = self.rng.choice(silent)
                return [look, *(endpoint for endpoint in order if endpoint != look)]
        return order

    def first_token(self, now: float, worker: int, attempt: Attempt) -> None:
        """An answer to a probe."""
        self._hear(worker, attempt.endpoint, now - attempt.begun_at, now)

    def ended(self, now: float, worker: int, attempt: Attempt, outcome: Outcome) -> None:
        """A failure must not look like a fast answer (the paper's sinkholing): it counts as a very slow one."""
        super().ended(now, worker, attempt, outcome)
        if outcome.kind not in (Kind.OK, Kind.GONE):
            self._hear(worker, attempt.endpoint, self.view.first_byte_limit_s, now)

    def _hear(self, worker: int, endpoint: EndpointId, seconds: float, now: float) -> None:
        known = self._latencies[worker][endpoint]
        if now - self._heard_at[worker][endpoint] > STALE_S:
            known.clear()
        known.append(seconds)
        self._heard_at[worker][endpoint] = now
