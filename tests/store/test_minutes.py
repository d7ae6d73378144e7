"""Minutes in the store: whatever it is told in whatever order, it knows what each minute of the last day is.

The script reads the store's clock from a key, so that days pass at a test's word.
"""

import asyncio
import math
import random
import struct
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.health.minutes import BAD, DAY, GOOD, UNKNOWN, Day, Uptime, judged, uptime
from fairlead.health.percentiles import Batch, Seen, Stored
from fairlead.store.health import StoreAway
from fairlead.store.minutes import pack, unpack_day
from fairlead.store.percentiles import PercentileStore
from fairlead.store.percentiles import pack as pack_counts
from fairlead.store.redis import connect
from harness.still import StillClock, still

pytestmark = pytest.mark.anyio

MODEL = "acme/large"
A, B = f"a:{MODEL}", f"b:{MODEL}"
KEY = f"fl:1:{{{MODEL}}}:minutes:{A}"
HASH = f"fl:1:{{{MODEL}}}:percentiles"
START = 28_333_333
"""The current minute at first; the 613th of its day."""


class StillStore(StillClock, PercentileStore):
    pass


def still_store(url):
    return still(StillStore, url)


@pytest.fixture
async def store(redis_url):
    async with still_store(redis_url) as store:
        await store.set_clock(START * 60.0)
        yield store


def batch(number, tried, worker="w", endpoint=A, asks=(A,)):
    return Batch(MODEL, worker, number, 0.0, minutes={endpoint: tried}, asks=asks)


async def added(store, *batches):
    """The answer to the last of them."""
    *_, answer = await store.add(batches)
    assert isinstance(answer, Stored), answer
    return answer


def known(stored, endpoint=A):
    """What of an endpoint says something, by how long before START it was."""
    day = stored.days[endpoint]
    return {
        START - minute: day.of(minute)
        for minute in range(day.latest - DAY + 1, day.latest + 1)
        if day.of(minute) != UNKNOWN
    }


# -- against counting every minute --------------------------------------------------------------------------------


@dataclass
class Tell:
    """Of a worker, minutes so long before the current one; `is_repeat`: under the number of its last."""

    worker: str
    is_repeat: bool
    tried: dict


@dataclass
class Wait:
    minutes: int


TRIED = st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
AGES = st.one_of(st.integers(-2, 4), st.integers(0, DAY + 2))
TELL = st.builds(
    Tell,
    st.sampled_from(["w1", "w2", "w3"]),
    st.integers(0, 5).map(lambda n: n == 0),
    st.dictionaries(AGES, TRIED, min_size=1, max_size=4),
)
WAITS = [-3, 0, 1, 1, 2, 30, DAY - 1, DAY, 3 * DAY, -2 * DAY]
STEPS = st.one_of(TELL, TELL, st.builds(Wait, st.sampled_from(WAITS)))


def random_step(rng):
    """As STEPS, but that a long run of them gets anywhere."""
    if rng.random() < 0.3:
        return Wait(rng.choice(WAITS[:6] if rng.random() < 0.97 else WAITS))
    ages = rng.choices([rng.randrange(3), rng.randrange(DAY + 2), -1], [8, 2, 1], k=rng.randrange(1, 4))
    return Tell(
        f"w{rng.randrange(3)}",
        rng.random() < 0.2,
        {age: (n, rng.randrange(max(0, n - 3), n + 1)) for age in ages for n in [rng.randrange(1, 9)]},
    )


@dataclass
class Ledger:
    """The numbers of each minute, as a plain dictionary."""

    this: int = START
    latest: int | None = None
    tried: dict = field(default_factory=dict)
    numbers: dict = field(default_factory=dict)
    """Of each worker: the last that counted, and the minute of its last batch."""

    def tell(self, told):
        self.numbers = {w: seen for w, seen in self.numbers.items() if self.this - seen[1] <= DAY}
        last, _ = self.numbers.get(told.worker, (0, 0))
        self.numbers[told.worker] = max(told.number, last), self.this
        if told.number > last:
            for minute, counted in told.minutes[A].items():
                self.add(min(minute, self.this), *counted)

    def add(self, minute, attempts, successes):
        if self.this - minute >= DAY:
            return
        if self.latest is not None and self.latest - self.this >= DAY:
            self.latest, self.tried = None, {}
        self.latest = minute if self.latest is None else max(self.latest, minute)
        known = self.tried.get(minute, (0, 0))
        self.tried[minute] = known[0] + attempts, known[1] + successes
        self.tried = {m: counted for m, counted in self.tried.items() if m > self.latest - DAY}

    @property
    def day(self):
        minutes = range(self.latest - DAY + 1, self.latest + 1)
        return Day(self.latest, b"".join(judged(*self.tried.get(m, (0, 0))) for m in minutes))


