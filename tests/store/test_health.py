"""The store's side of health: the script is the twin of `health/merge.py`, and many workers share what it keeps.

Time stands still but for what a test lets pass: the script reads the store's clock from a key, and the workers'
clock is replaced.
"""

import asyncio
import contextlib
import math
import random
from dataclasses import dataclass, replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead import clock
from fairlead.health import sums
from fairlead.health.board import HealthBoard
from fairlead.health.breaker import BreakerLimits
from fairlead.health.merge import Group, Probe, merge, report_probe
from fairlead.health.outcome import GONE, OK, Outcome, Verdict
from fairlead.health.record import HEADER, Change, Flush, Increment, Record, Snapshot, State, Why, pack
from fairlead.store import health as store_health
from fairlead.store import server, subscription
from fairlead.store.health import CHANGES, FORGET_S, RETRY_S, HealthStore, HealthSync, StoreAway, script
from fairlead.store.redis import connect
from fairlead.tasks import Tasks
from harness.still import StillClock, still
from harness.valkey import Valkey

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient")]

TIME_LIMIT_S = 10
MODEL = "acme/large"
A, B, C, D = (f"{slug}:{MODEL}" for slug in "abcd")
LIMITS = BreakerLimits()
FAILURE = Outcome(Verdict.TRANSIENT, 500)
NEVER = 1e9


class StillStore(StillClock, HealthStore):
    pass


def still_store(url, limits=LIMITS):
    return still(StillStore, url, limits)


@pytest.fixture
async def store(redis_url):
    async with still_store(redis_url) as store:
        yield store


def increment(count=0, **known):
    """News of so many attempts that went well, or of other things."""
    values = sums.zeros()
    for index in (sums.A2, sums.A20, sums.N1, sums.N5, sums.N20, sums.N120, sums.S3, sums.S60):
        values[index] = float(count)
    for index in (sums.E1, sums.E5, sums.E20, sums.E120, sums.U120):
        values[index] = 0.5 * count
    return Increment(values, **known)


def flush(number, increments=None, *, worker="w", can_probe=False, jitter=0.0, group=MODEL):
    return Flush(group, worker, number, can_probe, jitter, increments or {})


async def merged(store, *flushes):
    """The answer to the last of them."""
    *_, answer = await store.merge(flushes)
    assert isinstance(answer, Snapshot), answer
    return answer


# -- the script and its twin --------------------------------------------------------------------------------------


@dataclass
class Tell:
    """A worker's flush; `is_repeat`: under the number of its last."""

    worker: str
    is_repeat: bool
    can_probe: bool
    jitter: float
    news: dict


@dataclass
class End:
    """A report about the probe of an endpoint: under its epoch, or one that is `stale`."""

    endpoint: str
    stale: int
    result: Probe
    jitter: float


@dataclass
class Wait:
    seconds: float


class Forget:
    """SCRIPT FLUSH."""


@st.composite
def increments(draw):
    """Counts that no threshold can be met with exactly, where the two could differ by a rounding."""
    came, failed, cut = (draw(st.integers(0, 6)) for _ in range(3))
    waited_s = draw(st.sampled_from([0.11, 0.53, 1.7, 23.0])) * draw(st.integers(0, 6))
    values = sums.zeros()
    for indexes, value in (
        ((sums.E1, sums.E5, sums.E20, sums.E120), waited_s),
        ((sums.U120,), 0.7 * waited_s),
        ((sums.N1, sums.N5, sums.N20, sums.N120), came),
        ((sums.A2, sums.A20), came + failed * 0.973),
        ((sums.F2, sums.F20), failed * 0.973),
        ((sums.M3, sums.M60), cut * 0.973),
        ((sums.S3, sums.S60), came + cut * 0.973),
        ((sums.G, sums.K, sums.C, sums.C3, sums.W, sums.RXY), waited_s + failed),
    ):
        for index in indexes:
            values[index] = float(value)
    return Increment(
        values,
        has_success=draw(st.booleans()),
        tail=draw(st.integers(0, 4)),
        cool_s=draw(st.sampled_from([0.0, 0.0, 0.0, 0.7, 60.0])),
        cool_why=draw(st.integers(0, 3)),
        does_cool_grow=draw(st.booleans()),
        limited=draw(st.integers(0, 2)),
        used_epoch=draw(st.integers(0, 9)),
        is_suspect=draw(st.booleans()),
        epoch=draw(st.sampled_from([0, 0, 0, 3, 50])),
        ejected_s=draw(st.sampled_from([0.0, 1.3])),
    )


