"""Leases: what a worker may spend of a shared limit without asking.

The store hands out parts of what is left, so that the sum of what has been spent and what is leased never exceeds the
limit, and requests are admitted without waiting for it. A request holds the most that it may take, and settles what it
has taken. What a worker does not need goes back.

Two kinds: an amount that is used up (money, concurrent requests), and a rate that grows again. Source:
routing-reference, section 4.6.
"""

import math
from dataclasses import dataclass, field

from fairlead.access.windows import Window

IDLE_S = 10.0
"""A lease that nobody has used for as long goes back."""
AHEAD_S = 5.0
"""So much use is leased ahead, as far as there is plenty."""
RECALL_S = 2.0
"""For so long after somebody was in want of it, nothing is leased ahead."""
RATE_AHEAD_S = 0.5
RATE_GOOD_S = 1.0
"""A permit that is not used for as long goes back with the next draw; a worker that dies loses no more."""


@dataclass(frozen=True, slots=True)
class AmountLimit:
    """A limit on an account: `most` in each window, of whatever unit; None: the credits that have been bought."""

    window: Window
    most: int | None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many units per minute, of which a whole minute's may come at once."""

    per_minute: int

    @property
    def interval_us(self) -> float:
        return 60e6 / self.per_minute


@dataclass(slots=True, eq=False, weakref_slot=True)
class AmountLease:
    """This worker's part of an amount. Whole units; times are the worker's monotonic seconds."""

    account: str
    limits: tuple[AmountLimit, ...]
    keep: int = 0
    """What may stay here unused, however seldom it is needed."""
    available: int = 0
    held: int = 0
    used_at: float = 0.0
    pace: float = 0.0
    """Units per second, as of `paced_at`: each use counts half after AHEAD_S."""
    paced_at: float = 0.0
    recalled_until: float = 0.0
    """Till then nothing may stay here unused: somebody needs it."""
    changed: "set[AmountLease]" = field(default_factory=set, repr=False)
    """It puts itself in there with whatever is done to it: its owner need not look through all that it has."""

    @property
    def outstanding(self) -> int:
        """What the others must not use."""
        return self.available + self.held

    @property
    def ahead(self) -> int:
        """What should be here unused."""
        return max(self.keep, int(self.pace * AHEAD_S))

    def hold(self, amount: int, now: float) -> bool:
        """Set `amount` aside for a request, if it is here."""
        if self.available < amount:
            return False
        self.available -= amount
        self.held += amount
        self.used_at = now
        self.changed.add(self)
        return True

    def settle(self, held: int, used: int, now: float) -> None:
        """A request that held so much has used so much. What it used beyond that is spent, and leased by nobody."""
        if now >= self.recalled_until:
            passed_s = max(now - self.paced_at, 0.0)
            self.pace = self.pace * 0.5 ** (passed_s / AHEAD_S) + used * math.log(2.0) / AHEAD_S
        self.used_at = self.paced_at = now
        self.held -= held
        self.available += max(held - used, 0)
        self.changed.add(self)

    def give_back(self, now: float) -> bool:
        """Let go of what is not needed; returns whether there was anything."""
        most = 0 if now - self.used_at > IDLE_S or now < self.recalled_until else self.ahead
        if self.available <= most:
            return False
        self.available = most
        self.changed.add(self)
        return True

    def grant(self, amount: int) -> None:
        """So much more is here."""
        self.available += amount
        self.changed.add(self)

    def recall(self, now: float) -> None:
        """Somebody else needs what is not used here."""
        self.pace = 0.0
        self.recalled_until = now + RECALL_S
        self.changed.add(self)

    def void(self) -> None:
        """Forget what is not held: the store has taken this worker for dead, and may have given it to another."""
        self.available = 0
        self.changed.add(self)


@dataclass(slots=True, eq=False, weakref_slot=True)
class RateLease:
    """This worker's part of a rate."""

    account: str
    limit: RateLimit
    available: int = 0
    """Below zero when requests have taken more than was foreseen: to be paid with the next draw."""
    drawn_at: float = field(default=float("-inf"))
    remaining: int = 0
    """Of the whole fleet's, when it was last heard of."""
    reset_s: float = 0.0
    """Until all of it is there again, as of `drawn_at`."""

    def take(self, amount: int, now: float) -> bool:
        """Take `amount`, if it is here."""
        if self.available < amount or now - self.drawn_at > RATE_GOOD_S:
            return False
        self.available -= amount
        return True

    def settle(self, foreseen: int, used: int) -> None:
        """A request has taken another number than was foreseen."""
        self.available += foreseen - used

    def want(self, need: int, workers: int) -> int:
        """How much to draw."""
        return max(need, int(self.limit.per_minute / 60.0 * RATE_AHEAD_S / workers))
