"""What must hold of money whatever happens, and in whatever order.

Some workers, and a real store with its script: requests that cost less, as much, or more than they held; calls that get
lost, answers that get lost, calls that arrive twice or after later ones; workers that die, and some that are only taken
for dead; limits that change, windows that end, a store that begins again with its data.

How far a limit can be exceeded: what is spent in a window, and what living workers have leased, is never more than the
limit, but for

1. what requests cost beyond what they held, and what a correction adds to an estimate, and
2. all that requests cost whose worker was taken for dead while they were under way: it had not called for DEAD_S, and
   went on.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fairlead import tasks
from fairlead.access.keys import ApiKey
from fairlead.access.lease import IDLE_S
from fairlead.access.spend import INSTANCE, Budgets, WorstCase, key_limits
from fairlead.access.windows import windows_at
from fairlead.catalog.model import Price
from fairlead.errors import ApiError
from fairlead.store import backlog, server, till
from fairlead.store.audit import AuditStore
from fairlead.store.money import DEAD_S, SLOT
from fairlead.store.redis import connect
from fairlead.store.till import Hold, Till
from harness.ledger import DAY_S, generation
from harness.money import Holdings, Line, StillMoney
from harness.valkey import Valkey

BUDGETS = Budgets(daily=400, is_credit_enforced=True, alerts=(0.5, 1.0))
KEYS = (
    ApiKey("k0", "", ""),
    ApiKey("k1", "", "", limit_usd_nanos=100),
    ApiKey("k2", "", "", limit_usd_nanos=150, limit_reset="daily"),
    ApiKey("k3", "", "", limit_usd_nanos=200, limit_reset="weekly", max_concurrency=2),
)
CHANGING = (1, 2)
"""Of these the limit changes."""
AWAY_S = 5.0
"""The script's."""
FATES = ["arrives"] * 6 + ["is lost", "is late", "answer is lost", "is repeated"]
TURNS = 8
"""Of the event loop, until nothing happens by itself any more."""


@dataclass(eq=False)
class Request:
    id: str
    worker: str
    key: str
    started: float
    worst: int
    task: object = None
    hold: Hold | None = None
    estimate: int = 0
    """What it would be charged if its worker died now."""
    is_begun: bool = False
    is_noted: bool = False
    is_over: bool = False
    is_end_known: bool = False
    """The store has heard from its worker since it was over."""
    is_forsaken: bool = False
    """Its worker was taken for dead before the store knew its end."""
    words: list = field(default_factory=list)
    """What its worker said that it cost, and with what doubt; the best of it counts."""
    pending: list = field(default_factory=list)
    """Costs that the store has not been told, or not again. Until then they are leased, to be sure."""

    def _repr_pretty_(self, printer, _):
        printer.text(f"{self.id} of {self.worker}")

    def held(self, account):
        spend = self.hold.spend if self.hold is not None else ()
        return sum(amount for lease, amount in spend if lease.account == account)

    @property
    def is_waiting(self):
        return self.task is not None and not self.task.done()

    @property
    def first(self):
        """With this word it has left what it held."""
        return self.words[0] if self.words else (0, 9)

    @property
    def best(self):
        return min(self.words, key=lambda word: word[1], default=(0, 9))

    def generation(self, cost, doubt):
        end, is_estimated = "crashed" if doubt == 2 else "ok", doubt > 0
        return generation(
            self.started, id=self.id, key=self.key, cost_usd_nanos=cost, prompt_tokens=cost, end=end,
            is_estimated=is_estimated,
        )  # fmt: skip


@dataclass(eq=False)
class Worker:
    name: str
    till: Till
    line: Line

    def _repr_pretty_(self, printer, _):
        printer.text(self.name)


