"""A worker's till: holds what requests may cost, charges what they did, and settles with the store ten times a second.

Nothing on the path of a request waits for the store, but for a request under a limit whose lease here is used up.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fairlead import clock
from fairlead.access.keys import ApiKey
from fairlead.access.lease import AmountLease, RateLease
from fairlead.access.spend import (
    Budgets,
    WorstCase,
    refuse_concurrency,
    refuse_free_day,
    refuse_held,
    refuse_rate,
    refuse_size,
    refuse_spend,
    refuse_unchecked,
)
from fairlead.access.windows import resets_at
from fairlead.store.backlog import AT_ONCE, Backlog
from fairlead.store.draws import Waiting, amounts, is_today
from fairlead.store.lease_book import KeyLeases, LeaseBook
from fairlead.store.money import DEAD_S, Answer, Call, Charge, Grant, MoneyAway, MoneyStore, RateDraw, charge_of
from fairlead.store.unsettled import Unsettled
from fairlead.telemetry.generation import Generation

FLUSH_S = 0.1
SWEEP_S = 2.0
"""How often a worker calls that has nothing at all to tell: somebody has to find the dead. Less than AWAY_S of the
script, which takes a longer silence for an absence of the store, and nobody for dead because of that."""
BEAT_S = 1.0
"""How often a worker calls that has leases, or requests under way, and no news."""
VOID_S = 0.8 * DEAD_S
"""After so long without an answer the leases here may have been given to others."""
CLOSED_AT_ONCE = 500
SPEND_PATIENCE_S = 1.0
SLOT_PATIENCE_S = 0.25
"""How long a request waits for what others have leased and do not use, or hold for a request that ends."""
PAUSES_S = (0.002, 0.005, 0.01, 0.02, 0.05)
TRIM_S = 60.0
CLOSING_TRIES = 8
CLOSING_PAUSE_S = 0.25
"""Between them: two to six seconds, whether the store hangs or refuses, in which a replica may take over."""
MOST_HELD_USD_NANOS = 2**52
"""By one request: four million dollars. The store reckons in floating point, exactly up to twice as much."""


@dataclass(slots=True, eq=False)
class Hold:
    """What a request holds until it has ended."""

    leases: KeyLeases
    started: float
    """Unix seconds: what it costs is charged to the windows of then."""
    has_slot: bool = False
    spend: Sequence[tuple[AmountLease, int]] = ()
    tokens: int = 0
    has_free: bool = False
    """One of the day's requests to free models."""


