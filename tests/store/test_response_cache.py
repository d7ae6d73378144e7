"""Replies in a real store: shared, bounded, and never in anybody's way."""

import asyncio
import contextlib
import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.store import response_cache
from fairlead.store.response_cache import (
    FRONT_BYTES,
    FRONT_S,
    MOST_WAITING,
    ORDER,
    OVERHEAD_BYTES,
    SIZES,
    SLOT,
    Entry,
    Front,
    Hit,
    ResponseStore,
    pack,
    unpack,
)
from fairlead.tasks import Tasks
from harness.jsontext import damaged
from harness.valkey import Valkey

pytestmark = pytest.mark.anyio

NAME, OTHER = "a" * 64, "b" * 64
ENTRY = Entry("gen-1", 300, "acme/m", "acme", "stop", [(b"content-type", b"application/json")], b'{"id":\x00}')
FOR_A_LONG_TIME = 1e9


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self):
        return self.now

    def pass_front(self):
        """Nothing that the front has now is there any more."""
        self.now += FRONT_S


def noise(size, seed=0):
    """An entry that does not get smaller."""
    return Entry("gen-1", 300, "acme/m", "acme", "stop", [], random.Random(seed).randbytes(size))


@pytest.fixture
async def tasks():
    faults = []
    tasks = Tasks(lambda what, error: faults.append((what, error)))
    yield tasks
    await tasks.close()
    assert not faults


@pytest.fixture
async def client(dial, redis_url):
    client = dial(redis_url)
    await client.flushdb()
    return client


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def worker(dial, redis_url, tasks, clock):
    """Makes the stores of workers, which have their own memory and one clock."""

    def worker(max_entry_bytes=1 << 20, max_bytes=1 << 26, url=redis_url):
        return ResponseStore(dial(url), tasks, max_entry_bytes, max_bytes, clock)

    return worker


@pytest.fixture(autouse=True)
def time_enough(monkeypatch, patient):
    """On a busy machine Redis is none that is away."""
    monkeypatch.setattr(response_cache, "WAIT_S", 10.0)


async def counted(client):
    """What is counted, and what is there: (sum, names in the order of their coming, names of the entries)."""
    sizes = {name.decode(): int(size) for name, size in (await client.hgetall(SIZES)).items()}
    total, _ = sizes.pop("", 0), sizes.pop("n", 0)
    assert total == sum(sizes.values())
    order = [name.decode() for name in await client.zrange(ORDER, 0, -1)]
    assert set(order) == set(sizes)
    entries = {name.decode().removeprefix(SLOT) for name in await client.keys(f"{SLOT}*")} - {"order", "sizes"}
    return total, order, entries


