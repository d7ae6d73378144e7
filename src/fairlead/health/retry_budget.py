"""How much of the traffic may be second tries: an outage must not be answered with more load."""

from dataclasses import dataclass


@dataclass(slots=True)
class RetryBudget:
    """A token bucket: `per_request` for each request, and `per_second` for the whole fleet, so that little traffic can
    be retried too. Empty, the first error is the answer.

    Each worker holds its part, 1 / workers of what comes with time; what comes with requests is its own anyway. So the
    fleet together never retries more than its budget, and no worker waits for another. Sources: Finagle's RetryBudget
    (20 % and 10/s), tower.
    """

    per_request: float = 0.15
    per_second: float = 10.0
    burst: float = 20.0
    tokens: float = 20.0
    at: float = 0.0

    def earn(self, now: float, fleet: int) -> None:
        """Count one request at `now`; `fleet` workers share what comes with time."""
        tokens = self.left(now, fleet) + self.per_request
        self.tokens = min(self.burst, tokens)
        self.at = now

    def left(self, now: float, fleet: int) -> float:
        """Return what there is at `now`."""
        passed_s = now - self.at if 0.0 < self.at < now else 0.0
        left = self.tokens + passed_s * self.per_second / (fleet or 1)
        return min(self.burst, left)

    @property
    def is_half_full(self) -> bool:
        """Whether there is enough for what is not a retry but takes the same load."""
        return self.tokens >= self.burst / 2.0

    def take(self, tokens: float) -> bool:
        """Pay for a second try; False, and nothing is taken, when there is not enough left."""
        if tokens > self.tokens:
            return False
        self.tokens -= tokens
        return True