class Books:
    """A second account: what the store has been told. Between the workers and the store."""

    def __init__(self, store):
        self._store = store
        self.requests = []
        self.known = {}
        """By generation: what it costs, with what doubt."""
        self.open = {}
        self.buried = set()
        self.stale = set()
        """Buried, and dug out by a call of before: what that said is leased is not used by anybody any more."""
        self.called_at = {}
        self.since = 0.0
        """When the calls began that have gone on without a break."""

    async def deliver(self, call):
        """Long after it was made."""
        was_buried = call.worker in self.buried
        answer = await self.call(call)
        if was_buried and not answer.is_late:
            self.stale.add(call.worker)

    async def call(self, call):
        answer = await self._store.call(call)
        if not answer.is_late:
            self.stale.discard(call.worker)
            workers = await self._store.client.hgetall(f"{SLOT}workers")
            self._take(call, {name.decode() for name, value in workers.items() if value.endswith(b"buried")})
        return answer

    def _take(self, call, buried):
        now = self._store.now
        if now - max(self.called_at.values(), default=0.0) > AWAY_S:
            self.since = now
        self.called_at[call.worker] = now
        open_here = self.open.setdefault(call.worker, {})
        for charge in call.settled:
            self._hear(charge)
            pending = next(request.pending for request in self.requests if request.id == charge.id)
            if charge.amounts[0] in pending:
                pending.remove(charge.amounts[0])
            open_here.pop(charge.id, None)
        for closed in call.closed:
            open_here.pop(closed, None)
        open_here.update({charge.id: charge for charge in call.open})
        for request in self.requests:
            if request.worker == call.worker and request.is_over:
                request.is_end_known = True
        for worker in buried - self.buried:
            self._bury(worker, now)
        self.buried = buried

    def _bury(self, worker, now):
        assert now - max(self.called_at[worker], self.since) > DEAD_S, "it may be alive"
        for charge in self.open.pop(worker, {}).values():
            self._hear(charge)
        for request in self.requests:
            if request.worker == worker and not self.is_settled(request):
                request.is_forsaken = True

    def _hear(self, charge):
        _, doubt = self.known.get(charge.id, (0, 9))
        if charge.doubt < doubt:
            self.known[charge.id] = (charge.amounts[0], charge.doubt)

    def charged(self, request):
        return self.known.get(request.id, (0, 9))[0]

    def is_settled(self, request):
        """The store knows that it is over, and what it was to cost then."""
        return request.is_end_known and self.known.get(request.id, (0, 9))[1] <= request.first[1]

    def in_hand(self, account, worker):
        """The least that nobody else may be given: what is held, or has been used, and is not charged yet."""
        found = 0
        for request in self.requests:
            if request.worker == worker and not request.is_forsaken and not self.is_settled(request):
                held = request.held(account)
                found += min(held, request.first[0]) if request.is_over else held
        return found

    def excess(self, account, window):
        """By how much the account may be above its limit in this window: see the head of this file."""
        found = 0
        for request in self.requests:
            if account in (request.key, INSTANCE):
                held, cost = request.held(account), sum(request.pending)
                if window in windows_at(request.started).values():
                    cost += self.charged(request)
                if request.is_forsaken:
                    found += cost + (0 if self.is_settled(request) else held)
                else:
                    found += max(0, cost - (min(held, request.first[0]) if request.is_over else held))
        return found


