"""Linkerd's breaker: consecutive failures shut an endpoint, for a time that doubles; then one request is on probation.

Kinder than the original in two ways: 429 counts as a failure, and with all of them shut everyone is asked, not nobody.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from bench.simulate.attempt import Attempt, EndpointId, Kind, Outcome
from bench.simulate.requests import Request

IN_A_ROW = 7
SHUT_S = (1.0, 60.0)
SHUT_JITTER = 0.5


@dataclass(slots=True)
class _Breaker:
    failures: int = 0
    shuts: int = 0
    """How often it has been shut since it was last open; 0 while it is."""
    shut_until: float = 0.0
    probe: Request | None = None
    """On probation: nobody else goes there."""


class Breakers:
    """Those of one worker."""

    def __init__(self, endpoints: int, rng: random.Random) -> None:
        self._breakers = [_Breaker() for _ in range(endpoints)]
        self._rng = rng

    def fit(self, endpoints: Sequence[EndpointId], now: float) -> Sequence[EndpointId]:
        """Those that are open, or ready for a request on probation."""
        return [endpoint for endpoint in endpoints if self._is_fit(self._breakers[endpoint], now)] or endpoints

    def began(self, attempt: Attempt) -> None:
        """A request goes there; if the breaker was shut, it is the one on probation."""
        breaker = self._breakers[attempt.endpoint]
        if breaker.shuts and breaker.probe is None:
            breaker.probe = attempt.request

    def ended(self, attempt: Attempt, outcome: Outcome, now: float) -> None:
        """What came of it. While a breaker is shut, only the request on probation counts."""
        breaker = self._breakers[attempt.endpoint]
        is_probe = breaker.probe is attempt.request
        if is_probe:
            breaker.probe = None
        if outcome.kind is Kind.GONE or (breaker.shuts and not is_probe):
            return
        if outcome.kind is Kind.OK:
            breaker.failures = breaker.shuts = 0
            return
        breaker.failures += 1
        if is_probe or breaker.failures >= IN_A_ROW:
            shut_s = min(SHUT_S[0] * 2**breaker.shuts, SHUT_S[1])
            breaker.shut_until = now + shut_s * (1 + SHUT_JITTER * self._rng.random())
            breaker.shuts += 1

    @staticmethod
    def _is_fit(breaker: _Breaker, now: float) -> bool:
        return not breaker.shuts or (now >= breaker.shut_until and breaker.probe is None)