class TestEntries:
    async def test_one_that_is_kept_is_found_by_every_worker(self, worker, client):
        await worker().put(NAME, ENTRY)
        hit = await worker().get(NAME)
        assert hit.entry == ENTRY
        assert 299 < hit.left_s <= 300
        assert 299 < await client.ttl(f"{SLOT}{NAME}") <= 300
        assert await worker().get(OTHER) is None

    async def test_on_every_kind_of_store(self, worker, any_redis_url, dial):
        await dial(any_redis_url).flushdb()
        one, two = worker(url=any_redis_url), worker(url=any_redis_url)
        for name in (NAME, OTHER):
            await one.put(name, ENTRY)
            assert (await two.get(name)).entry == ENTRY
        await one.clear(NAME)
        assert await worker(url=any_redis_url).get(NAME) is None
        assert (await two.get(OTHER)).entry == ENTRY

    async def test_how_old_it_is_the_store_says(self, worker, client):
        await worker().put(NAME, ENTRY)
        await client.pexpire(f"{SLOT}{NAME}", 100_500)
        assert 100 < (await worker().get(NAME)).left_s <= 100.5

    async def test_a_later_one_takes_the_place_of_the_first(self, worker, client):
        await worker().put(NAME, noise(1_000))
        await worker().put(NAME, ENTRY)
        assert (await worker().get(NAME)).entry == ENTRY
        assert await counted(client) == (len(pack(ENTRY)) + OVERHEAD_BYTES, [NAME], {NAME})

    async def test_one_that_expires_is_gone(self, worker, client):
        await worker().put(NAME, ENTRY)
        await client.pexpire(f"{SLOT}{NAME}", 0)
        assert await worker().get(NAME) is None

    @pytest.mark.parametrize(
        "data",
        [
            b"", b"\x01", pack(ENTRY)[:-1], pack(ENTRY) + b"x", b"\x02" + pack(ENTRY)[1:], pack(ENTRY)[1:], b"{}",
            b"\x01" + pack(ENTRY)[1:].replace(pack(ENTRY)[20:21], bytes([pack(ENTRY)[20] ^ 1]), 1),
        ],
    )  # fmt: skip
    async def test_one_that_is_not_as_it_was_is_none(self, worker, client, data):
        await client.set(f"{SLOT}{NAME}", data, ex=100)
        assert await worker().get(NAME) is None
        await worker().put(NAME, ENTRY)  # and does not stay
        assert (await worker().get(NAME)).entry == ENTRY

    async def test_no_broken_bit_goes_unnoticed(self):
        data = pack(ENTRY)
        for place in range(len(data)):
            for bit in range(8):
                broken = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
                assert unpack(broken, 10_000) in (None, ENTRY)

    async def test_what_does_not_expire_is_not_ours(self, worker, client):
        await client.set(f"{SLOT}{NAME}", pack(ENTRY))
        assert await worker().get(NAME) is None

    async def test_what_is_of_another_type_is_not_ours(self, worker, client, clock):
        await client.rpush(f"{SLOT}{NAME}", "x")
        assert await worker().get(NAME) is None

    async def test_one_that_is_too_long_is_not_kept_and_not_read(self, worker, client):
        long = Entry("gen-1", 300, "acme/m", "acme", "stop", [], b"x" * 10_000)
        await worker(max_entry_bytes=9_999).put(NAME, long)
        assert not await client.keys("*")
        await worker().put(NAME, long)
        assert await worker(max_entry_bytes=5_000).get(NAME) is None
        assert (await worker(max_entry_bytes=10_000).get(NAME)).entry == long

    async def test_long_ones_are_made_smaller(self, worker, client):
        long = Entry("gen-1", 300, "acme/m", "acme", "stop", [], b'data: {"id":\x00,"choices":[]}\n\n' * 10_000)
        await worker().put(NAME, long)
        assert (await worker().get(NAME)).entry == long
        assert await client.strlen(f"{SLOT}{NAME}") < 10_000


