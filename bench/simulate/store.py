"""The shared store as the workers find it: near, as a rule, sometimes away, sometimes emptied.

Only its behaviour is here. What is kept in it is the affair of the policy that uses it.
"""

import random
from dataclasses import dataclass

RTT_S = 0.0008
PUBLISH_S = (0.001, 0.005)
"""How long a published message is under way, at least and at most."""


@dataclass(frozen=True, slots=True)
class StoreLink:
    """`outages` are pairs of start and end, `flushes` the times at which all keys are lost."""

    outages: tuple[tuple[float, float], ...] = ()
    flushes: tuple[float, ...] = ()

    def is_up(self, now: float) -> bool:
        """Whether a call at `now` is answered."""
        return not any(start <= now < end for start, end in self.outages)

    def publish_s(self, rng: random.Random) -> float:
        """Draw how long a published message takes."""
        return rng.uniform(*PUBLISH_S)
