"""C3, as in Cassandra's and Elasticsearch's adaptive replica selection. Suresh et al., NSDI 2015.

    rank = R - 1/mu + q^3 / mu        q = 1 + own requests under way x clients + queue length

R is the response time and 1/mu the service time, both smoothed. A provider reports neither its queue nor its service
time, so the latter is the time to the first token and the former is left out; then rank = q^3 R. C3 leaves failures to
a failure detector, which here is Linkerd's breaker.
"""

import random
from collections.abc import Sequence

from bench.simulate.attempt import Attempt, EndpointId, Outcome
from bench.simulate.baselines.accrual import Breakers
from bench.simulate.baselines.plain import ASKED, Counting
from bench.simulate.policy import View
from bench.simulate.requests import Request

KEPT = 0.9
"""Weight of what was known before a response."""


class C3(Counting):
    """Each worker for itself, as a client of C3."""

    def start(self, view: View, workers: int, rng: random.Random) -> None:
        """Nobody has answered yet, so everybody ranks first."""
        super().start(view, workers, rng)
        self._response_s = [[0.0] * len(view.prices) for _ in range(workers)]
        self._breakers = [Breakers(len(view.prices), rng) for _ in range(workers)]

    def order(self, now: float, worker: int, request: Request) -> Sequence[EndpointId]:
        """By rank; equals by chance."""
        response_s, pending, workers = self._response_s[worker], self.pending[worker], self.workers

        def rank(endpoint: EndpointId) -> float:
            return (1 + pending[endpoint] * workers) ** 3 * response_s[endpoint] + 1e-6 * self.rng.random()

        return sorted(self._breakers[worker].fit(self.endpoints, now), key=rank)[:ASKED]

    def began(self, now: float, worker: int, attempt: Attempt) -> None:
        """One more under way."""
        super().began(now, worker, attempt)
        self._breakers[worker].began(attempt)

    def first_token(self, now: float, worker: int, attempt: Attempt) -> None:
        """A response."""
        known_s, seconds = self._response_s[worker][attempt.endpoint], now - attempt.begun_at
        self._response_s[worker][attempt.endpoint] = known_s * KEPT + seconds * (1 - KEPT) if known_s else seconds

    def ended(self, now: float, worker: int, attempt: Attempt, outcome: Outcome) -> None:
        """For the failure detector."""
        super().ended(now, worker, attempt, outcome)
        self._breakers[worker].ended(attempt, outcome, now)