class TestRoom:
    async def test_what_came_first_goes_first(self, worker, client):
        most = 10 * (1_000 + 60 + OVERHEAD_BYTES)
        store = worker(max_bytes=most)
        for n in range(25):
            await store.put(f"{n:064}", noise(1_000, n))
        total, order, entries = await counted(client)
        assert order == [f"{n:064}" for n in range(15, 25)]
        assert entries == set(order)
        assert most * 0.9 < total <= most

    async def test_a_long_one_takes_the_place_of_many(self, worker, client):
        store = worker(max_bytes=20_000)
        for n in range(8):
            await store.put(f"{n:064}", noise(1_000, n))
        await store.put(NAME, noise(15_000))
        _, order, entries = await counted(client)
        assert order == [f"{n:064}" for n in (6, 7)] + [NAME]
        assert entries == set(order)

    async def test_one_that_has_no_room_at_all_is_not_kept(self, worker, client):
        store = worker(max_bytes=5_000)
        await store.put(OTHER, noise(1_000))
        await store.put(NAME, noise(6_000))
        assert (await counted(client))[2] == {OTHER}

    async def test_one_for_which_too_many_would_have_to_go_is_not_kept(self, worker, client, monkeypatch):
        for n in range(10):
            await worker().put(f"{n:064}", noise(1_000, n))
        monkeypatch.setattr(response_cache, "MOST_EVICTED", 4)
        store = worker(max_bytes=6_000)
        await store.put(NAME, noise(1_000))
        assert (await counted(client))[1] == [f"{n:064}" for n in range(4, 10)]
        await store.put(NAME, noise(1_000))
        assert (await counted(client))[1] == [f"{n:064}" for n in (8, 9)] + [NAME]

    async def test_what_is_cleared_or_has_expired_makes_room(self, worker, client):
        store = worker()
        for n in range(6):
            await store.put(f"{n:064}", noise(1_000, n))
        await store.clear(f"{3:064}")
        for n in (0, 1):
            await client.delete(f"{SLOT}{n:064}")  # as if expired
        await store.put(NAME, ENTRY)
        assert (await counted(client))[1] == [f"{n:064}" for n in (2, 4, 5)] + [NAME]

    @pytest.mark.parametrize("lost", [ORDER, SIZES])
    async def test_lists_that_redis_has_evicted_are_begun_anew(self, worker, client, lost):
        store = worker(max_bytes=6_000)
        for n in range(3):
            await store.put(f"{n:064}", noise(1_000, n))
        await client.delete(lost)
        for n in range(3, 9):
            await store.put(f"{n:064}", noise(1_000, n))
        total, order, entries = await counted(client)
        assert order == [f"{n:064}" for n in (6, 7, 8)]
        assert total <= 6_000
        assert entries == {f"{n:064}" for n in (0, 1, 2, 6, 7, 8)}  # the first ones until they expire

    async def test_lists_expire_after_the_last_entry(self, worker, client):
        await worker().put(NAME, ENTRY)
        for name in (ORDER, SIZES):
            assert await client.ttl(name) > 86_400

    async def test_what_is_counted_is_about_what_it_takes(self, worker, client):
        store = worker()
        before = (await client.info("memory"))["used_memory"]
        for n in range(500):
            await store.put(f"{n:064}", noise(1_000, n))
        taken = (await client.info("memory"))["used_memory"] - before
        total, *_ = await counted(client)
        assert 0.7 * taken < total < 1.5 * taken

    async def test_many_at_once_are_counted_right(self, worker, client):
        stores = [worker(max_bytes=8_000) for _ in range(3)]
        for seed in range(20):
            steps = random.Random(seed)
            await asyncio.gather(
                *(
                    store.put(f"{steps.randrange(6):064}", noise(steps.randrange(200, 2_000), seed))
                    if steps.random() < 0.8
                    else store.clear(f"{steps.randrange(6):064}")
                    for store in stores
                )
            )
        total, order, entries = await counted(client)
        assert set(order) == entries
        assert total <= 8_000


