"""The store's side of percentiles: what the script keeps is the decayed sum of all that it was told.

Time stands still but for what a test lets pass: the script reads the store's clock from a key, and the workers'
clock is replaced.
"""

import asyncio
import math
import random
import struct
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead import clock
from fairlead.health.board import HealthBoard
from fairlead.health.histogram import BUCKETS, FIRST_TOKEN, HALF_LIFE_S, SPEED, add, decayed
from fairlead.health.minutes import DAY
from fairlead.health.outcome import OK
from fairlead.health.percentiles import TICK_S, Batch, Percentiles, Stored
from fairlead.store import percentiles as store_percentiles
from fairlead.store.health import StoreAway
from fairlead.store.percentiles import AT_ONCE, FORGET_S, NEGLIGIBLE, WORKER_S, PercentileStore, PercentileSync
from fairlead.store.redis import connect
from fairlead.tasks import Tasks
from harness.still import StillClock, still
from harness.valkey import Valkey

pytestmark = pytest.mark.anyio

TIME_LIMIT_S = 10
MODEL = "acme/large"
A, B, C = (f"{slug}:{MODEL}" for slug in "abc")
MINUTES = f"fl:1:{{{MODEL}}}:minutes:{A}"
FIRST_SLOT = 827
"""Minute of the day at which a fleet's time begins."""
KEY = f"fl:1:{{{MODEL}}}:percentiles"
PRECISION = 0.049


class StillStore(StillClock, PercentileStore):
    pass


class CountingStore(StillStore):
    """Counts the calls of each round trip."""

    def __init__(self, client):
        super().__init__(client)
        self.sizes = []

    async def add(self, batches):
        self.sizes.append(len(batches))
        return await super().add(batches)


def still_store(url):
    return still(StillStore, url)


@pytest.fixture
async def store(redis_url):
    async with still_store(redis_url) as store:
        yield store


def batch(number, news=None, worker="w", group=MODEL):
    return Batch(group, worker, number, 0.0, news or {})


async def added(store, *batches):
    """The answer to the last of them."""
    *_, answer = await store.add(batches)
    assert isinstance(answer, Stored), answer
    return answer


# -- the script and what it stands for ----------------------------------------------------------------------------


@dataclass
class Tell:
    """A worker's batch; `is_repeat`: under the number of its last."""

    worker: str
    is_repeat: bool
    news: dict


@dataclass
class Wait:
    seconds: float


class Empty:
    """FLUSHDB, and the script is forgotten as well."""


NEWS = st.dictionaries(
    st.sampled_from([A, B]),
    st.dictionaries(st.integers(0, BUCKETS - 1), st.floats(0.01, 1e4), max_size=8),
    max_size=2,
)
TELL = st.builds(Tell, st.sampled_from(["w1", "w2", "w3"]), st.integers(0, 5).map(lambda n: n == 0), NEWS)
WAITS_S = [-7.0, 0.003, 2.0, 2.0, 150.0, 3600.0, 3601.0, 86_400.0, 86_401.0]
STEPS = st.one_of(TELL, TELL, st.builds(Wait, st.sampled_from(WAITS_S)), st.builds(Empty))


def random_step(rng):
    """As STEPS, but that a long run of them gets anywhere."""
    kind = rng.random()
    if kind < 0.01:
        return Empty()
    if kind < 0.4:
        return Wait(rng.choice(WAITS_S[:5] if rng.random() < 0.9 else WAITS_S))
    news = {
        endpoint_id: {rng.randrange(BUCKETS): rng.uniform(0.01, 99.0) for _ in range(rng.randrange(20))}
        for endpoint_id in rng.sample([A, B], rng.randrange(3))
    }
    return Tell(f"w{rng.randrange(3)}", rng.random() < 0.2, news)


