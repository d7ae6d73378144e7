"""Shares in proportion to 1 / price^2 among those without an outage in the last 30 s, the others after them.

OpenRouter's documented default. What an outage is they do not say; here it is at least three failures and a fifth of
the attempts. The whole fleet counts together and at once, which is kinder than any store allows.
"""

import random
from collections import deque
from collections.abc import Sequence

from bench.simulate.attempt import Attempt, EndpointId, Kind, Outcome
from bench.simulate.baselines.plain import ASKED, Plain
from bench.simulate.policy import View
from bench.simulate.requests import Request

WINDOW_S = 30.0
OUTAGE_FAILURES = 3
OUTAGE_SHARE = 0.2


class InversePrice(Plain):
    """One view for all workers."""

    def start(self, view: View, workers: int, rng: random.Random) -> None:
        """Nobody has failed."""
        super().start(view, workers, rng)
        self._ends = [deque[tuple[float, bool]]() for _ in view.prices]
        self._failures = [0 for _ in view.prices]

    def order(self, now: float, worker: int, request: Request) -> Sequence[EndpointId]:
        """Drawn in proportion, those with an outage last (Efraimidis and Spirakis, 2006)."""

        def place(endpoint: EndpointId) -> tuple[bool, float]:
            return self._is_out(endpoint, now), self.rng.expovariate(self.view.prices[endpoint] ** -2)

        return sorted(self.endpoints, key=place)[:ASKED]

    def ended(self, now: float, worker: int, attempt: Attempt, outcome: Outcome) -> None:
        """Remember it for half a minute."""
        if outcome.kind is not Kind.GONE:
            is_failure = outcome.kind is not Kind.OK
            self._ends[attempt.endpoint].append((now, is_failure))
            self._failures[attempt.endpoint] += is_failure

    def _is_out(self, endpoint: EndpointId, now: float) -> bool:
        ends = self._ends[endpoint]
        while ends and ends[0][0] < now - WINDOW_S:
            self._failures[endpoint] -= ends.popleft()[1]
        return self._failures[endpoint] >= max(OUTAGE_FAILURES, OUTAGE_SHARE * len(ends))