ENDPOINTS = st.sampled_from([A, B, C, D])
JITTER = st.integers(0, 999_999).map(lambda n: n / 1e6)
TELL = st.builds(
    Tell,
    st.sampled_from(["w1", "w2"]),
    st.integers(0, 9).map(lambda n: n == 0),
    st.booleans(),
    JITTER,
    st.dictionaries(ENDPOINTS, increments(), max_size=4),
)
STEPS = st.one_of(
    TELL,
    TELL,
    st.builds(End, ENDPOINTS, st.sampled_from([0, 0, 0, 1]), st.sampled_from(Probe), JITTER),
    st.builds(Wait, st.sampled_from([-4_000.0, -2.0, 0.003, 0.21, 1.1, 5.0, 9.7, 31.0, 700.0])),
    st.builds(Forget),
)


class Twins:
    """The script and the Python, told the same."""

    def __init__(self, store, messages):
        self.store = store
        self.messages = messages
        self.group = Group(MODEL)
        self.now = 1e6
        self.numbers = {}
        self.changes = []
        """All so far."""

    async def take(self, step):
        """Take a step with both, and hold what they say and what they make known against each other."""
        changes = await self.both(step)
        self.changes += changes
        expected = [comparable(change) for change in changes]
        # Of several leases in one flush none is the first.
        assert sorted(await self.published(), key=of_endpoint) == sorted(expected, key=of_endpoint)

    async def both(self, step):
        match step:
            case Wait():
                self.now = await self.store.set_clock(self.now + step.seconds)
            case Forget():
                await self.store.client.script_flush()
            case End():
                return await self.end(step)
            case Tell():
                number = self.numbers.get(step.worker, 0) + (not step.is_repeat)
                self.numbers[step.worker] = number
                return await self.tell(Flush(MODEL, step.worker, number, step.can_probe, step.jitter, step.news))
        return []

    async def tell(self, told):
        expected, changes = merge(self.group, told, self.now, LIMITS)
        found = await merged(self.store, told)
        assert found.now == pytest.approx(self.now, abs=1e-6)
        assert (found.workers, found.granted) == (expected.workers, expected.granted)
        assert found.records.keys() == expected.records.keys()
        for endpoint, record in found.records.items():
            assert as_dict(record) == pytest.approx(as_dict(expected.records[endpoint]), rel=1e-9, abs=1e-9)
        return changes

    async def end(self, step):
        record = self.group.records.get(step.endpoint)
        epoch = int(record.epoch) - step.stale if record else 1
        changes = report_probe(self.group, step.endpoint, epoch, step.result, self.now, step.jitter, LIMITS)
        assert await self.store.end_probes([(MODEL, step.endpoint, epoch, step.result)], step.jitter) == [True]
        return changes

    async def published(self):
        """All that was published since the last call."""
        await self.store.client.publish(CHANGES, b"[]")
        found = []
        while (message := await self.messages.get_message(timeout=TIME_LIMIT_S)) and message["data"] != b"[]":
            found.append(comparable(Change(*orjson.loads(message["data"]))))
        assert message
        return found


def as_dict(record):
    return {name: getattr(record, name) for name in HEADER} | {str(n): value for n, value in enumerate(record.sums)}


def of_endpoint(change):
    return change.endpoint


def comparable(change):
    """A cool-down has nothing to do with epochs, and nobody reads the one that comes with it."""
    return replace(change, seconds=round(change.seconds, 6), epoch=0 if change.kind == "cooling" else change.epoch)


@contextlib.asynccontextmanager
async def twins(url):
    async with still_store(url) as store, store.client.pubsub() as messages:
        await messages.subscribe(CHANGES)
        assert (await messages.get_message(timeout=TIME_LIMIT_S))["type"] == "subscribe"
        pair = Twins(store, messages)
        await store.set_clock(pair.now)
        yield pair