class Ledger:
    """Every observation with its instant; sums are made of them when somebody asks."""

    def __init__(self):
        self.now = 1000.0
        self.told = {}
        self.at = {}
        """Of each endpoint: when it was last told of, on a clock that does not go back."""
        self.numbers = {}
        """Of each worker: the last that counted, and when its last batch came."""

    def forget(self):
        for endpoint_id in [i for i, at in self.at.items() if self.now - at > FORGET_S]:
            del self.at[endpoint_id], self.told[endpoint_id]
        self.numbers = {w: seen for w, seen in self.numbers.items() if self.now - seen[1] <= WORKER_S}

    def tell(self, told):
        self.forget()
        last, _ = self.numbers.get(told.worker, (0, 0.0))
        self.numbers[told.worker] = max(told.number, last), self.now
        if told.number > last:
            for endpoint_id, news in told.news.items():
                at = self.at[endpoint_id] = max(self.now, self.at.get(endpoint_id, 0.0))
                self.told.setdefault(endpoint_id, []).append((at, news))

    def sums(self, endpoint_id):
        found = dict.fromkeys(range(BUCKETS), 0.0)
        for at, news in self.told[endpoint_id]:
            add(found, decayed(news, self.at[endpoint_id] - at))
        return found


class TestScript:
    @given(st.lists(STEPS, max_size=30))
    def test_it_keeps_the_sums_of_what_it_was_told(self, redis_url, steps):
        asyncio.run(self.compare(redis_url, steps))

    async def test_nor_does_it_lose_or_double_anything_in_the_long_run(self, redis_url):
        rng = random.Random(8)
        await self.compare(redis_url, [random_step(rng) for _ in range(1000)])

    async def compare(self, url, steps):
        async with still_store(url) as store:
            ledger, numbers = Ledger(), {}
            for step in steps:
                match step:
                    case Wait():
                        ledger.now = await store.set_clock(ledger.now + step.seconds)
                    case Empty():
                        await store.client.delete(KEY)
                        await store.client.script_flush()
                        now, ledger = ledger.now, Ledger()
                        ledger.now = now
                    case Tell():
                        number = numbers[step.worker] = max(numbers.get(step.worker, 0) + (not step.is_repeat), 1)
                        told = batch(number, step.news, step.worker)
                        ledger.tell(told)
                        self.check(await added(store, told), ledger)

    def check(self, stored, ledger):
        assert stored.now == pytest.approx(ledger.now, abs=1e-6)
        assert {i: at for i, (at, _) in stored.counts.items()} == pytest.approx(ledger.at, abs=1e-6)
        for endpoint_id, (_, counts) in stored.counts.items():
            assert counts.keys() <= set(range(BUCKETS))
            wrong = {  # what has become negligible is dropped when more is told
                bucket: (counts.get(bucket, 0.0), expected)
                for bucket, expected in ledger.sums(endpoint_id).items()
                if not math.isclose(counts.get(bucket, 0.0), expected, rel_tol=1e-9, abs_tol=NEGLIGIBLE)
            }
            assert not wrong

    async def test_batches_add_up_in_any_order(self, store):
        rng = random.Random(6)
        batches = [
            batch(number, {A: {rng.randrange(BUCKETS): rng.random() for _ in range(20)}}, worker=f"w{n}")
            for n in range(5)
            for number in range(1, 9)
        ]
        one = await added(store, *batches)
        await store.client.delete(KEY)
        for told in rng.sample(batches, len(batches)):  # a number below one that was seen is too late
            told.worker, told.number = f"{told.worker}-{told.number}", 1
            other = await added(store, told)
        assert other.counts[A][1] == pytest.approx(one.counts[A][1])

    async def test_a_number_is_counted_once(self, store):
        told = batch(7, {A: {3: 2.0}})
        await added(store, told)
        again = await added(store, told, batch(6, {A: {3: 50.0}}))
        assert again.counts == {A: (1000.0, {3: 2.0})}
        assert (await added(store, batch(8, {A: {3: 1.0}}))).counts == {A: (1000.0, {3: 3.0})}

    async def test_a_number_stays_counted_when_a_lower_one_comes_late(self, store):
        for number in (7, 6, 7):
            answer = await added(store, batch(number, {A: {3: 1.0}}))
        assert answer.counts == {A: (1000.0, {3: 1.0})}

    async def test_a_clock_that_steps_back_neither_lets_fade_nor_grow(self, store):
        for number, now in enumerate([1000.0, 900.0, 1000.0], 1):
            await store.set_clock(now)
            answer = await added(store, batch(number, {A: {3: 1.0}}))
        assert answer.counts == {A: (1000.0, {3: 3.0})}

    async def test_a_reading_leaves_nothing_behind(self, store):
        answer = await added(store, batch(0))
        assert (answer.born, answer.counts) == ("", {})
        assert await store.client.keys("fl:*") == []

    async def test_what_is_kept_has_a_name(self, store):
        first = await added(store, batch(1, {A: {3: 1.0}}))
        await store.set_clock(1002.0)
        assert (await added(store, batch(2), batch(0))).born == first.born
        await store.client.delete(KEY)
        assert (await added(store, batch(3))).born not in ("", first.born)

    async def test_what_is_old_is_dropped(self, store):
        await added(store, batch(1, {A: {3: 1.0}}, worker="old"))
        await store.set_clock(1000.0 + FORGET_S)
        assert (await added(store, batch(1, {B: {3: 1.0}}, worker="new"))).counts.keys() == {A, B}
        await store.set_clock(1001.0 + FORGET_S)
        assert (await added(store, batch(0))).counts.keys() == {B}
        assert set(await store.client.hkeys(KEY)) == {b"born", b"e:%b" % B.encode(), b"w:new", b"w:old"}
        await store.set_clock(1001.0 + WORKER_S)
        await added(store, batch(0))
        assert set(await store.client.hkeys(KEY)) == {b"born", b"w:new"}

    async def test_what_has_become_negligible_is_dropped(self, store):
        await added(store, batch(1, {A: {3: 1.0, 4: 100.0}}))
        await store.set_clock(1000.0 + 14 * HALF_LIFE_S / 2)
        await added(store, batch(2, {A: {5: 1.0}}))
        await store.set_clock(1000.0 + 14 * HALF_LIFE_S)
        answer = await added(store, batch(3, {A: {5: 1.0}}))
        assert answer.counts[A][1].keys() == {4, 5}

    async def test_it_does_not_stay_for_ever(self, store):
        await added(store, batch(1, {A: {3: 1.0}}))
        assert 86_000 < await store.client.ttl(KEY) <= 86_400

    async def test_all_buckets_are_less_than_two_kilobytes(self, store):
        told = batch(1, {A: dict.fromkeys(range(BUCKETS), 1.0)})
        assert (await added(store, told)).counts[A][1] == told.news[A]
        assert await store.client.hstrlen(KEY, f"e:{A}") == 8 + 9 * BUCKETS < 2048


