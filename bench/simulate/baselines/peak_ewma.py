"""Peak EWMA with two choices, and Linkerd's breaker.

The estimate jumps to a worse sample at once, approaches a better one with `DECAY_S`, and decays towards zero while
nothing comes (so that who was bad is tried again). Cost = estimate x (requests under way + 1). Finagle's
`PeakEwma`, tower's `load::peak_ewma`; a sample is the time to the first token, as Linkerd measures to the first frame.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from bench.simulate.attempt import Attempt, EndpointId, Outcome
from bench.simulate.baselines.accrual import Breakers
from bench.simulate.baselines.plain import Counting, better_of_two, picked
from bench.simulate.policy import View
from bench.simulate.requests import Request

DECAY_S = 10.0
UNKNOWN_S = 0.03


@dataclass(slots=True)
class _Estimate:
    seconds: float = UNKNOWN_S
    at: float = 0.0

    def read(self, now: float) -> float:
        self.seconds *= exp((self.at - now) / DECAY_S)
        self.at = now
        return self.seconds

    def sample(self, seconds: float, now: float) -> None:
        kept = exp((self.at - now) / DECAY_S)
        self.seconds = seconds if seconds > self.seconds else self.seconds * kept + seconds * (1 - kept)
        self.at = now


class PeakEwma(Counting):
    """Each worker for itself."""

    def start(self, view: View, workers: int, rng: random.Random) -> None:
        """Nothing is known."""
        super().start(view, workers, rng)
        self._estimates = [[_Estimate() for _ in view.prices] for _ in range(workers)]
        self._breakers = [Breakers(len(view.prices), rng) for _ in range(workers)]

    def order(self, now: float, worker: int, request: Request) -> Sequence[EndpointId]:
        """Three draws of two among those that are not shut."""
        estimates, pending = self._estimates[worker], self.pending[worker]

        def cost(endpoint: EndpointId) -> float:
            return estimates[endpoint].read(now) * (pending[endpoint] + 1)

        fit = self._breakers[worker].fit(self.endpoints, now)
        return picked(fit, lambda left: better_of_two(left, cost, self.rng))

    def began(self, now: float, worker: int, attempt: Attempt) -> None:
        """One more under way."""
        super().began(now, worker, attempt)
        self._breakers[worker].began(attempt)

    def first_token(self, now: float, worker: int, attempt: Attempt) -> None:
        """A sample."""
        self._estimates[worker][attempt.endpoint].sample(now - attempt.begun_at, now)

    def ended(self, now: float, worker: int, attempt: Attempt, outcome: Outcome) -> None:
        """A failure is a sample too, however fast it was: so it is there."""
        super().ended(now, worker, attempt, outcome)
        if attempt.first_token_at is None:
            self._estimates[worker][attempt.endpoint].sample(now - attempt.begun_at, now)
        self._breakers[worker].ended(attempt, outcome, now)
