"""Least request: the one of two random endpoints that has fewer requests under way. Envoy's default of its kind."""

import random
from collections.abc import Sequence

from bench.simulate.attempt import Attempt, EndpointId, Kind, Outcome
from bench.simulate.baselines.outliers import Outliers
from bench.simulate.baselines.plain import Counting, better_of_two, picked
from bench.simulate.policy import View
from bench.simulate.requests import Request


class LeastRequest(Counting):
    """Without any notion of failure."""

    def order(self, now: float, worker: int, request: Request) -> Sequence[EndpointId]:
        """Three draws of two."""
        return self._order_of(self.endpoints, worker)

    def _order_of(self, endpoints: Sequence[EndpointId], worker: int) -> Sequence[EndpointId]:
        pending = self.pending[worker]
        return picked(endpoints, lambda left: better_of_two(left, pending.__getitem__, self.rng))


class LeastRequestOutliers(LeastRequest):
    """The same with Envoy's outlier detection, each worker for itself, as Envoys do."""

    def start(self, view: View, workers: int, rng: random.Random) -> None:
        """Nobody is ejected."""
        super().start(view, workers, rng)
        self._outliers = [Outliers(len(view.prices)) for _ in range(workers)]

    def order(self, now: float, worker: int, request: Request) -> Sequence[EndpointId]:
        """Three draws of two among those that are not ejected."""
        return self._order_of(self._outliers[worker].fit(self.endpoints, now), worker)

    def ended(self, now: float, worker: int, attempt: Attempt, outcome: Outcome) -> None:
        """A 5xx, a reset or a time limit is a failure; 429 is not."""
        super().ended(now, worker, attempt, outcome)
        if outcome.kind in (Kind.ERROR, Kind.TIMEOUT, Kind.CUT):
            self._outliers[worker].failed(attempt.endpoint, self.endpoints, now)
        elif outcome.kind is Kind.OK:
            self._outliers[worker].succeeded(attempt.endpoint)