class Till:
    """`under_way(is_all)` gives the requests under way, as they would have to be charged now, in case this worker dies:
    all, or those that it has not given before. `tell` is told what an operator should know.
    """

    def __init__(
        self,
        store: MoneyStore,
        worker: str,
        budgets: Budgets,
        *,
        workers: int = 1,
        ledger_days: int = 90,
        under_way: Callable[[bool], Sequence[Generation]] = lambda _: (),
        alert: Callable[[str], None] = lambda _: None,
        disk: Unsettled | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._worker = worker
        self._workers = workers
        self._ledger_s = ledger_days * 86_400
        self._under_way = under_way
        self._alert = alert
        self._number = 0
        self._backlog = Backlog(disk, _report, tell)
        self._closed: list[str] = []
        self._dead: list[str] = []
        self._waiting: list[Waiting] = []
        self._book = LeaseBook(budgets, workers, clock.monotonic())
        self._wake = asyncio.Event()
        self._calling = asyncio.Lock()
        self._heard = 0
        """Number of the last call that was answered."""
        self._called_at = self._beat_at = self._answered_at = self._trimmed_at = clock.monotonic()
        self._is_closed = False
        self.is_away = False

    # -- requests ------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Draws that the store is still to answer."""
        return len(self._waiting)

    @property
    def unsettled(self) -> int:
        """Charges that the store has not confirmed."""
        return len(self._backlog)

    def is_unlimited(self, key: ApiKey) -> bool:
        """Whether nothing limits a request with this key: then there is nothing to hold."""
        return self._book.is_unlimited(key)

    async def enter(self, key: ApiKey, started: float | None = None) -> Hold:
        """Admit a request: its place in the rate, and among those under way. Raises ApiError 429 and 503.

        `started`: the Unix time that its generation will have; now, if nothing is said.
        """
        leases = self._book.of_key(key, clock.monotonic())
        hold = Hold(leases, clock.wall() if started is None else started)
        if leases.requests is not None and not leases.requests.take(1, clock.monotonic()):
            await self._take(leases.requests, 1, "requests")
        if leases.slots is not None:
            if not self._hold(leases.slots, 1, hold.started):
                await self._hold_slot(leases.slots, hold.started)
            hold.has_slot = True
        return hold

    async def reserve(self, hold: Hold, worst: WorstCase) -> None:
        """Hold the most that the request may cost. Raises ApiError 400, 402, 403, 429 and 503; `leave` all the same."""
        leases = hold.leases
        if leases.tokens is not None:
            if worst.tokens > leases.tokens.limit.per_minute:
                raise refuse_size(leases.tokens.limit.per_minute, worst.tokens)
            if not leases.tokens.take(worst.tokens, clock.monotonic()):
                await self._take(leases.tokens, worst.tokens, "tokens")
            hold.tokens = worst.tokens
        if worst.is_free:
            await self._reserve_free(hold)
        amount = min(worst.usd_nanos, MOST_HELD_USD_NANOS)
        for lease in (leases.spend, self._book.instance):
            if lease is not None and amount > 0:
                if not self._hold(lease, amount, hold.started):
                    await self._hold_spend(lease, amount, hold.started, worst)
                hold.spend = (*hold.spend, (lease, amount))

    async def _reserve_free(self, hold: Hold) -> None:
        by_minute, by_day = hold.leases.free_by_minute, hold.leases.free_by_day
        if by_minute is not None and not by_minute.take(1, clock.monotonic()):
            await self._take(by_minute, 1, "free-models")
        if by_day is not None:
            if not self._hold(by_day, 1, hold.started):
                await self._hold_free(by_day, hold.started)
            hold.has_free = True

    async def _hold_free(self, lease: AmountLease, started: float) -> None:
        if await self._hold_drawn(lease, 1, started, SLOT_PATIENCE_S) is not None:
            now, limit = clock.wall(), lease.limits[0]
            raise refuse_free_day(limit.most or 0, now, resets_at(limit.window, now) or now)

    def leave(self, hold: Hold, usd_nanos: int, tokens: int) -> None:
        """Settle what a request has held; it has taken so much of it."""
        now = clock.monotonic()
        if hold.has_slot and hold.leases.slots is not None:
            self._free(hold.leases.slots, 1, 0, now)
        if hold.has_free and hold.leases.free_by_day is not None:
            self._free(hold.leases.free_by_day, 1, 1, now)
        for lease, amount in hold.spend:
            self._free(lease, amount, usd_nanos, now)
        if hold.leases.tokens is not None:
            hold.leases.tokens.settle(hold.tokens, tokens)
            self._book.note_used(hold.leases.tokens)

    def _free(self, lease: AmountLease, held: int, used: int, now: float) -> None:
        lease.settle(held, used, now)
        if lease.available > lease.ahead:  # others may be waiting for it
            self._wake.set()

    def charge(self, *generations: Generation) -> None:
        """Charge what has ended; it is on the disk then."""
        if generations:
            self._backlog.add(*map(charge_of, generations))

    def adopt(self) -> None:
        """Charge what dead workers have left on the disk, and free what they had in hand."""
        self._dead += self._backlog.adopt()

    def forget(self, generation_id: str) -> None:
        """Forget what was given as under way, and has ended without a charge."""
        self._closed.append(generation_id)

    # -- leases --------------------------------------------------------------------------------------------------

    def _hold(self, lease: AmountLease, amount: int, started: float) -> bool:
        """Hold what is here, unless it may be another's already, or is for other windows than this request's."""
        now = clock.monotonic()
        return now - self._answered_at <= VOID_S and is_today(started) and lease.hold(amount, now)

    async def _hold_slot(self, lease: AmountLease, started: float) -> None:
        grant = await self._hold_drawn(lease, 1, started, SLOT_PATIENCE_S)
        if grant is not None:
            raise refuse_concurrency(lease.limits[0].most or 0)

    async def _hold_spend(self, lease: AmountLease, amount: int, started: float, worst: WorstCase) -> None:
        grant = await self._hold_drawn(lease, amount, started, SPEND_PATIENCE_S)
        if grant is not None:
            limit = lease.limits[int(grant.fourth)]
            if grant.third >= amount:
                raise refuse_held(lease.account, limit)
            raise refuse_spend(lease.account, limit, int(grant.third), worst)

    async def _hold_drawn(self, lease: AmountLease, amount: int, started: float, patience_s: float) -> Grant | None:
        """Draw until `amount` is held; return the store's last word if it cannot be had.

        While it is only leased to others, or held for requests under way, it may come back.
        """
        if not is_today(started):
            lease.void()  # it is for other windows
        deadline = clock.monotonic() + patience_s
        pauses = itertools.chain(PAUSES_S, itertools.repeat(PAUSES_S[-1]))
        while (grant := await self._draw(lease, amount, started)) is not None:
            pause_s = next(pauses)
            if grant.third < amount or clock.monotonic() + pause_s > deadline:
                break
            await asyncio.sleep(pause_s)
        return grant

    async def _take(self, lease: RateLease, amount: int, what: str) -> None:
        grant = await self._draw(lease, amount)
        if grant is not None:
            retry_s = grant.fourth / 1e6
            raise refuse_rate(what, lease.limit.per_minute, retry_s, clock.wall() + grant.third / 1e6)

    async def _draw(self, lease: AmountLease | RateLease, need: int, started: float = 0.0) -> Grant | None:
        """Draw until `need` is here, and take it; return what the store says if not. Raises ApiError 503 while away."""
        if self._is_closed:
            raise refuse_unchecked()
        answer: asyncio.Future[Grant | None] = asyncio.get_running_loop().create_future()
        waiting = Waiting(lease, need, started, answer)
        self._waiting.append(waiting)
        self._wake.set()
        try:
            return await answer
        except MoneyAway:
            raise refuse_unchecked() from None
        except asyncio.CancelledError:
            if waiting.is_met and isinstance(lease, AmountLease):
                self._free(lease, need, 0, clock.monotonic())
            elif waiting.is_met and isinstance(lease, RateLease):
                lease.settle(need, 0)
            raise

    # -- the store -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Settle for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self.flush()
            except Exception as error:  # noqa: BLE001 - one call that went wrong must not be the last
                _report(error)

    async def close(self) -> None:
        """Tell what is left, and give back all leases. What the store does not take stays on the disk."""
        self._under_way = lambda _: ()
        self._is_closed = True
        while self._waiting:
            self._waiting.pop().fail(MoneyAway("closed"))
        failures, is_told = 0, False
        while not is_told and failures < CLOSING_TRIES:
            self._book.void_all()
            is_told = await self.flush()
            if self.is_away:
                failures += 1
                await asyncio.sleep(CLOSING_PAUSE_S)
        self._backlog.close()

    async def flush(self) -> bool:
        """Tell the store what is new, and ask what is wanted. Returns whether all of it has been told."""
        async with self._calling:
            while True:
                call, waiting = self._call(clock.monotonic())
                if call is None:
                    return True
                try:
                    answer = await self._store.call(call)
                except MoneyAway as error:
                    self.is_away = True
                    self._is_unheard(call, waiting, error)
                    return False
                except BaseException:
                    self._is_unheard(call, waiting, MoneyAway("the call has been given up"))
                    raise
                if self.is_away:  # others may have left meanwhile, with what they could not tell
                    self.is_away = False
                    self.adopt()
                if answer.is_unknown:  # it has taken no note of this worker, and of what is under way there
                    self._beat_at = float("-inf")
                    self._is_late(call, waiting)
                    continue
                self._answered_at = clock.monotonic()
                if not answer.is_late:
                    self._is_heard(call, waiting, answer)
                    return not self._backlog and not self._closed
                self._is_late(call, waiting)
                return False

    def _call(self, now: float) -> tuple[Call | None, Sequence[Waiting]]:
        is_beat = now - self._beat_at >= BEAT_S
        if is_beat:
            self._beat_at = now
        under_way = self._noted(is_beat)
        rates = self._book.give_back(now, is_void=now - self._answered_at > VOID_S)
        self._waiting += [Waiting(rate, 0) for rate in rates]
        batch = self._backlog.batch()
        later = self._backlog.later() if self._book.told else {}
        waiting, self._waiting = [one for one in self._waiting if not one.is_over], []
        leases = self._book.news(later, amounts(waiting), is_beat=is_beat)
        has_news = batch or self._closed or self._dead or waiting or under_way or leases
        # What is here unused may be what another worker is in want of.
        if not has_news and not self._book.has_unused() and now - self._called_at < SWEEP_S:
            return None, ()
        self._called_at = now
        self._number += 1
        call = Call(
            self._worker,
            self._number,
            batch,
            under_way,
            self._closed[:CLOSED_AT_ONCE],
            leases,
            [one.draw(self._workers) for one in waiting],
            self._book.watches(batch),
            self._dead[:],
            ledger_s=self._ledger_s + 86_400,
            heard=self._heard,
            base=self._book.base(self._heard),
        )
        if now - self._trimmed_at > TRIM_S:
            self._trimmed_at = now
            self.adopt()
            self._book.forget_idle(now)
            call.trim_ms = int((clock.wall() - self._ledger_s) * 1000)
        self._book.tells(leases, later)
        return call, waiting

    def _noted(self, is_all: bool) -> Sequence[Charge]:
        try:
            return [charge_of(generation) for generation in self._under_way(is_all)]
        except Exception as error:  # noqa: BLE001 - what has ended is charged all the same
            _report(error)
            return ()

    def _is_heard(self, call: Call, waiting: Sequence[Waiting], answer: Answer) -> None:
        self._heard = call.number
        del self._closed[: len(call.closed)]
        del self._dead[: len(call.dead)]
        self._book.heard(call.leases)
        for one, grant in zip(waiting, answer.grants, strict=True):
            lease = one.lease
            if isinstance(lease, AmountLease):
                self._book.granted(lease, grant.granted)
            else:
                lease.available += grant.granted
                lease.drawn_at = self._answered_at
                lease.remaining, lease.reset_s = grant.rest, grant.third / 1e6
                self._book.note_used(lease)
            one.end(grant, self._answered_at)
        for account in answer.recalled:
            if self._book.recall(account, self._answered_at):
                self._wake.set()
        for name in answer.reached:
            asyncio.get_running_loop().call_soon(self._alert, name)  # its faults are not ours
        self._backlog.confirm(len(call.settled))
        if len(self._backlog) >= AT_ONCE:  # more than the time between two calls is for
            self._wake.set()

    def _is_late(self, call: Call, waiting: Sequence[Waiting]) -> None:
        """It was made twice, since the connection broke, and this is the answer to the second one. Ask anew.

        Or the store knows a higher number of this worker, from wherever: begin beyond it. Or it does not know what this
        worker has told it before. In any case, tell it all.
        """
        self._number += 1_000_000
        self._book.unknown()
        self._doubt(call, waiting)
        self._waiting = [*waiting, *self._waiting]
        self._wake.set()

    def _is_unheard(self, call: Call, waiting: Sequence[Waiting], error: MoneyAway) -> None:
        self._doubt(call, waiting)
        for one in waiting:
            one.fail(error)

    def _doubt(self, call: Call, waiting: Sequence[Waiting]) -> None:
        """What was drawn may have been granted, or not: what is here counts, and the store has to be told."""
        self._book.unheard(call.leases, amounts(waiting))
        for one, draw in zip(waiting, call.draws, strict=True):
            owed = min(draw.returned, 0) if isinstance(draw, RateDraw) else 0
            if owed and isinstance(one.lease, RateLease):  # a debt stays one
                one.lease.available += owed
                self._book.note_used(one.lease)


def _report(error: Exception) -> None:
    """Tell whoever looks after the event loop; the till goes on."""
    asyncio.get_running_loop().call_exception_handler({"message": "a fault in settling", "exception": error})
