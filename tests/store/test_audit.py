"""With a real store, written by the script that does it in earnest, also while the audit reads."""

import asyncio
import contextlib

import pytest
from redis.exceptions import RedisError

from fairlead.access.audit import NEVER, Difference
from fairlead.errors import FairleadError
from fairlead.store import audit as store_audit
from fairlead.store import ledger as store_ledger
from fairlead.store.audit import REPAIR, AuditStore, CannotRepair
from fairlead.store.ledger import DAYS, LEDGER
from fairlead.store.money import SLOT
from harness.ledger import DAY_S, NOON, Scribe, generation

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient")]

TODAY, YESTERDAY = f"{SLOT}day:20261121", f"{SLOT}day:20261120"


@pytest.fixture
async def client(redis_url, dial):
    client = dial(redis_url)
    await client.flushdb()
    return client


@pytest.fixture
def auditor(client):
    return AuditStore(client)


@pytest.fixture
async def scribe(client):
    """It has charged a few things."""
    scribe = Scribe(client)
    guess = generation(NOON - DAY_S, cost_usd_nanos=500, prompt_tokens=50, is_estimated=True)
    await scribe.charge(
        generation(cost_usd_nanos=5, prompt_tokens=1),
        generation(key="k2", model="a|b", cost_usd_nanos=7),
        generation(key="", provider="", status=503),
        guess,
    )
    await scribe.charge(generation(NOON - DAY_S, id=guess.id, cost_usd_nanos=300, prompt_tokens=70))
    return scribe


async def repaired(auditor, name="r1"):
    await auditor.begin_repair(name)
    await auditor.repair(name, (await auditor.findings()).differences)
    return await auditor.findings()


async def test_what_the_script_writes_agrees(auditor, scribe):
    found = await auditor.findings()
    assert found.differences == []
    assert (found.entries, found.rollups, found.accounts, found.first_whole) == (5, 2, 3, "")


async def test_it_tells_how_far_it_is(auditor, scribe):
    heard = []
    await auditor.findings(lambda done, total: heard.append((done, total)))
    assert heard[-1] == (5, 5)


async def test_an_empty_store(auditor, client):
    found = await auditor.findings()
    assert (found.differences, found.entries, found.rollups, found.accounts) == ([], 0, 0, 1)


async def test_each_kind_of_counter_is_looked_at(auditor, scribe, client):
    await client.hincrby(f"{SLOT}spent:k1", "total", 1)
    await client.hincrby(f"{SLOT}spent:*", "m:202611", -1)
    await client.hincrby(f"{SLOT}spent:k2", "n", 1)
    await client.hdel(f"{SLOT}spent:k2", "d:20261121")
    await client.hincrby(f"{SLOT}spent:stray", "total", 9)
    await client.hincrby(TODAY, "k1|acme/large|acme|prompt", 3)
    await client.hdel(YESTERDAY, "k1|acme/large|acme|usd_nanos")
    await client.hset(f"{SLOT}spent:k1", "last", 1)
    assert (await auditor.findings()).differences == [
        Difference("day:20261120", "k1|acme/large|acme|usd_nanos", None, 300),
        Difference("day:20261121", "k1|acme/large|acme|prompt", 4, 1),
        Difference("spent:*", "m:202611", 311, 312),
        Difference("spent:k1", "total", 306, 305),
        Difference("spent:k2", "d:20261121", None, 7),
        Difference("spent:k2", "n", 2, 1),
        Difference("spent:stray", "total", 9, 0),
    ]
    assert (await repaired(auditor)).differences == []
    assert not await client.hexists(f"{SLOT}spent:stray", "total")


async def test_a_roll_up_that_is_gone_comes_back(auditor, scribe, client):
    before = await client.hgetall(TODAY)
    await client.delete(TODAY)
    await client.srem(DAYS, "20261121")
    assert (await repaired(auditor)).differences == []
    assert await client.hgetall(TODAY) == before
    assert await client.smembers(DAYS) == {b"20261120", b"20261121"}