class TestTwin:
    @given(st.lists(STEPS, max_size=40))
    def test_the_script_does_what_the_python_does(self, redis_url, steps):
        asyncio.run(self.compare(redis_url, steps))

    async def compare(self, redis_url, steps):
        async with twins(redis_url) as pair:
            for step in steps:
                await pair.take(step)
            await pair.tell(flush(0))

    async def test_slowness_ejects_half_of_a_group_at_most(self, redis_url):
        stuck = increment()
        for index in WAITED:
            stuck.sums[index] = 20.0
        async with twins(redis_url) as pair:
            await pair.take(Tell("w1", False, False, 0.0, {endpoint: increment(100) for endpoint in (A, B, C, D)}))
            await pair.take(Wait(60.0))
            for endpoint in (A, B, C):
                await pair.take(Tell("w1", False, False, 0.0, {endpoint: stuck}))
            assert [(change.endpoint, change.why) for change in pair.changes] == [(A, Why.SLOW), (B, Why.SLOW)]

    async def test_all_that_can_happen_happens(self, redis_url):
        """So that what is compared is not the same nothing on both sides: a long run meets every change and reason."""
        rng = random.Random(5)
        async with twins(redis_url) as pair:
            for _ in range(1500):
                await pair.take(random_step(rng, pair.group))
            ejected = {Why(change.why) for change in pair.changes if change.kind == "ejected"}
            assert ejected == set(Why) - {Why.NOTHING}
            assert {change.kind for change in pair.changes} == {"ejected", "probing", "recovered", "cooling"}
            assert any(record.cap_rate for record in pair.group.records.values())
            assert any(change.kind == "cooling" and change.seconds > 1.5 for change in pair.changes)  # it has grown


WAITED, FAILED, CUT = (sums.E1, sums.E5, sums.E20, sums.E120), (sums.F2, sums.F20), (sums.M3, sums.M60)
KINDS = (
    *[((), {})] * 6,
    ((), {"has_success": False, "tail": 3}),
    (FAILED, {}),
    (CUT, {}),
    (WAITED, {}),
    ((), {"limited": 1}),
    ((), {"cool_s": 1.0, "has_success": False}),
    ((), {"cool_s": 1.0, "has_success": False, "does_cool_grow": True}),
    ((), {"epoch": 60, "ejected_s": 1.5}),
)
"""Of news: which sums are as bad as can be, and what else is to be told. Mostly good, so that each has its turn."""


def random_step(rng, group):
    if rng.random() < 0.3:
        return Wait(rng.choice([0.05, 0.3, 1.1, 8.0, 60.0]))
    probed = [endpoint for endpoint, record in group.records.items() if record.state == State.PROBING]
    if probed and rng.random() < 0.5:
        return End(rng.choice(probed), 0, rng.choice(list(Probe)), round(rng.random(), 6))
    news = {endpoint: random_news(rng) for endpoint in rng.sample([A, B, C, D], rng.randrange(1, 5))}
    return Tell(rng.choice(["w1", "w2"]), False, rng.random() < 0.5, round(rng.random(), 6), news)


def random_news(rng):
    count = rng.randrange(8)
    bad, told = rng.choice(KINDS)
    news = increment(count, **{"has_success": True, **told})
    for index in bad:
        news.sums[index] = 20.0 if index in WAITED else count * 0.97
    return news


# -- the script alone ---------------------------------------------------------------------------------------------