class TestStore:
    async def test_with_the_real_clock(self, redis_url):
        client = connect(redis_url)
        seconds, _ = await client.time()
        answer = await added(PercentileStore(client), batch(1, {A: {3: 1.0}}, group="real/clock"))
        assert seconds <= answer.now < seconds + TIME_LIMIT_S
        await client.aclose()

    async def test_groups_are_apart_and_each_has_a_slot(self, any_redis_url):
        client = connect(any_redis_url)
        store = PercentileStore(client)
        names = [f"group/{n}" for n in range(20)]
        answers = await store.add([batch(1, {f"a:{name}": {3: 1.0}}, group=name) for name in names])
        assert [[*answer.counts] for answer in answers] == [[f"a:{name}"] for name in names]
        assert {group: [*seen] for group, seen in (await store.read(dict.fromkeys(names, ()))).items()} == {
            name: [f"a:{name}"] for name in names
        }
        await client.aclose()

    async def test_reading_all_groups(self, store):
        news = {FIRST_TOKEN.bucket(math.log(0.2)): 4.0, SPEED.bucket(math.log(70.0)): 3.0}
        await added(store, batch(1, {A: news}), batch(1, {"a:x/y": news}, group="x/y"))
        await store.set_clock(1000.0 + HALF_LIFE_S)
        found = await store.read(dict.fromkeys([MODEL, "x/y", "unheard/of"], ()))
        assert {group: [*seen] for group, seen in found.items()} == {MODEL: [A], "x/y": ["a:x/y"], "unheard/of": []}
        first_token, speed = found[MODEL][A].first_token, found[MODEL][A].speed
        assert (first_token.count, speed.count) == pytest.approx((2.0, 1.5))
        assert first_token.quantile(0.5) == pytest.approx(0.2, rel=PRECISION)
        assert speed.quantile(0.5) == pytest.approx(70.0, rel=PRECISION)

    async def test_reading_nothing(self, store):
        assert await store.read({}) == {}

    async def test_a_large_catalogue_is_read_in_parts(self, redis_url):
        async with still(CountingStore, redis_url) as store:
            names = [f"group/{n}" for n in range(2 * AT_ONCE + 1)]
            await added(store, batch(1, {f"a:{names[-1]}": {3: 1.0}}, group=names[-1]))
            found = await store.read(dict.fromkeys(names, ()))
            assert [len(found), found[names[0]].keys(), found[names[-1]].keys()] == [
                len(names),
                set(),
                {f"a:{names[-1]}"},
            ]
            assert store.sizes == [1, AT_ONCE, AT_ONCE, 1]

    async def test_a_part_that_cannot_be_read_is_missing(self, store):
        await store.client.hset(KEY, f"e:{A}", "junk")
        await added(store, batch(1, {"a:x/y": {3: 1.0}}, group="x/y"))
        assert (await store.read({MODEL: (), "x/y": ()})).keys() == {"x/y"}

    async def test_away(self):
        client = connect("unix:///nowhere.sock")
        store = PercentileStore(client)
        assert [type(answer) for answer in await store.add([batch(1), batch(2)])] == [StoreAway] * 2
        assert await store.read({MODEL: ()}) == {}
        await client.aclose()

    async def test_a_store_that_says_nothing_is_not_asked_for_each_part(self):
        client = connect("unix:///nowhere.sock")
        store = CountingStore(client)
        assert await store.read({f"group/{n}": () for n in range(3 * AT_ONCE)}) == {}
        assert store.sizes == [AT_ONCE]
        await client.aclose()

    @pytest.mark.parametrize("kept", [{f"e:{A}": "junk"}, {f"e:{A}": "twelve bytes"}, {"w:w": ""}])
    async def test_what_nobody_can_read_is_an_answer_too(self, store, kept):
        await store.client.hset(KEY, mapping=kept)
        broken, well = await store.add([batch(0), batch(0, group="x/y")])
        assert isinstance(broken, StoreAway)
        assert isinstance(well, Stored)