async def test_a_day_that_is_not_listed_is_read_all_the_same(auditor, scribe, client):
    """Were it taken for empty, a repair would count it twice."""
    await client.srem(DAYS, "20261121")
    assert (await auditor.findings()).differences == []
    await client.hdel(TODAY, "k2|a_b|acme|usd_nanos", "k2|a_b|acme|requests")
    assert (await repaired(auditor)).differences == []
    assert await client.sismember(DAYS, "20261121")


async def test_what_else_is_counted_is_left_alone(auditor, scribe, client):
    """Free requests, for one."""
    await scribe.charge(generation(is_free=True))
    await client.hset(f"{SLOT}spent:free:k1", "d:20261121", 99)
    assert (await auditor.findings()).differences == []


async def test_an_entry_that_was_removed_is_missed(auditor, scribe, client):
    (first, *_, last) = await client.xrange(LEDGER)
    await client.xdel(LEDGER, first[0])
    found = await auditor.findings()
    assert found.differences == []  # whether that was by age, nobody can tell
    assert found.first_whole > "20261121"
    await client.xdel(LEDGER, last[0])
    assert (await auditor.findings()).differences == []


async def test_old_days_are_compared_by_their_roll_ups(auditor, client):
    """Their entries have been dropped."""
    scribe = Scribe(client)
    await scribe.charge(generation(NOON, cost_usd_nanos=5))
    await client.xtrim(LEDGER, maxlen=0, approximate=False)
    assert (await auditor.findings()).differences == []
    await scribe.charge(generation(NOON, cost_usd_nanos=6), generation(NOON + 4_000 * DAY_S, cost_usd_nanos=7))
    assert (await auditor.findings()).differences == []
    await client.hincrby(f"{SLOT}spent:k1", "total", 1)
    await client.hincrby(f"{SLOT}day:20371103", "k1|acme/large|acme|usd_nanos", 3)
    assert (await auditor.findings()).differences == [
        Difference("day:20371103", "k1|acme/large|acme|usd_nanos", 10, 7),
        Difference("spent:k1", "total", 19, 18),
    ]


async def test_a_lost_ledger_does_not_count_as_nothing_spent(auditor, scribe, client):
    await client.delete(LEDGER)
    found = await auditor.findings()
    assert (found.differences, found.first_whole) == ([], NEVER)
    await client.hincrby(f"{SLOT}spent:k1", "total", 1)
    assert [one.excess for one in (await auditor.findings()).differences] == [1]


async def charge_until(stop, scribe, keys=40):
    n = 0
    while not stop.is_set():
        n += 1
        some = [
            generation(NOON + at * 10, key=f"k{(n + at) % keys}", model=f"m{n % 50}", cost_usd_nanos=n)
            for at in (-9_000, 0, 1)
        ]
        await scribe.charge(*some, generation(NOON, key="k1", is_estimated=True, id=f"gen-{int(NOON)}-{n // 2:x}"))