class TestStore:
    async def test_a_number_is_applied_once(self, store):
        told = flush(7, {A: increment(3, tail=2)})
        first = await merged(store, told)
        again = await merged(store, told, told, flush(6, {A: increment(50)}))
        assert again.records == first.records
        assert first.records[A].sums[sums.A20] == 3.0
        later = await merged(store, flush(8, {A: increment(1)}))
        assert later.records[A].sums[sums.A20] == 4.0

    async def test_workers_count_for_themselves(self, store):
        answer = await merged(store, *(flush(1, {A: increment(1)}, worker=f"w{n}") for n in range(5)))
        assert answer.records[A].sums[sums.A20] == 5.0
        assert answer.workers == 5

    async def test_who_only_reads_is_no_worker_and_leaves_nothing_behind(self, store):
        answer = await merged(store, flush(0))
        assert (answer.workers, answer.records, answer.granted) == (0, {}, {})
        assert await store.client.keys("fl:*") == []

    async def test_groups_are_apart(self, store):
        one, other = await store.merge([flush(1, {A: increment(1)}), flush(1, {"a:x/y": increment(2)}, group="x/y")])
        assert (one.records.keys(), other.records.keys()) == ({A}, {"a:x/y"})

    async def test_the_script_may_be_forgotten(self, store):
        await merged(store, flush(1, {A: increment(1)}))
        await store.client.script_flush()
        answer = await merged(store, flush(2, {A: increment(1)}), flush(3, {A: increment(1)}))
        assert answer.records[A].sums[sums.A20] == 3.0
        await store.client.script_flush()
        assert await store.end_probes([(MODEL, A, 1, Probe.OK)] * 2, 0.0) == [True, True]

    async def test_what_is_old_is_dropped(self, store):
        await merged(store, flush(1, {A: increment(1)}, worker="old"), flush(1, {B: increment(1)}, worker="other"))
        await store.set_clock(1000.0 + FORGET_S)
        assert (await merged(store, flush(1, {C: increment(1)}, worker="new"))).records.keys() == {A, B, C}
        await store.set_clock(1001.0 + FORGET_S)
        assert (await merged(store, flush(0))).records.keys() == {C}
        assert set(await store.client.hkeys(f"fl:1:{{{MODEL}}}:health2")) == {b"e:%b" % C.encode(), b"w:new"}

    async def test_it_does_not_stay_for_ever(self, store):
        await merged(store, flush(1, {A: increment(1)}))
        assert 86_000 < await store.client.ttl(f"fl:1:{{{MODEL}}}:health2") <= 86_400

    async def test_a_probe_is_granted_once(self, store):
        await merged(store, flush(1, {A: increment(tail=5)}))
        await store.set_clock(1001.5)
        answers = await store.merge([flush(1, worker=f"w{n}", can_probe=n > 0) for n in range(4)])
        assert [answer.granted for answer in answers] == [{}, {A: 2}, {}, {}]
        await store.set_clock(1001.5 + LIMITS.lease_s)
        assert (await merged(store, flush(2, worker="w3", can_probe=True))).granted == {A: 3}
        await store.end_probes([(MODEL, A, 2, Probe.OK)], 0.0)
        assert (await merged(store, flush(0))).records[A].state == State.PROBING
        await store.end_probes([(MODEL, A, 3, Probe.OK)], 0.0)
        assert (await merged(store, flush(0))).records[A].state == State.HEALTHY

    async def test_a_clock_that_steps_back_prolongs_nothing(self, store):
        """Though nobody tells anything of the endpoint meanwhile."""
        await store.set_clock(10_000.0)
        await merged(store, flush(1, {A: increment(tail=5)}, worker="gone"))
        await store.set_clock(6_400.0)
        answer = await merged(store, flush(0, can_probe=True))
        assert (answer.granted, answer.records[A].until) == ({}, 6_401.0)
        await store.set_clock(6_411.0)
        answer = await merged(store, flush(1, can_probe=True))
        assert (answer.granted, answer.workers) == ({A: 2}, 1)

    async def test_limits_are_those_of_the_board(self, redis_url):
        async with still_store(redis_url, replace(LIMITS, in_a_row=2.0)) as store:
            await store.set_clock(1.0)
            assert (await merged(store, flush(1, {A: increment(tail=2)}))).records[A].state == State.EJECTED

    async def test_with_the_real_clock(self, redis_url):
        client = connect(redis_url)
        seconds, _ = await client.time()
        answer = await merged(HealthStore(client, LIMITS), flush(1, {A: increment(1)}, group="real/clock"))
        assert seconds <= answer.now < seconds + TIME_LIMIT_S
        await client.aclose()

    async def test_away(self):
        client = connect("unix:///nowhere.sock")
        store = HealthStore(client, LIMITS)
        assert [type(answer) for answer in await store.merge([flush(1), flush(2)])] == [StoreAway] * 2
        assert await store.end_probes([(MODEL, A, 1, Probe.OK)], 0.0) == [False]
        await client.aclose()

    @pytest.mark.parametrize(
        "kept",
        [
            {"e:a:x/y": "junk"},
            {"w:worker": ""},
            {"e:a:x/y": pack(Record(1.0, 2.0, state=7.0))},
            {"e:a:x/y": pack(Record(1.0, 2.0, cool_why=99.0))},
            {"e:a:x/y": pack(Record(1.0, 2.0, sums=[math.nan] * sums.COUNT))},
        ],
    )
    async def test_what_nobody_can_read_is_an_answer_too(self, store, kept):
        await store.client.hset("fl:1:{x/y}:health2", mapping=kept)
        broken, well = await store.merge([flush(0, group="x/y"), flush(0)])
        assert isinstance(broken, StoreAway)
        assert isinstance(well, Snapshot)

    async def test_the_text_is_the_same_for_the_same_limits(self):
        """Or each worker would load a script of its own."""
        assert script(LIMITS) == script(BreakerLimits())


# -- workers that share a store -----------------------------------------------------------------------------------


