"""The health board: what this worker knows of each endpoint, read at `now`.

First cut of the breaker: an endpoint that fails five times in a row is ejected for a time that doubles; one that is
over its limit, or whose account is out of order, rests for as long as it asked. What the fleet knows together is
merged here later; readers ask only `why_not` and `in_flight`.
"""

from dataclasses import dataclass

from fairlead.health.outcome import Outcome, Verdict

FAILURES_TO_EJECT = 5
"""In a row. Envoy's `consecutive_5xx` and linkerd's 7 are of the same size; routing.md, section 3."""
MAX_REST_S = 3_600.0
"""Bound of a rest that grows, so that a mended account is found again within the hour."""


@dataclass(slots=True)
class EndpointHealth:
    """State of one endpoint. Times are monotonic seconds; mutable, owned by its board."""

    in_flight: int = 0
    failures_in_row: int = 0
    ejections_in_row: int = 0
    rests_in_row: int = 0
    ejected_until: float = 0.0
    resting_until: float = 0.0
    resting_because: Verdict | None = None

    def why_not(self, now: float) -> str | None:
        """Return why the endpoint should get no traffic at `now`, or None."""
        if now < self.ejected_until:
            return f"ejected for {self.ejected_until - now:.1f} s more"
        if now < self.resting_until:
            return f"resting for {self.resting_until - now:.1f} s more ({self.resting_because})"
        return None

    def available_at(self, now: float) -> float:
        """When it may be asked again: `now` or later."""
        return max(now, self.ejected_until, self.resting_until)


class HealthBoard:
    """All endpoints, by their ids. Belongs to one worker.

    `eject_min_s` and `eject_max_s` bound the time that an ejection lasts (`FAIRLEAD_PROBE_MIN_S`, `_MAX_S`).
    """

    def __init__(self, eject_min_s: float = 1.0, eject_max_s: float = 60.0) -> None:
        self._eject_min_s = eject_min_s
        self._eject_max_s = eject_max_s
        self._endpoints: dict[str, EndpointHealth] = {}

    def of(self, endpoint_id: str) -> EndpointHealth:
        """Return the state of an endpoint; a new one is healthy."""
        health = self._endpoints.get(endpoint_id)
        if health is None:
            health = self._endpoints[endpoint_id] = EndpointHealth()
        return health

    def observe(self, endpoint_id: str, outcome: Outcome, now: float) -> None:
        """Take an attempt's outcome into account."""
        health = self.of(endpoint_id)
        rule = outcome.rule
        if outcome.verdict is Verdict.OK:
            health.failures_in_row = health.ejections_in_row = health.rests_in_row = 0
            return
        if rule.rest_s:
            _rest(health, outcome, now)
        if rule.is_failure:
            health.failures_in_row += 1
            if health.failures_in_row >= FAILURES_TO_EJECT and now >= health.ejected_until:
                eject_s = min(self._eject_min_s * 2**health.ejections_in_row, self._eject_max_s)
                health.ejected_until = now + eject_s
                health.ejections_in_row = min(health.ejections_in_row + 1, 30)

    def forget_all_but(self, endpoint_ids: set[str]) -> None:
        """Drop the state of endpoints that the catalogue no longer has."""
        for endpoint_id in self._endpoints.keys() - endpoint_ids:
            del self._endpoints[endpoint_id]


def _rest(health: EndpointHealth, outcome: Outcome, now: float) -> None:
    """Let the endpoint rest. A rest grows from one to the next of its kind, not with every request that was under way
    when it began and ends like the one that began it."""
    rule = outcome.rule
    rest_s = rule.rest_s
    if rule.does_rest_grow:
        if now < health.resting_until and health.resting_because is outcome.verdict:
            return
        rest_s = min(rest_s * 2**health.rests_in_row, MAX_REST_S)
        health.rests_in_row = min(health.rests_in_row + 1, 30)
    until = now + (outcome.retry_after_s or rest_s)
    if until > health.resting_until:
        health.resting_until = until
        health.resting_because = outcome.verdict