# -- workers that share a store -----------------------------------------------------------------------------------


class Worker:
    def __init__(self, fleet, name):
        self.fleet = fleet
        self.board = HealthBoard(worker=name, fleet=2)
        self.percentiles = Percentiles(self.board, name)
        self.sync = PercentileSync(self.percentiles, fleet.store)

    def see(self, first_token_s, times=1, endpoint=A):
        now = clock.monotonic()
        self.board.asked(MODEL, now)
        for _ in range(times):
            attempt = self.board.of(endpoint, now).begin(now - first_token_s, is_stream=True)
            self.board.first_token(attempt, now)
            self.board.end(attempt, OK, now)
        return self

    def count(self, endpoint=A):
        histogram = self.percentiles.first_token(endpoint)
        return histogram.count if histogram is not None else 0.0


class Fleet:
    """Two workers, their store, and the time they live in. Its first minute is number 0."""

    def __init__(self, store, monkeypatch):
        self.store = store
        self.now = 50.0
        monkeypatch.setattr(clock, "monotonic", lambda: self.now)
        self.workers = [Worker(self, name) for name in ("one", "other")]

    async def tick(self, times=1, *, is_store_away=False):
        for _ in range(times):
            self.now += TICK_S
            if not is_store_away:
                await self.store.set_clock(self.now + 1e6)
            for worker in self.workers:
                worker.board.asked(MODEL, self.now)
                await worker.sync.flush()

    async def count(self):
        found = (await self.store.read({MODEL: ()}))[MODEL]
        return found[A].first_token.count if A in found else 0.0

    async def tried(self):
        """Attempts and successes in the store, by minute."""
        data = await self.store.client.get(MINUTES)
        counts = struct.iter_unpack("<II", data[8 + DAY :])
        return {slot - FIRST_SLOT: tried for slot, tried in enumerate(counts) if tried != (0, 0)}