class TestScript:
    @given(st.lists(STEPS, max_size=30))
    def test_it_knows_what_each_minute_is(self, redis_url, steps):
        asyncio.run(self.compare(redis_url, steps))

    async def test_also_in_the_long_run(self, redis_url):
        rng = random.Random(8)
        await self.compare(redis_url, [random_step(rng) for _ in range(1500)])

    async def compare(self, url, steps):
        async with still_store(url) as store:
            await store.set_clock(START * 60.0 + 30.0)
            ledger, numbers = Ledger(), {}
            for step in steps:
                if isinstance(step, Wait):
                    ledger.this += step.minutes
                    await store.set_clock(ledger.this * 60.0 + 30.0)
                    continue
                number = numbers[step.worker] = max(numbers.get(step.worker, 0) + (not step.is_repeat), 1)
                told = batch(number, {ledger.this - age: tried for age, tried in step.tried.items()}, step.worker)
                ledger.tell(told)
                stored = await added(store, told)
                assert stored.days == ({} if ledger.latest is None else {A: ledger.day})

    async def test_workers_add_up_to_what_none_has_seen_alone(self, store):
        for n in range(4):
            stored = await added(store, batch(1, {START: (3, 3), START - 1: (3, n // 3)}, worker=f"w{n}"))
        assert known(stored) == {0: GOOD, 1: BAD}

    async def test_a_minute_changes_as_more_is_told_of_it(self, store):
        seen = [
            known(await added(store, batch(n + 1, {START - 7: tried})))
            for n, tried in enumerate([(9, 9), (1, 0), (10, 0), (40, 40)])
        ]
        assert seen == [{}, {7: GOOD}, {7: BAD}, {7: GOOD}]

    async def test_a_number_is_counted_once(self, store):
        told = batch(7, {START: (5, 5)})
        assert known(await added(store, told, told, batch(6, {START: (5, 5)}))) == {}
        assert known(await added(store, batch(8, {START: (5, 5)}))) == {0: GOOD}

    async def test_also_when_it_comes_again_after_hours(self, store):
        """The answer was lost, and the store was away; other workers have found it before."""
        told = batch(7, {START: (5, 5)})
        await added(store, told)
        await store.set_clock((START + 1200) * 60.0)
        await added(store, batch(1, {START + 1200: (1, 1)}, worker="another"))
        assert known(await added(store, told)) == {}

    async def test_with_one_number_goes_all_of_a_batch(self, store):
        told = Batch(MODEL, "w", 3, 0.0, {A: {3: 2.0}, B: {4: 1.0}}, {B: {START: (10, 9)}}, [A, B])
        stored = await added(store, told, told)
        assert {name: counts for name, (_, counts) in stored.counts.items()} == {A: {3: 2.0}, B: {4: 1.0}}
        assert known(stored, B) == {0: GOOD}
        assert stored.days.keys() == {B}

    async def test_what_comes_late_is_counted_where_it_belongs(self, store):
        await added(store, batch(1, {START: (10, 0)}))
        stored = await added(store, batch(2, {START - DAY + 1: (10, 10), START - DAY: (10, 10), START - 700: (10, 10)}))
        assert known(stored) == {0: BAD, 700: GOOD, DAY - 1: GOOD}

    async def test_what_comes_a_day_late_leaves_nothing_behind(self, store):
        assert (await added(store, batch(1, {START - DAY: (10, 10)}))).days == {}
        assert await store.client.exists(KEY) == 0

    async def test_a_minute_that_has_not_begun_is_this_one(self, store):
        """A worker's idea of this clock may be a little ahead."""
        stored = await added(store, batch(1, {START + 1: (10, 10)}))
        assert known(stored) == {0: GOOD}

    async def test_after_a_day_it_is_forgotten_minute_by_minute(self, store):
        await added(store, batch(1, dict.fromkeys(range(START - 5, START + 1), (10, 10))))
        await store.set_clock((START + DAY - 3) * 60.0)
        stored = await added(store, batch(2, {START + DAY - 3: (10, 0)}))
        assert known(stored) == {0: GOOD, 1: GOOD, 2: GOOD, 3 - DAY: BAD}

    async def test_a_clock_that_was_far_ahead_once_does_no_harm(self, store):
        await store.set_clock((START + 10 * DAY) * 60.0)
        await added(store, batch(1, {START + 10 * DAY: (10, 10)}))
        await store.set_clock(START * 60.0)
        assert known(await added(store, batch(2, {START: (10, 0)}))) == {0: BAD}

    async def test_a_reading_leaves_nothing_behind(self, store):
        stored = await added(store, Batch(MODEL, "w", 0, 0.0, asks=[A, B]))
        assert stored.days == {}
        assert await store.client.keys("fl:*") == []

    async def test_it_stays_for_a_day_and_is_of_one_size(self, store):
        sizes = set()
        for number in range(1, 50):
            await store.set_clock((START + 37 * number) * 60.0)
            await added(store, batch(number, {START + 37 * number: (1000, 999)}))
            sizes.add(await store.client.strlen(KEY))
        assert sizes == {8 + DAY + 8 * DAY}
        assert 86_400 < await store.client.ttl(KEY) <= 90_000

    async def test_numbers_that_are_large(self, store):
        stored = await added(store, *(batch(n, {START: (10**9, 8 * 10**8)}) for n in (1, 2, 3)))
        assert known(stored) == {0: GOOD}
        assert known(await added(store, batch(4, {START: (1, 0)}))) == {0: BAD}

    async def test_what_nobody_can_read_is_an_answer_too(self, store):
        await store.client.hset(KEY, "not", "a string")
        answer, well = await store.add([batch(0, {}), batch(0, {}, asks=[B])])
        assert isinstance(answer, StoreAway)
        assert isinstance(well, Stored)


class TestVersions:
    """While a fleet is updated, some of its workers know of no minutes."""

    async def test_what_they_have_left_is_read(self, store):
        records = {f"e:{A}": struct.pack("<d", START * 60.0) + pack_counts({3: 5.0}), "w:old": struct.pack("<dd", 4, 9)}
        await store.client.hset(HASH, mapping={**records, "born": "1000.0"})
        seen = (await store.read({MODEL: [A, B]}))[MODEL]
        assert (seen.keys(), seen[A].first_token.count, seen[A].uptime) == ({A}, 5.0, Uptime())

    async def test_they_find_nothing_that_they_do_not_know(self, store):
        await added(store, Batch(MODEL, "w", 1, 0.0, {A: {3: 1.0}}, {A: {START: (1, 1)}, B: {START: (1, 1)}}))
        assert set(await store.client.hkeys(HASH)) == {b"born", b"w:w", b"e:%b" % A.encode()}


class TestStore:
    async def test_uptimes_of_the_endpoints_that_are_named(self, store):
        tried = {START - 2: (10, 10), START - 3: (10, 0), START - 20: (10, 0), START - 800: (10, 0)}
        await added(store, batch(1, tried), batch(1, tried, worker="v", endpoint=B))
        seen = (await store.read({MODEL: [A]}))[MODEL]
        assert seen == {A: Seen(uptime=Uptime(50.0, 33.33, 25.0))}
        await store.set_clock((START + 3) * 60.0 - 0.001)
        assert (await store.read({MODEL: [A]}))[MODEL][A].uptime == Uptime(100.0, 33.33, 25.0)

    async def test_on_a_server_of_each_kind(self, any_redis_url):
        client = connect(any_redis_url)
        store = PercentileStore(client)
        groups = [f"group/{n}" for n in range(20)]
        (stored,) = await store.add([Batch(groups[0], "w", 0, 0.0)])
        minute = int(stored.now // 60) - 1
        for worker in ("one", "other"):
            told = [
                Batch(g, worker, 1, 0.0, {}, {f"a:{g}": {minute: (5, 5)}, f"b:{g}": {minute: (5, 3)}}) for g in groups
            ]
            assert all(isinstance(answer, Stored) for answer in await store.add(told))
        found = await store.read({group: [f"a:{group}", f"b:{group}"] for group in groups})
        assert {
            group: {name[0]: one.uptime.last_5m for name, one in seen.items()} for group, seen in found.items()
        } == {group: {"a": 100.0, "b": 0.0} for group in groups}
        await client.aclose()


def test_what_is_sent_and_what_comes_back():
    assert len(pack({START: (3, 2), START + 1: (1, 0)})) == 24
    assert unpack_day(struct.pack("<d", START) + GOOD * DAY) == Day(START, GOOD * DAY)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"1234567",
        struct.pack("<d", START),
        struct.pack("<d", START) + GOOD * 9,
        *(struct.pack("<d", latest) + GOOD * DAY for latest in (math.nan, math.inf, -math.inf)),
    ],
    ids=range(7),
)
def test_what_the_script_does_not_write(record):
    with pytest.raises(struct.error):
        unpack_day(record)


@given(
    st.binary(max_size=24) | st.binary(min_size=8, max_size=8).map(lambda latest: latest + GOOD * DAY),
    st.integers(-(10**12), 10**12),
)
def test_whatever_stands_there_is_a_day_or_refused(record, minute):
    try:
        day = unpack_day(record)
    except struct.error:
        return
    assert isinstance(day.latest, int)
    assert day.of(minute) in (GOOD, UNKNOWN)
    assert uptime(day, minute).last_1d in (None, 100.0)


@given(st.dictionaries(st.integers(0, 2**32 - 1), st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))))
def test_what_is_sent_is_twelve_bytes_each(tried):
    assert {minute: tuple(told) for minute, *told in struct.iter_unpack("<III", pack(tried))} == tried