class Worker:
    """A board and what carries its news."""

    def __init__(self, fleet, name):
        self.fleet = fleet
        self.heard = asyncio.Queue()
        self.said = []
        self.board = HealthBoard(fleet.limits, worker=name, rng=random.Random(name), fleet=fleet.size)
        self.board.tell = self.heard.put_nowait
        self.sync = HealthSync(self.board, fleet.store, self.said.append, lambda: 0.5)
        for endpoint in (A, B):
            self.of(endpoint)

    def of(self, endpoint):
        self.board.asked(MODEL, clock.monotonic())
        return self.board.of(endpoint, clock.monotonic())

    def serve(self, endpoint, times=1, outcome=OK):
        """Ask, and be answered within half a second."""
        for _ in range(times):
            attempt = self.of(endpoint).begin(clock.monotonic() - 0.5, is_stream=True)
            if outcome is OK:
                self.board.first_token(attempt, clock.monotonic())
            self.board.end(attempt, outcome, clock.monotonic())
        return self

    def fail(self, endpoint, times):
        return self.serve(endpoint, times, FAILURE)

    async def flush(self):
        """What `run` does at a turn."""
        async with asyncio.timeout(TIME_LIMIT_S):
            await self.sync.flush()
        self.sync._judge()
        return self

    def is_out(self, endpoint):
        return self.of(endpoint).is_out(clock.monotonic())

    async def until(self, kind):
        """What it heard of that kind first."""
        async with asyncio.timeout(TIME_LIMIT_S):
            while (change := await self.heard.get()).kind != kind:
                pass
        return change


class Fleet:
    """Workers, their store, and the time they live in."""

    def __init__(self, store, monkeypatch, size, limits):
        self.store = store
        self.size = size
        self.limits = limits
        self.now = 50.0
        monkeypatch.setattr(clock, "monotonic", lambda: self.now)
        self.workers = [Worker(self, f"w{n}") for n in range(size)]

    async def wait(self, seconds, *, is_store_away=False):
        self.now += seconds
        if not is_store_away:
            await self.store.set_clock(self.now + 1e6)

    async def flush(self):
        """Everyone's news reach the store, and everyone's answers tell of them."""
        for _ in range(2):
            await self.wait(1.0)
            for worker in self.workers:
                await worker.flush()

    async def record(self, endpoint=A):
        return (await merged(self.store, flush(0))).records[endpoint]


@pytest.fixture
def valkey():
    """A server that may die."""
    with contextlib.closing(Valkey()) as valkey:
        yield valkey.start()


@contextlib.asynccontextmanager
async def fleet_of(size, url, monkeypatch, limits=LIMITS):
    async with still_store(url, limits) as store:
        fleet = Fleet(store, monkeypatch, size, limits)
        await fleet.wait(0.0)
        yield fleet


@pytest.fixture
async def fleet(redis_url, monkeypatch):
    async with fleet_of(2, redis_url, monkeypatch) as fleet:
        yield fleet


@contextlib.asynccontextmanager
async def following(worker):
    """With a subscription that stands."""
    faults = []
    tasks = Tasks(lambda name, error: faults.append(error))
    tasks.start("follow", worker.sync.follow(worker.fleet.store.client))
    async with asyncio.timeout(TIME_LIMIT_S):
        while dict(await worker.fleet.store.client.pubsub_numsub(CHANGES))[CHANGES.encode()] == 0:
            await asyncio.sleep(0.005)
    try:
        yield
    finally:
        await tasks.close()
    assert not faults