@pytest.fixture
def valkey():
    """A server that may die."""
    server = Valkey().start()
    yield server
    server.close()


@pytest.fixture
async def fleet(valkey, monkeypatch):
    async with still_store(valkey.url) as store:
        yield Fleet(store, monkeypatch)


class TestFleet:
    async def test_all_know_of_all(self, fleet):
        one, other = fleet.workers
        one.see(0.1, 9)
        other.see(2.0, 1)
        await fleet.tick(7)
        for worker in fleet.workers:
            histogram = worker.percentiles.first_token(A)
            assert histogram.count == pytest.approx(10.0, rel=0.05)
            assert histogram.quantile(0.9) == pytest.approx(0.1, rel=PRECISION)
            assert histogram.quantile(0.95) == pytest.approx(2.0, rel=PRECISION)

    async def test_a_store_that_was_frozen_has_counted_all_once(self, fleet, valkey):
        one, other = fleet.workers
        await fleet.tick()
        one.see(0.1, 4)
        await fleet.tick()
        valkey.freeze()
        one.see(0.1, 10)
        other.see(0.1, 20)
        await fleet.tick(is_store_away=True)
        one.see(0.1, 30)
        await fleet.tick(is_store_away=True)
        assert one.count() == pytest.approx(44.0, rel=0.05)
        valkey.thaw()  # it does now what it was asked and nobody waits for
        await fleet.tick(3)
        assert await fleet.count() == pytest.approx(64.0, rel=0.05)
        assert one.count() == pytest.approx(64.0, rel=0.05)
        assert await fleet.tried() == {0: (64, 64)}

    async def test_minutes_add_up_where_they_belong_while_the_store_is_away(self, fleet, valkey):
        await fleet.tick()
        valkey.kill()
        for _ in range(6):
            for worker in fleet.workers:
                worker.see(0.1, 5)
            await fleet.tick(15, is_store_away=True)
        assert [worker.percentiles.uptime(A).last_5m for worker in fleet.workers] == [100.0, 100.0], "by its own ten"
        valkey.start()
        await fleet.tick(3)
        assert await fleet.tried() == {0: (10, 10), 1: (20, 20), 2: (20, 20), 3: (10, 10)}
        assert (await fleet.store.read({MODEL: [A]}))[MODEL][A].uptime.last_5m == 100.0

    async def test_minutes_of_a_store_that_was_emptied_begin_anew(self, fleet):
        one, other = fleet.workers
        await fleet.tick()
        one.see(0.1, 40)
        await fleet.tick(2)
        await fleet.store.client.flushdb()
        other.see(0.1, 3)
        await fleet.tick(2)
        assert await fleet.tried() == {0: (3, 3)}

    async def test_a_store_that_was_emptied_is_given_back_what_it_knew(self, fleet):
        one, other = fleet.workers
        one.see(0.1, 40)
        await fleet.tick(6)
        assert other.count() == pytest.approx(40.0, rel=0.05)
        await fleet.store.client.delete(KEY)
        other.see(0.1, 3)
        await fleet.tick(2)
        assert await fleet.count() == pytest.approx(43.0, rel=0.05)

    async def test_a_store_that_died_and_came_back_empty(self, fleet, valkey):
        one, other = fleet.workers
        one.see(0.1, 40)
        await fleet.tick(6)
        valkey.kill()
        other.see(0.1, 7)
        await fleet.tick(5, is_store_away=True)
        assert other.count() == pytest.approx(47.0, rel=0.1)
        valkey.start()
        await fleet.tick(7)
        assert await fleet.count() == pytest.approx(47.0, rel=0.1)
        assert [worker.count() for worker in fleet.workers] == pytest.approx([47.0] * 2, rel=0.1)

    async def test_the_background_task_tells_what_is_new(self, fleet, monkeypatch):
        monkeypatch.setattr(store_percentiles, "TICK_S", 0.001)
        one, _ = fleet.workers
        tasks = Tasks(lambda name, error: None)
        tasks.start("percentiles", one.sync.run())
        one.see(0.1, 5)
        async with asyncio.timeout(TIME_LIMIT_S):
            while await fleet.count() == 0.0:
                pass
        await tasks.close()
        assert await fleet.count() == 5.0
