"""An engine of one's own as a personality: slots with a queue before them, and the fuller the slower."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.policies.world import TOKENS
from fairlead.demo.personality import Pace, Personality


@dataclass(slots=True)
class Slots:
    """Who is served when. Replies have the same length, so that all is known when a request comes.

    An engine goes on for callers who have left, which the simulator's does not.
    """

    count: int
    slope: float
    """How much slower full slots are than empty ones (1: twice as slow)."""
    _ends: list[float] = field(default_factory=list)
    """When each slot that is taken, or promised, will be free."""

    def take(self, now: float, first_s: float, rest_s: float) -> tuple[float, float]:
        """Return the wait for a slot, and the factor of all times in it."""
        while self._ends and self._ends[0] <= now:
            heapq.heappop(self._ends)
        wait_s = heapq.heappop(self._ends) - now if len(self._ends) == self.count else 0.0
        factor = 1.0 + self.slope * (len(self._ends) + 1) / self.count
        heapq.heappush(self._ends, now + wait_s + (first_s + rest_s) * factor)
        return wait_s, factor


@dataclass(frozen=True)
class Engine(Personality):
    """A personality whose pace depends on who else is there."""

    at: Callable[[], float] = field(kw_only=True)
    slots: Slots = field(kw_only=True)

    def draw(self, rng: random.Random) -> Pace:
        """The pace of a request that comes now."""
        pace = Personality.draw(self, rng)
        wait_s, factor = self.slots.take(self.at(), pace.first_token_s, TOKENS * pace.token_s)
        return Pace(wait_s + factor * pace.first_token_s, factor * pace.token_s)