class TestFleet:
    async def test_news_of_all_add_up(self, fleet):
        one, other = fleet.workers
        one.serve(A, 3)
        other.serve(A, 4)
        await fleet.flush()
        known = [worker.board.of(A).record for worker in fleet.workers]
        assert [record.sums[sums.R0] for record in known] == pytest.approx([7.0, 7.0], rel=0.05)
        assert [worker.board.group(MODEL).fleet for worker in fleet.workers] == [2, 2]

    async def test_an_ejection_reaches_the_others_by_pull(self, fleet):
        one, other = fleet.workers
        other.of(A)
        await one.fail(A, 5).flush()
        assert one.is_out(A)
        assert not other.is_out(A)
        await fleet.wait(1.0)
        assert (await other.flush()).is_out(A)

    async def test_an_ejection_reaches_the_others_by_push(self, fleet):
        one, other = fleet.workers
        other.serve(A)
        await fleet.flush()
        async with following(other):
            await one.fail(A, 5).flush()
            change = await other.until("ejected")
            assert (change.endpoint, change.why) == (A, Why.IN_A_ROW)
            assert other.is_out(A)

    async def test_failures_of_all_count_together(self, fleet):
        one, other = fleet.workers
        await one.fail(A, 3).flush()
        assert not one.is_out(A)
        await other.fail(A, 2).flush()
        assert other.is_out(A)

    async def test_a_cool_down_reaches_the_others(self, fleet):
        one, other = fleet.workers
        other.of(A)
        await one.serve(A, 1, Outcome(Verdict.LIMIT, 429, "", 20.0)).flush()
        await fleet.wait(1.0)
        await other.flush()
        assert other.of(A).why_not(fleet.now) == "cooling down for 19.0 s more (limit)"

    async def test_a_refused_key_stops_all_of_the_account(self, fleet):
        """Also where requests come without a pause, and the news of it was lost: it is read every ten seconds."""
        one, other = fleet.workers
        await one.serve(A, 1, Outcome(Verdict.AUTH, 401)).flush()
        for _ in range(22):
            await fleet.wait(0.5)
            await other.serve(B).flush()
        assert other.of(A).why_not(fleet.now).startswith("its account is cooling down for 49.0 s more (auth)")

    async def test_one_of_many_gets_the_probe(self, redis_url, monkeypatch):
        async with fleet_of(6, redis_url, monkeypatch) as fleet:
            first, *_ = fleet.workers
            for worker in fleet.workers:
                worker.serve(B)
            first.fail(A, 5)
            await fleet.flush()
            assert all(worker.is_out(A) for worker in fleet.workers)
            await fleet.wait(2.0)
            for worker in fleet.workers:
                worker.serve(B)
            await asyncio.gather(*(worker.flush() for worker in fleet.workers))
            holders = [worker for worker in fleet.workers if worker.of(A).probe_epoch]
            assert len(holders) == 1
            assert [worker for worker in fleet.workers if not worker.is_out(A)] == holders
            await holders[0].serve(A).flush()
            await fleet.flush()
            assert not any(worker.is_out(A) for worker in fleet.workers)

    async def test_a_lease_that_nobody_uses_goes_to_another(self, fleet):
        one, other = fleet.workers
        for worker in fleet.workers:
            worker.serve(B)
        one.fail(A, 5)
        await fleet.flush()
        await fleet.wait(2.0)
        await one.serve(B).flush()
        assert one.of(A).probe_epoch
        await fleet.wait(LIMITS.lease_s)
        await other.serve(B).flush()
        assert other.of(A).probe_epoch
        await fleet.wait(1.0)
        await one.flush()
        assert not one.of(A).probe_epoch

    async def test_nothing_to_tell_is_not_told(self, fleet):
        one, _ = fleet.workers
        for _ in range(100):
            await fleet.wait(1.0)
            await one.flush()
        told = one.sync.commands
        assert 1 < told < 100  # what nobody asks for is read for a while
        for _ in range(100):
            await fleet.wait(1.0)
            await one.flush()
        assert one.sync.commands == told

    async def test_the_background_task_does_not_wait_with_what_is_urgent(self, fleet, monkeypatch):
        monkeypatch.setattr(store_health, "FLUSH_S", 1e6)
        one, other = fleet.workers
        tasks = Tasks(lambda name, error: None)
        async with following(other):
            other.serve(A)
            await fleet.flush()
            tasks.start("run", one.sync.run())
            tasks.start("judge", one.sync.judge())
            one.fail(A, 5)
            await other.until("ejected")
        await tasks.close()

    @pytest.mark.parametrize(
        "junk",
        [
            b"\xff",
            b"[]",
            b"7",
            b'{"group":1,"endpoint":2,"kind":3,"seconds":4,"why":5,"epoch":6}',
            orjson.dumps([MODEL, A, "married", 1.0, 1, 9]),
            orjson.dumps([MODEL, A, "ejected", "soon", 1, 9]),
            orjson.dumps([MODEL, A, "ejected", 1.0, 99, 9]),
            orjson.dumps([MODEL, A, "cooling", 1.0, 99, 9]),
            orjson.dumps([MODEL, A, "cooling", None, 1, 9]),
            orjson.dumps([MODEL, [A], "cooling", 1.0, 1, 9]),
            orjson.dumps([MODEL, A, "recovered", 1.0, 0, None]),
        ],
    )
    async def test_nonsense_on_the_channel_does_no_harm(self, fleet, junk):
        one, other = fleet.workers
        other.serve(A)
        await fleet.flush()
        async with following(other):
            await fleet.store.client.publish(CHANGES, junk)
            await one.fail(A, 5).flush()
            await other.until("ejected")
            assert other.of(A).why_not(fleet.now).startswith("ejected for ")

    async def test_a_quiet_subscription_stays(self, fleet, monkeypatch):
        monkeypatch.setattr(subscription, "QUIET_S", 0.02)
        one, other = fleet.workers
        other.serve(A)
        await fleet.flush()
        asked = (await fleet.store.client.info("commandstats")).get("cmdstat_ping", {}).get("calls", 0)
        async with following(other), asyncio.timeout(TIME_LIMIT_S):
            while (await fleet.store.client.info("commandstats")).get("cmdstat_ping", {}).get("calls", 0) < asked + 3:
                await asyncio.sleep(0.005)
            await one.fail(A, 5).flush()
            await other.until("ejected")


