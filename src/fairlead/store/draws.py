"""What is asked of the store for a request, or given back to it, and who waits for the answer."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from fairlead import clock
from fairlead.access.lease import AmountLease, RateLease
from fairlead.access.windows import windows_at
from fairlead.store.money import AmountDraw, Grant, MoneyAway, RateDraw


@dataclass(slots=True, eq=False)
class Waiting:
    """A draw on a lease, and who waits for it. `started` is Unix seconds."""

    lease: AmountLease | RateLease
    need: int
    started: float = 0.0
    answer: "asyncio.Future[Grant | None] | None" = None
    """None if the need was met, and is taken; else why not. Nobody waits when something is only given back."""
    is_met: bool = False

    @property
    def is_over(self) -> bool:
        """The caller has left."""
        return self.answer is not None and self.answer.done()

    def end(self, grant: Grant, now: float) -> None:
        """Take what is here now. The caller may have its turn only after the next call, or have left before that."""
        if self.answer is not None and not self.answer.done():
            lease = self.lease
            take = lease.hold if isinstance(lease, AmountLease) else lease.take
            self.is_met = take(self.need, now)
            self.answer.set_result(None if self.is_met else grant)

    def fail(self, error: MoneyAway) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error)

    def draw(self, workers: int) -> AmountDraw | RateDraw:
        """Return what is asked of the store. What is left of a rate goes back with that."""
        lease, need = self.lease, self.need
        if isinstance(lease, AmountLease):
            windows = windows_at(self.started)
            limits = [(windows[limit.window], limit.most) for limit in lease.limits]
            if is_today(self.started):
                need = max(need - lease.available, 1)
            return AmountDraw(lease.account, limits, need, need + lease.ahead)
        returned, lease.available = lease.available, 0
        want = lease.want(need, workers) if need else 0
        return RateDraw(lease.account, lease.limit.interval_us, lease.limit.per_minute, returned, need, want)


def amounts(draws: Iterable[Waiting]) -> list[AmountLease]:
    """Return those leases that are of an amount."""
    return [one.lease for one in draws if isinstance(one.lease, AmountLease)]


def is_today(started: float) -> bool:
    """Whether a request that began then counts in the windows of now."""
    return started // 86_400 == clock.wall() // 86_400