@contextlib.asynccontextmanager
async def charging(client):
    """Two workers charge meanwhile, as fast as they can."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as workers:
        for _ in range(2):
            workers.create_task(charge_until(stop, Scribe(client)))
        try:
            yield
        finally:
            stop.set()


@pytest.mark.parametrize("is_corrupt", [False, True])
async def test_while_others_write(auditor, scribe, client, monkeypatch, is_corrupt):
    """Little is read at a time, so that many entries are written between two readings."""
    monkeypatch.setattr(store_audit, "AT_ONCE", 7)
    monkeypatch.setattr(store_ledger, "AT_ONCE", 50)
    for n in range(20):
        await scribe.charge(*(generation(NOON, key=f"k{k}", model=f"m{n}", cost_usd_nanos=1) for k in range(40)))
    expected = []
    if is_corrupt:
        await client.hincrby(f"{SLOT}spent:k1", "total", 1_000)
        await client.hincrby(TODAY, "k1|m1|acme|usd_nanos", -20)
        expected = [("day:20261121", "k1|m1|acme|usd_nanos", -20), ("spent:k1", "total", 1_000)]
    async with charging(client):
        before = await client.xlen(LEDGER)
        found = await auditor.findings()
        assert [(one.place, one.field, one.excess) for one in found.differences] == expected
        assert await client.xlen(LEDGER) > before + 100
        assert (await repaired(auditor)).differences == []
    assert (await auditor.findings()).differences == []


class TestRepair:
    async def test_only_the_one_that_began_last_goes_on(self, auditor, scribe, client):
        """Both have seen the same difference; were both to take it off, there would be another."""
        await client.hincrby(f"{SLOT}spent:k1", "total", 100)
        await auditor.begin_repair("r1")
        first = await auditor.findings()
        await auditor.begin_repair("r2")
        second = await auditor.findings()
        await auditor.repair("r2", second.differences)
        with pytest.raises(CannotRepair):
            await auditor.repair("r1", first.differences)
        assert (await auditor.findings()).differences == []

    async def test_one_that_took_too_long(self, auditor, scribe, client):
        await client.hincrby(f"{SLOT}spent:k1", "total", 100)
        await auditor.begin_repair("r1")
        assert 0 < await client.ttl(REPAIR) <= store_audit.REPAIR_S
        found = await auditor.findings()
        await client.delete(REPAIR)
        with pytest.raises(CannotRepair):
            await auditor.repair("r1", found.differences)
        assert (await auditor.findings()).differences == found.differences

    async def test_a_step_that_arrives_twice_is_done_once(self, auditor, scribe, client):
        """As when a connection breaks before the answer."""
        await client.hincrby(f"{SLOT}spent:k1", "total", 100)
        await client.hincrby(f"{SLOT}spent:k2", "total", 100)
        await auditor.begin_repair("r1")
        found = await auditor.findings()
        await auditor.repair("r1", found.differences[:1])
        await auditor.repair("r1", found.differences)
        assert (await auditor.findings()).differences == []

    async def test_a_window_that_was_dropped_meanwhile_stays_so(self, auditor, scribe, client):
        await client.hincrby(f"{SLOT}spent:k1", "d:20261120", 100)
        await auditor.begin_repair("r1")
        found = await auditor.findings()
        await scribe.charge(*(generation(NOON + days * DAY_S, cost_usd_nanos=1) for days in (1, 2, 3)))
        await auditor.repair("r1", found.differences)
        assert not await client.hexists(f"{SLOT}spent:k1", "d:20261120")
        assert (await auditor.findings()).differences == []

    async def test_many_counters_of_one_place(self, auditor, client):
        await Scribe(client).charge(*(generation(key=f"k{n}", cost_usd_nanos=n + 1) for n in range(700)))
        for field, value in (await client.hgetall(TODAY)).items():
            await client.hset(TODAY, field, int(value) + 1)
        assert (await repaired(auditor)).differences == []


async def test_a_counter_that_is_no_number_is_named(auditor, scribe, client):
    await client.hset(f"{SLOT}spent:k1", "total", "plenty")
    with pytest.raises(FairleadError, match="spent:k1 holds b'plenty' as 'total', which is no whole number: HDEL it"):
        await auditor.findings()
    await client.hdel(f"{SLOT}spent:k1", "total")
    assert (await repaired(auditor)).differences == []


async def test_a_store_that_is_away(dial):
    with pytest.raises(RedisError):
        await AuditStore(dial("unix:///nonexistent.sock")).findings()


async def test_every_kind_of_store(any_redis_url, dial):
    client = dial(any_redis_url)
    await client.flushdb()
    async with asyncio.timeout(30):
        await Scribe(client).charge(generation(cost_usd_nanos=5))
        await client.hincrby(f"{SLOT}spent:k1", "total", 100)
        await client.hincrby(f"{SLOT}spent:stray", "total", 100)
        auditor = AuditStore(client)
        found = await auditor.findings()
        assert [(one.place, one.excess) for one in found.differences] == [("spent:k1", 100), ("spent:stray", 100)]
        assert (await repaired(auditor)).differences == []