class Lossy(StillStore):
    """The next flush may be lost on its way there, or the answer on its way back."""

    fate = ""

    async def merge(self, flushes):
        fate, self.fate = self.fate, ""
        answers = [] if fate == "there" else await super().merge(flushes)
        return [StoreAway("lost")] * len(flushes) if fate else answers


class TestLosses:
    @given(
        st.lists(
            st.tuples(st.integers(0, 2), st.sampled_from(["serve", "fail", "", "", "there", "back"])),
            max_size=40,
        )
    )
    def test_what_is_lost_on_the_way_is_told_again_once(self, redis_url, steps):
        """As time stands still, nothing decays: the sums are the counts."""
        with pytest.MonkeyPatch.context() as monkeypatch:
            asyncio.run(self.lose(redis_url, monkeypatch, steps))

    async def lose(self, redis_url, monkeypatch, steps):
        async with still(Lossy, redis_url, LIMITS) as lossy:
            fleet = Fleet(lossy, monkeypatch, 3, LIMITS)
            await fleet.wait(0.0)
            begun = failed = 0
            for n, deed in [(0, "serve"), *steps, *((n, "") for n in (0, 1, 2) * 3)]:
                worker = fleet.workers[n]
                if deed == "serve":
                    worker.serve(A)
                    begun += 1
                elif deed == "fail":
                    worker.fail(A, 1)
                    failed += 1
                else:
                    fleet.store.fate = deed
                    worker.board.group(MODEL).is_urgent = True
                    await worker.flush()
            for record in [await fleet.record(), *(worker.of(A).record for worker in fleet.workers)]:
                assert (record.sums[sums.R0], record.sums[sums.F20]) == pytest.approx((begun, failed))
            assert len({worker.is_out(A) for worker in fleet.workers}) == 1


@contextlib.contextmanager
def frozen(valkey, monkeypatch):
    """It answers nothing; and nobody waits for it for long."""
    with monkeypatch.context() as patch:
        patch.setattr(server, "LIMIT_S", 0.1)
        valkey.freeze()
        yield
        valkey.thaw()


class TestFrozen:
    async def test_a_worker_goes_alone_and_nothing_is_lost_or_doubled(self, valkey, monkeypatch):
        async with fleet_of(2, valkey.url, monkeypatch) as fleet:
            one, other = fleet.workers
            one.serve(A, 4)
            other.serve(A, 6)
            await fleet.flush()
            with frozen(valkey, monkeypatch):
                for _ in range(3):
                    await fleet.wait(RETRY_S, is_store_away=True)
                    await one.serve(A, 10).flush()
                    await other.serve(A, 20).flush()
                assert one.board.is_alone
                assert one.of(A).record.sums[sums.R0] == pytest.approx(40.0, rel=0.05)
            await fleet.wait(RETRY_S)
            await fleet.flush()
            assert not one.board.is_alone
            assert (await fleet.record()).sums[sums.R0] == pytest.approx(100.0, rel=0.05)
            await fleet.flush()
            known = [worker.of(A).record.sums[sums.R0] for worker in fleet.workers]
            assert known == pytest.approx([100.0, 100.0], rel=0.07)

    async def test_what_fails_meanwhile_is_ejected_here(self, valkey, monkeypatch):
        async with fleet_of(2, valkey.url, monkeypatch) as fleet:
            one, other = fleet.workers
            one.serve(A)
            other.serve(A)
            await fleet.flush()
            with frozen(valkey, monkeypatch):
                await one.serve(A).flush()
                await fleet.wait(RETRY_S / 2, is_store_away=True)
                await one.fail(A, 3).flush()
                assert one.is_out(A)
                assert (await one.until("ejected")).endpoint == A
                assert not other.is_out(A)

    async def test_the_failures_that_nobody_heard_of_count(self, valkey, monkeypatch):
        """Those of the very flush that was not answered."""
        async with fleet_of(2, valkey.url, monkeypatch) as fleet:
            one, other = fleet.workers
            one.serve(A)
            other.serve(A)
            await fleet.flush()
            with frozen(valkey, monkeypatch):
                await one.fail(A, 3).flush()
                assert one.is_out(A)

    async def test_a_probe_that_ends_meanwhile(self, valkey, monkeypatch):
        async with fleet_of(2, valkey.url, monkeypatch) as fleet:
            one, _ = fleet.workers
            await one.fail(A, 5).flush()
            await fleet.wait(2.0)
            await one.serve(B).flush()
            assert one.of(A).probe_epoch
            with frozen(valkey, monkeypatch):
                await one.serve(A).flush()
                assert not one.is_out(A)
            await fleet.wait(RETRY_S)
            await fleet.flush()
            assert not one.is_out(A)
            assert (await fleet.record()).state == State.HEALTHY