class MoneyMachine(RuleBasedStateMachine):
    valkey = None

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for name in ("TIMEOUT_S", "CONNECT_TIMEOUT_S", "LIMIT_S"):
            self.patch.setattr(server, name, 10.0)
        self.patch.setattr(till, "PAUSES_S", (0.0,))
        self.runner = asyncio.Runner()
        self.run = self.runner.run
        self.store = StillMoney(connect(self.valkey.url))
        self.store.set_clocks(self.patch)
        self.books = Books(self.store)
        self.workers = []
        self.names = 0
        self.keys = list(KEYS)
        self.caps = {}
        """By account and kind of window: the most that may be spent and leased, and in which."""
        self.past_caps = {}
        """By account and window."""
        self.alerts = []
        self.has_crashed = False

    def teardown(self):
        try:
            if self.workers:
                self.settle_everything()
        finally:
            for request in self.books.requests:
                if request.is_waiting:
                    request.task.cancel()
            self.run(self.turns())
            self.run(self.store.client.aclose())
            self.runner.close()
            self.patch.undo()

    @initialize(
        workers=st.integers(1, 3), credits=st.sampled_from([300, 10**6, 10**6]), at_once=st.sampled_from([1, 2, 500])
    )
    def start(self, workers, credits, at_once):
        self.patch.setattr(backlog, "AT_ONCE", at_once)
        self.run(self.store.begin())
        self.run(self.store.client.hset(f"{SLOT}credits", "total", credits))
        self.credits = credits
        for _ in range(workers):
            self.join()

    def join(self):
        self.names += 1
        name = f"w{self.names}"
        line = Line(self.books)

        def under_way(is_all):
            found = [r for r in self.books.requests if r.worker == name and r.is_begun and not r.is_over]
            found = [r for r in found if is_all or not r.is_noted]
            for request in found:
                request.is_noted = True
            return [request.generation(request.estimate, 2) for request in found]

        made = Till(line, name, BUDGETS, workers=3, ledger_days=10_000, under_way=under_way, alert=self.alerts.append)
        self.workers.append(Worker(name, made, line))

    async def turns(self):
        for _ in range(TURNS):
            await asyncio.sleep(0)

    def worker(self, data):
        return data.draw(st.sampled_from(self.workers))

    def of(self, request):
        return next(worker for worker in self.workers if worker.name == request.worker)

    def under_way(self):
        alive = {worker.name for worker in self.workers}
        return [r for r in self.books.requests if r.worker in alive and r.hold is not None and not r.is_over]

    def charged(self):
        alive = {worker.name for worker in self.workers}
        return [r for r in self.books.requests if r.worker in alive and r.words]

    # -- requests ------------------------------------------------------------------------------------------------

    @rule(data=st.data(), key=st.sampled_from([0, 1, 1, 2, 2, 3]), worst=st.sampled_from([0, 5, 20, 60, 150]))
    def begin(self, data, key, worst):
        """It is under way at once, waits for a call, or is refused."""
        self.begin_at(self.worker(data), key, worst)

    @rule(
        data=st.data(),
        begun=st.lists(st.tuples(st.sampled_from([0, 1, 2, 3]), st.sampled_from([5, 20, 60])), max_size=4),
    )
    def serve(self, data, begun):
        """They are admitted, have begun, and the store has been told."""
        worker = self.worker(data)
        requests = [self.begin_at(worker, key, worst) for key, worst in begun]
        self.flush(worker)
        for request in requests:
            if request.hold is not None:
                request.is_begun = True
                request.estimate = request.worst // 2
        self.flush(worker)

    def begin_at(self, worker, key, worst):
        request = Request(f"gen:{len(self.books.requests)}", worker.name, f"k{key}", self.store.now, worst)
        self.books.requests.append(request)
        self.run(self.enter(worker.till, self.keys[key], request))
        return request

    async def enter(self, till, key, request):
        request.task = tasks.start("request", self.live_through(till, key, request))
        await self.turns()

    async def live_through(self, till, key, request):
        hold = None
        try:
            hold = await till.enter(key)
            await till.reserve(hold, WorstCase(0, request.worst, [Price(prompt=0, completion=1_000)]))
        except BaseException as error:
            if hold is not None:
                till.leave(hold, 0, 0)
            request.is_over = True
            if not isinstance(error, ApiError):
                raise
            return
        request.hold = hold

    @precondition(lambda self: any(request.is_waiting for request in self.books.requests))
    @rule(data=st.data(), is_granted=st.booleans())
    def give_up(self, data, is_granted):
        """A caller leaves while it waits; or when the answer is there, before it has its turn."""
        waiting = data.draw(st.sampled_from([request for request in self.books.requests if request.is_waiting]))

        async def give_up():
            if is_granted:
                await self.of(waiting).till.flush()
            waiting.task.cancel()
            await self.turns()

        self.run(give_up())

    @precondition(lambda self: self.under_way())
    @rule(data=st.data(), more=st.sampled_from([0, 3, 50]))
    def go_on(self, data, more):
        request = data.draw(st.sampled_from(self.under_way()))
        request.is_begun = True
        request.estimate += more

    @precondition(lambda self: self.under_way())
    @rule(data=st.data(), part=st.sampled_from([0.0, 0.5, 1.0, 1.0, 2.0]), doubt=st.sampled_from([0, 0, 1]))
    def end(self, data, part, doubt):
        for request in data.draw(st.lists(st.sampled_from(self.under_way()), min_size=1, max_size=4, unique=True)):
            self.end_at(request, int(part * request.worst), doubt)

    def end_at(self, request, cost, doubt):
        worker = self.of(request)

        async def charge_and_leave():
            request.words.append((cost, doubt))
            self.charge(worker, request, cost, doubt)
            worker.till.leave(request.hold, cost, cost)
            request.is_over = True

        self.run(charge_and_leave())

    def charge(self, worker, request, cost, doubt):
        request.pending.append(cost)
        worker.till.charge(request.generation(cost, doubt))

    @precondition(lambda self: any(not request.is_noted for request in self.under_way()))
    @rule(data=st.data())
    def fail(self, data):
        """It ends without a charge, before anything came."""
        request = data.draw(st.sampled_from([request for request in self.under_way() if not request.is_noted]))
        self.of(request).till.leave(request.hold, 0, 0)
        request.is_over = True

    @precondition(lambda self: self.charged())
    @rule(data=st.data())
    def charge_again(self, data):
        """By whoever finds it on a disk."""
        request = data.draw(st.sampled_from(self.charged()))
        self.charge(self.worker(data), request, *request.first)

    @precondition(lambda self: self.charged())
    @rule(data=st.data(), cost=st.sampled_from([0, 7, 200]))
    def correct(self, data, cost):
        """The provider tells after all."""
        request = data.draw(st.sampled_from(self.charged()))
        if request.best[1] > 0:
            request.words.append((cost, 0))
            self.charge(self.of(request), request, cost, 0)

    # -- calls, and what becomes of workers ----------------------------------------------------------------------

    def flush(self, worker, fate="arrives"):
        async def flush():
            worker.line.fates[:] = [fate]
            await worker.till.flush()
            worker.line.fates.clear()
            await self.turns()

        self.run(flush())

    @rule(data=st.data(), fate=st.sampled_from(FATES))
    def call(self, data, fate):
        self.flush(self.worker(data), fate)

    @precondition(lambda self: any(worker.line.late for worker in self.workers))
    @rule(data=st.data())
    def deliver(self, data):
        """A call that was given up arrives after all; or once more."""
        late = [call for worker in self.workers for call in worker.line.late]
        self.run(self.books.deliver(data.draw(st.sampled_from(late))))

    @rule(times=st.integers(1, 3))
    def call_all(self, times):
        for _ in range(times):
            for worker in self.workers:
                self.flush(worker)

    @precondition(lambda self: len(self.workers) > 1)
    @rule(data=st.data())
    def crash(self, data):
        worker = self.worker(data)
        self.has_crashed = True
        self.workers.remove(worker)
        for request in self.books.requests:
            if request.worker == worker.name and request.is_waiting:
                request.task.cancel()
        self.run(self.turns())
        self.join()

    # -- time ----------------------------------------------------------------------------------------------------

    @rule(
        seconds=st.sampled_from([0.01, 0.1, 1.1, 4.0, IDLE_S + 1, DEAD_S + 1, 43_200.0, DAY_S, 7 * DAY_S, 40 * DAY_S])
    )
    def wait(self, seconds):
        self.run(self.store.pass_time(seconds))

    @rule(data=st.data())
    def go_without(self, data):
        """All live on but one, until that is taken for dead."""
        silent = self.worker(data)
        self.outlive([worker for worker in self.workers if worker is not silent] or [silent])

    def outlive(self, living):
        for _ in range(int(DEAD_S / 4) + 2):
            self.run(self.store.pass_time(4.0))
            for worker in living:
                worker.till.forget("gen:nobody")  # so that there is something to say
                self.flush(worker)

    @rule(luck=st.integers(0, 5))
    def restart(self, luck):
        if not luck:
            self.valkey.kill()
            self.valkey.start()

    # -- limits --------------------------------------------------------------------------------------------------

    @rule(amount=st.sampled_from([-200, 50, 500]))
    def top_up(self, amount):
        self.credits += amount
        self.run(self.store.client.hincrby(f"{SLOT}credits", "total", amount))
        self.raise_caps()

    @rule(key=st.sampled_from(CHANGING), limit=st.sampled_from([None, 0, 40, 100, 1_000]), is_same=st.booleans())
    def change_limit(self, key, limit, is_same):
        """Every worker hears of it at once. Or the key is only read anew."""
        changed = replace(self.keys[key]) if is_same else replace(self.keys[key], limit_usd_nanos=limit)
        self.keys[key] = changed
        for worker in self.workers:
            worker.till.leave(self.run(worker.till.enter(changed)), 0, 0)
        self.raise_caps()

    def limits(self):
        """All that there are: account, window, and how much may be spent."""
        for key in self.keys:
            for limit in key_limits(key):
                yield key.hash, limit.window, limit.most
        for limit in BUDGETS.limits():
            yield INSTANCE, limit.window, self.credits if limit.most is None else limit.most

    def level(self, holdings, account, window):
        leases = holdings.leases.get(account, {})
        gone = self.books.buried | self.books.stale
        living = sum(amount for worker, amount in leases.items() if worker not in gone)
        return holdings.spent.get(account, {}).get(window, 0) + living

    def raise_caps(self):
        """A limit that was lowered is exceeded by what has been spent and leased before, and by no more."""
        holdings, windows = self.run(Holdings.read(self.store.client)), windows_at(self.store.now)
        for account, kind, most in self.limits():
            self.caps[account, kind] = max(most, self.level(holdings, account, windows[kind])), windows[kind]

    # -- what must hold ------------------------------------------------------------------------------------------

    @invariant()
    def all_adds_up(self):
        if not self.workers:
            return
        holdings = self.run(Holdings.read(self.store.client))
        holdings.add_up(self.store.now)
        known = {generation_id: (amount, 1) for generation_id, (amount, _) in self.books.known.items()}
        assert holdings.charged() == known
        windows = windows_at(self.store.now)
        for account, kind, most in self.limits():
            cap, capped = self.caps.get((account, kind), (most, windows[kind]))
            if capped != windows[kind]:
                self.past_caps[account, capped] = cap
            level = self.level(holdings, account, windows[kind])
            assert level <= cap + self.books.excess(account, windows[kind]), (account, windows[kind])
            self.caps[account, kind] = max(most, min(cap, level)), windows[kind]
            for worker in self.workers:
                leased = 0 if worker.name in self.books.buried else holdings.leases.get(account, {}).get(worker.name, 0)
                assert leased >= self.books.in_hand(account, worker.name), (account, worker)
        for (account, window), cap in self.past_caps.items():
            spent = holdings.spent.get(account, {}).get(window, 0)
            assert spent <= cap + self.books.excess(account, window), (account, window)

    @invariant()
    def no_more_at_a_time_than_allowed(self):
        alive = {worker.name for worker in self.workers} - self.books.buried
        for key in self.keys:
            mine = [r for r in self.under_way() if r.key == key.hash and r.worker in alive and not r.is_forsaken]
            assert key.max_concurrency is None or len(mine) <= key.max_concurrency

    @invariant()
    def each_alert_at_most_once(self):
        assert Counter(self.alerts) <= self.told()

    def told(self):
        """How often each alert should have gone off: once in each window."""
        keys = self.run(self.store.client.keys(f"{SLOT}told:*"))
        return Counter(key.decode().partition(" ")[2] for key in keys)

    # -- the end -------------------------------------------------------------------------------------------------

    def settle_everything(self):
        """All have ended, all has been told: nothing is left over, and what is left of the limits can be used."""
        for request in self.books.requests:
            if request.is_waiting:
                request.task.cancel()
        self.run(self.turns())
        for request in self.under_way():
            self.end_at(request, request.worst, 0)
            self.flush(self.of(request))  # one more call for each charge, if need be
        self.outlive(self.workers)
        self.outlive(self.workers)
        self.all_adds_up()
        assert self.has_crashed or Counter(self.alerts) == self.told()
        holdings = self.run(Holdings.read(self.store.client))
        assert holdings.open == {}
        alive = {worker.name for worker in self.workers}
        for account, leases in holdings.leases.items():
            assert not leases.keys() & alive, (account, leases)
        for request in self.books.requests:
            if request.worker in alive and request.words:
                assert self.books.known[request.id] == request.best
        self.use_what_is_left(holdings)
        assert self.run(AuditStore(self.store.client).findings()).differences == []

    def use_what_is_left(self, holdings):
        windows = windows_at(self.store.now)
        for number, key in enumerate(self.keys):
            worker = self.workers[number % len(self.workers)]
            left = [
                most - holdings.spent.get(account, {}).get(windows[kind], 0)
                for account, kind, most in self.limits()
                if account in (key.hash, INSTANCE)
            ]
            request = Request("gen:last", worker.name, key.hash, self.store.now, max(0, min(left)))
            self.run(self.enter(worker.till, key, request))
            for _ in range(3):
                self.flush(worker)
            assert request.hold is not None, "what is left cannot be had"
            worker.till.leave(request.hold, 0, 0)
            self.flush(worker)


@pytest.fixture(scope="module", autouse=True)
def valkey():
    """It keeps what it was told when it is killed: what was written is the kernel's."""
    MoneyMachine.valkey = Valkey(appendonly="yes", appendfsync="no").start()
    yield
    MoneyMachine.valkey.close()


TestMoneyMachine = MoneyMachine.TestCase
TestMoneyMachine.settings = settings(stateful_step_count=30, max_examples=settings.default.max_examples // 2)
