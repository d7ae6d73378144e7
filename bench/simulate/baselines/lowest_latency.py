"""Lowest latency, as LiteLLM's router has it: the mean of an endpoint's last ten, each worker for itself.

An endpoint of whom nothing is known goes first. A time-out counts as 1000 s. An endpoint that answers 429, or fails
more than half of at least five requests within a minute, cools down for five seconds; the others learn of that from
Redis, whose answers they keep for a second. With everyone cooling down a request is refused. Kinder than the original:
the latency is the first token's and not divided by the length of the reply, and all of the last ten count.
"""

import random
from collections import deque
from collections.abc import Sequence
from statistics import fmean

from bench.simulate.attempt import Attempt, EndpointId, Kind, Outcome
from bench.simulate.baselines.plain import ASKED, Plain
from bench.simulate.policy import View
from bench.simulate.requests import Request

REMEMBERED = 10
TIMED_OUT_S = 1000.0
COOL_S = 5.0
CACHED_S = 1.0
FAILED_SHARE = 0.5
FAILED_VOLUME = 5


class LowestLatency(Plain):
    """Workers with latencies of their own and cool-downs in common."""

    def start(self, view: View, workers: int, rng: random.Random) -> None:
        """Nothing is known."""
        super().start(view, workers, rng)
        count = len(view.prices)
        self._latencies = [[deque[float](maxlen=REMEMBERED) for _ in range(count)] for _ in range(workers)]
        self._means = [[0.0] * count for _ in range(workers)]
        self._minutes = [[(0, 0, 0)] * count for _ in range(workers)]
        self._cool_until = [[0.0] * count for _ in range(workers)]

    def order(self, now: float, worker: int, request: Request) -> Sequence[EndpointId]:
        """By mean latency; equals by chance."""
        cool_until, means = self._cool_until[worker], self._means[worker]
        fit = [endpoint for endpoint in self.endpoints if now >= cool_until[endpoint]]
        return sorted(fit, key=lambda endpoint: (means[endpoint], self.rng.random()))[:ASKED]

    def first_token(self, now: float, worker: int, attempt: Attempt) -> None:
        """A latency."""
        self._note(worker, attempt.endpoint, now - attempt.begun_at)

    def ended(self, now: float, worker: int, attempt: Attempt, outcome: Outcome) -> None:
        """Count for the minute, and cool down."""
        endpoint, kind = attempt.endpoint, outcome.kind
        if kind is Kind.GONE:
            return
        if kind is Kind.TIMEOUT:
            self._note(worker, endpoint, TIMED_OUT_S)
        minute, good, bad = self._minutes[worker][endpoint]
        if minute != int(now / 60):
            good = bad = 0
        is_bad = kind is not Kind.OK
        good, bad = good + (not is_bad), bad + is_bad
        self._minutes[worker][endpoint] = (int(now / 60), good, bad)
        if kind is Kind.LIMITED or (is_bad and good + bad >= FAILED_VOLUME and bad > FAILED_SHARE * (good + bad)):
            self._cool(worker, endpoint, now)

    def _note(self, worker: int, endpoint: EndpointId, seconds: float) -> None:
        known = self._latencies[worker][endpoint]
        known.append(seconds)
        self._means[worker][endpoint] = fmean(known)

    def _cool(self, worker: int, endpoint: EndpointId, now: float) -> None:
        self._cool_until[worker][endpoint] = now + COOL_S
        self.store_calls += 1
        for other in range(self.workers):
            if other != worker and self.view.store.is_up(now):
                self.view.at(now + CACHED_S * self.rng.random(), self._hear, other, endpoint, now + COOL_S)

    def _hear(self, worker: int, endpoint: EndpointId, until: float) -> None:
        self._cool_until[worker][endpoint] = max(self._cool_until[worker][endpoint], until)