class TestAway:
    async def test_it_is_said_once_each_way(self, valkey, monkeypatch):
        async with fleet_of(1, valkey.url, monkeypatch) as fleet:
            (one,) = fleet.workers
            one.serve(A)
            await fleet.flush()
            valkey.kill()
            for _ in range(100):  # longer than anyone asks what has become of a group that nobody uses
                await fleet.wait(RETRY_S + 0.5, is_store_away=True)
                await one.flush()
            assert one.board.is_alone
            assert len(one.said) == 1
            assert one.said[0].startswith("health store away, this worker judges by itself: ")
            valkey.start()
            await fleet.wait(RETRY_S)
            await one.serve(A).flush()
            assert one.said[1:] == ["health store back"]

    async def test_probes_go_on_without_it(self, valkey, monkeypatch):
        async with fleet_of(1, valkey.url, monkeypatch) as fleet:
            (one,) = fleet.workers
            await one.serve(A).flush()
            valkey.kill()
            await fleet.wait(0.1, is_store_away=True)
            await one.fail(A, 5).flush()
            assert one.is_out(A)
            await fleet.wait(2.0, is_store_away=True)
            one.of(A)
            await one.flush()
            assert one.of(A).probe_epoch
            await fleet.wait(0.1, is_store_away=True)
            await one.serve(A).flush()
            assert not one.is_out(A)

    async def test_what_is_under_way_is_counted_once(self, valkey, monkeypatch):
        async with fleet_of(1, valkey.url, monkeypatch) as fleet:
            (one,) = fleet.workers
            await one.serve(A).flush()
            valkey.kill()
            await fleet.wait(0.1, is_store_away=True)
            await one.serve(A).flush()
            attempts = [one.of(A).begin(fleet.now, is_stream=True) for _ in range(10)]
            for _ in range(50):
                await fleet.wait(0.1, is_store_away=True)
                await one.flush()
            health = one.of(A)
            assert health.in_flight == len(attempts)
            assert health.estimate.in_flight + health.in_flight - health.sent_in_flight == pytest.approx(10.0, rel=0.05)
            assert health.started == 0

    @pytest.mark.parametrize("pause_s", [0.0, 300.0], ids=["at once", "after a while alone"])
    async def test_a_store_that_lost_everything_is_given_it_back(self, valkey, monkeypatch, pause_s):
        async with fleet_of(3, valkey.url, monkeypatch) as fleet:
            for worker in fleet.workers:
                worker.serve(A, 10)
            await fleet.flush()
            before = await fleet.record()
            valkey.kill()
            for seconds in (pause_s / 2, pause_s / 2):
                if pause_s:
                    await fleet.wait(seconds, is_store_away=True)
                    for worker in fleet.workers:
                        worker.of(A)
                        await worker.flush()
            valkey.start()
            await fleet.wait(RETRY_S)
            await fleet.flush()
            await fleet.flush()
            after = await fleet.record()
            passed_s = after.at - before.at
            assert after.born > before.born
            assert after.sums == pytest.approx(sums.decayed(before.sums, passed_s), rel=0.02, abs=1e-3)

    @pytest.mark.parametrize("pause_s", [0.0, 1.0], ids=["at once", "after a while alone"])
    async def test_an_ejection_outlives_the_store(self, valkey, monkeypatch, pause_s):
        async with fleet_of(2, valkey.url, monkeypatch, replace(LIMITS, min_s=8.0)) as fleet:
            one, other = fleet.workers
            one.fail(A, 5)
            attempt = other.of(A).begin(fleet.now, is_stream=True)  # of which the store is told before it is reminded
            await fleet.flush()
            before = await fleet.record()
            valkey.kill()
            if pause_s:
                await fleet.wait(pause_s, is_store_away=True)
                for worker in fleet.workers:
                    await worker.serve(B).flush()
            valkey.start()
            await fleet.wait(RETRY_S)
            await other.flush()
            other.board.end(attempt, GONE, fleet.now)
            await fleet.flush()
            assert all(worker.is_out(A) for worker in fleet.workers)
            after = await fleet.record()
            assert after.born > before.born
            assert (after.state, after.epoch) == (State.EJECTED, before.epoch)
            assert after.until == pytest.approx(before.until, abs=0.2)
            assert [worker.of(A).available_at(fleet.now) + 1e6 for worker in fleet.workers] == pytest.approx(
                [before.until] * 2, abs=0.2
            )
