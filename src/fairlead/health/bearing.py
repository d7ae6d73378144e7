"""How many requests at once an endpoint bears, learned from how its first tokens slow down.

    gradient = clamp(TOLERANCE · calm / recent, 0.5, 1)
    limit    → limit · gradient + GROWTH, smoothed, as long as the endpoint is used to half of it

After Gradient2 of Netflix' concurrency-limits, but for the time that counts as calm: there it is a long mean, which an
overload that lasts raises with it; here the least that was seen, which rises to what is seen while the endpoint is
little used, and without that in hours only. For endpoints that feel our load (engines of one's own); a hosted model's
first tokens vary for other reasons, so it is a setting, off by default.
"""

import math
from dataclasses import dataclass

TOLERANCE = 2.0
"""Waiting as long again as in calm is the price of using an endpoint fully."""
GROWTH = 4.0
LEAST = 2.0
MOST = 10_000.0
SMOOTHING_S = 2.0
QUIET_S = 60.0
"""In so long most of a difference is taken over that is seen while the endpoint is little used."""
FORGET_S = 14_400.0
"""In so long the calm time rises to e times itself however much it is used, unless it is seen again."""


@dataclass(slots=True)
class Bearing:
    """Of one endpoint; `limit` is of the whole fleet. Times are monotonic seconds."""

    limit: float = 4.0
    """So few at first, that a calm time is seen."""
    calm_s: float = math.inf
    at: float = -math.inf

    def learn(self, in_flight: float, recent_s: float, now: float) -> None:
        """Take in that first tokens take `recent_s` while so many requests are in flight."""
        passed_s, self.at = min(now - self.at, SMOOTHING_S), now
        if passed_s <= 0.0 or recent_s <= 0.0:
            return
        self.calm_s = min(recent_s, self.calm_s * math.exp(passed_s / FORGET_S))
        if in_flight < self.limit / 2.0:
            self.calm_s += (1.0 - math.exp(-passed_s / QUIET_S)) * (recent_s - self.calm_s)
            return
        gradient = min(max(TOLERANCE * self.calm_s / recent_s, 0.5), 1.0)
        part = 1.0 - math.exp(-passed_s / SMOOTHING_S)
        wanted = self.limit * gradient + GROWTH
        self.limit = min(max(self.limit + part * (wanted - self.limit), LEAST), MOST)
