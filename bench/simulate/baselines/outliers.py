"""Envoy's outlier detection with its defaults: consecutive 5xx and success rate."""

from collections.abc import Sequence
from statistics import fmean, pstdev

from bench.simulate.attempt import EndpointId

IN_A_ROW = 5
INTERVAL_S = 10.0
EJECTED_S = 30.0
EJECTED_MOST_S = 300.0
EJECTED_SHARE = 0.1
"""At most that share of the endpoints is ejected at once, but always one may be."""
RATE_HOSTS = 5
RATE_VOLUME = 100
RATE_DEVIATIONS = 1.9


class Outliers:
    """What one Envoy thinks of its endpoints. Ejections end at the turn of an interval only, as they do there."""

    def __init__(self, endpoints: int) -> None:
        self._in_a_row = [0] * endpoints
        self._ejections = [0] * endpoints
        self._until = [0.0] * endpoints
        self._good = [0] * endpoints
        self._bad = [0] * endpoints
        self._swept_at = 0.0

    def fit(self, endpoints: Sequence[EndpointId], now: float) -> Sequence[EndpointId]:
        """Those that are not ejected; everyone when that is less than half (panic)."""
        if now - self._swept_at >= INTERVAL_S:
            self._sweep(endpoints, now)
        fit = [endpoint for endpoint in endpoints if not self._until[endpoint]]
        return fit if 2 * len(fit) >= len(endpoints) else endpoints

    def succeeded(self, endpoint: EndpointId) -> None:
        """A reply."""
        self._in_a_row[endpoint] = 0
        self._good[endpoint] += 1

    def failed(self, endpoint: EndpointId, endpoints: Sequence[EndpointId], now: float) -> None:
        """A 5xx or the like."""
        self._in_a_row[endpoint] += 1
        self._bad[endpoint] += 1
        if self._in_a_row[endpoint] >= IN_A_ROW:
            self._in_a_row[endpoint] = 0
            self._eject(endpoint, endpoints, now)

    def _eject(self, endpoint: EndpointId, endpoints: Sequence[EndpointId], now: float) -> None:
        ejected = sum(1 for other in endpoints if self._until[other])
        if not self._until[endpoint] and (not ejected or (ejected + 1) / len(endpoints) <= EJECTED_SHARE):
            self._ejections[endpoint] += 1
            self._until[endpoint] = now + min(EJECTED_S * self._ejections[endpoint], EJECTED_MOST_S)

    def _sweep(self, endpoints: Sequence[EndpointId], now: float) -> None:
        self._swept_at = now
        for endpoint in endpoints:
            if self._until[endpoint] and now >= self._until[endpoint]:
                self._until[endpoint] = 0.0
            elif not self._until[endpoint] and self._ejections[endpoint]:
                self._ejections[endpoint] -= 1
        rates = {
            endpoint: self._good[endpoint] / total
            for endpoint in endpoints
            if (total := self._good[endpoint] + self._bad[endpoint]) >= RATE_VOLUME
        }
        if len(rates) >= RATE_HOSTS:
            floor = fmean(rates.values()) - RATE_DEVIATIONS * pstdev(rates.values())
            for endpoint, rate in rates.items():
                if rate < floor:
                    self._eject(endpoint, endpoints, now)
        self._good = [0] * len(self._good)
        self._bad = [0] * len(self._bad)