class TestFront:
    async def test_what_was_just_seen_is_not_asked_for_again(self, worker, client):
        one, two = worker(), worker()
        await one.put(NAME, ENTRY)
        await two.get(NAME)
        await client.flushdb()
        for store in (one, two):
            assert (await store.get(NAME)).entry == ENTRY

    async def test_a_clear_elsewhere_is_seen_within_a_second(self, worker, clock):
        one, two = worker(), worker()
        await one.put(NAME, ENTRY)
        await two.get(NAME)
        clock.now += FRONT_S - 0.1
        await one.clear(NAME)
        assert await one.get(NAME) is None
        clock.now += 0.1
        assert await two.get(NAME) is None

    async def test_being_used_makes_it_no_younger(self, worker, client, clock):
        store = worker()
        await store.put(NAME, ENTRY)
        await client.flushdb()
        for _ in range(9):
            clock.now += 0.11
            assert await store.get(NAME) is not None
        clock.now += 0.11
        assert await store.get(NAME) is None

    def test_it_ends_with_the_entry(self):
        front = Front()
        front.put(NAME, Hit(ENTRY, 0.5), 10.0)
        assert front.get(NAME, 10.25) == Hit(ENTRY, 0.25)
        assert front.get(NAME, 10.5) is None
        assert front.size == 0

    def test_what_was_not_used_for_longest_goes_first(self):
        front, entry = Front(), noise(FRONT_BYTES // 4)
        for n in range(3):
            front.put(str(n), Hit(entry, 300), 10.0)
        front.get("0", 10.0)
        front.put("3", Hit(entry, 300), 10.0)
        assert [n for n in range(4) if front.get(str(n), 10.0)] == [0, 2, 3]
        assert front.size <= FRONT_BYTES

    def test_what_is_past_its_time_takes_no_room(self):
        front = Front()
        for n in range(3):
            front.put(str(n), Hit(ENTRY, 300), 10.0 + n / 10)
        front.get("0", 10.5)
        one = front.size // 3
        front.put("next", Hit(ENTRY, 300), 10.1 + FRONT_S)
        assert front.size == 3 * one  # 1 went; 2 is still good, and 0, used since, is looked at after it
        front.put("last", Hit(ENTRY, 300), 10.2 + FRONT_S)
        assert front.size == 2 * one

    def test_one_that_is_too_long_for_it(self):
        front = Front()
        front.put(NAME, Hit(noise(FRONT_BYTES), 300), 10.0)
        assert front.get(NAME, 10.0) is None
        assert front.size == 0


class TestWithoutRedis:
    async def test_nothing_is_found_and_nothing_is_raised(self, worker, clock):
        store = worker(url="unix:///nonexistent.sock")
        assert await store.get(NAME) is None
        await store.clear(NAME)
        await store.put(NAME, ENTRY)
        clock.pass_front()
        assert await store.get(NAME) is None

    async def test_one_that_hangs_is_waited_for_once(self, worker, clock, monkeypatch):
        monkeypatch.setattr(response_cache, "WAIT_S", 0.01)  # while redis-py would wait for ten seconds
        with contextlib.closing(Valkey()) as server:
            server.start()
            store = worker(url=server.url)
            server.freeze()
            try:
                async with asyncio.timeout(5):
                    assert await store.get(NAME) is None
                    monkeypatch.setattr(response_cache, "WAIT_S", FOR_A_LONG_TIME)
                    assert await store.get(NAME) is None  # without asking
            finally:
                server.thaw()
            clock.now += response_cache.AWAY_S
            await worker(url=server.url).put(NAME, ENTRY)
            assert (await store.get(NAME)).entry == ENTRY

    async def test_what_comes_late_does_no_harm(self, worker, client, monkeypatch, clock):
        await worker().put(NAME, ENTRY)
        store = worker()
        monkeypatch.setattr(response_cache, "WAIT_S", 0.0)
        assert await store.get(NAME) is None
        await client.ping()
        monkeypatch.setattr(response_cache, "WAIT_S", 10.0)
        clock.now += response_cache.AWAY_S
        assert (await store.get(NAME)).entry == ENTRY

    async def test_few_wait_for_it(self, worker):
        with contextlib.closing(Valkey()) as server:
            server.start()
            store = worker(url=server.url)
            server.freeze()
            try:
                async with asyncio.timeout(5):
                    waiting = [asyncio.ensure_future(store.put(f"{n:064}", ENTRY)) for n in range(MOST_WAITING)]  # noqa: TID251 - a test's own tasks
                    await asyncio.sleep(0)
                    await store.put(NAME, ENTRY)  # returns at once
                    assert not any(one.done() for one in waiting)
            finally:
                server.thaw()
            await asyncio.gather(*waiting)
            client = store._client
            assert await client.exists(f"{SLOT}{0:064}") == 1
            assert await client.exists(f"{SLOT}{NAME}") == 0

    async def test_one_that_is_full_is_not_taken_for_away(self, worker, client):
        await worker().put(OTHER, ENTRY)
        await client.config_set("maxmemory", "1")
        try:
            store = worker()
            await store.put(NAME, ENTRY)
            assert (await store.get(OTHER)).entry == ENTRY
        finally:
            await client.config_set("maxmemory", "0")


@given(damaged(st.just(pack(ENTRY))) | st.binary(max_size=40), st.integers(0, 100))
def test_whatever_stands_there_is_the_entry_or_none(data, limit):
    assert unpack(data, 10_000) in (None, ENTRY)
    assert unpack(data, limit) in (None, ENTRY)
