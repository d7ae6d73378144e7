"""With a real store, written by the script that does it in earnest."""

import pytest
from redis.exceptions import RedisError

from fairlead.access.rollup import Amounts, Row
from fairlead.access.windows import Spent
from fairlead.errors import Unreadable
from fairlead.store import ledger as store_ledger
from fairlead.store.ledger import LEDGER, LedgerStore, UnreadableEntry, stream_id, stream_id_at, unix_of_day
from fairlead.telemetry.generation import pack
from harness.ledger import DAY_S, NOON, Scribe, generation

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient")]


@pytest.fixture
async def client(redis_url, dial):
    client = dial(redis_url)
    await client.flushdb()
    return client


@pytest.fixture
def ledger(client):
    return LedgerStore(client)


@pytest.fixture
def scribe(client):
    return Scribe(client)


async def read(ledger, *bounds):
    return [item async for item in ledger.entries(*bounds)]


class TestSpent:
    async def test_in_the_windows_of_now(self, ledger, scribe):
        await scribe.charge(
            generation(cost_usd_nanos=5),
            generation(NOON - DAY_S, cost_usd_nanos=7),  # Friday
            generation(NOON - 7 * DAY_S, cost_usd_nanos=11),
            generation(NOON - 30 * DAY_S, cost_usd_nanos=13),
            generation(key="k2", cost_usd_nanos=17),
        )
        found = await ledger.spent(["k1", "*", "nobody"], NOON)
        assert (found["k1"].total, found["k1"].daily, found["k1"].weekly, found["k1"].monthly) == (36, 5, 12, 23)
        assert (found["*"].total, found["*"].requests) == (53, 5)
        assert found["k1"].last > NOON - 365 * DAY_S
        assert found["nobody"] == Spent()
        assert list(found) == ["k1", "*", "nobody"]

    async def test_a_new_day_begins_with_nothing(self, ledger, scribe):
        await scribe.charge(generation(cost_usd_nanos=5))
        (spent,) = (await ledger.spent(["k1"], NOON + DAY_S)).values()
        assert (spent.total, spent.daily, spent.weekly) == (5, 0, 5)  # Sunday

    async def test_of_nobody(self, ledger):
        assert await ledger.spent([], NOON) == {}

    async def test_a_store_that_is_away(self, dial):
        with pytest.raises(RedisError):
            await LedgerStore(dial("unix:///nonexistent.sock")).spent(["k1"], NOON)


class TestGeneration:
    async def test_by_our_id_whenever_it_was(self, ledger, scribe):
        old = generation(NOON - 60 * DAY_S, cost_usd_nanos=5, title="für Jürgen")
        await scribe.charge(old, generation())
        assert await ledger.generation(old.id, NOON) == old

    async def test_by_the_providers_id_for_a_week(self, ledger, scribe):
        fresh = generation(NOON - 7 * DAY_S, upstream_id="chatcmpl-7")
        stale = generation(NOON - 8 * DAY_S, upstream_id="chatcmpl-8")
        await scribe.charge(fresh, stale)
        assert await ledger.generation("chatcmpl-7", NOON) == fresh
        assert await ledger.generation("chatcmpl-8", NOON) is None
        assert await ledger.generation("chatcmpl-8", NOON - DAY_S) == stale

    async def test_the_id_of_a_provider_may_look_like_ours(self, ledger, scribe):
        """One fairlead behind another: the day in the other's id need not be ours."""
        found = generation(NOON, upstream_id=f"gen-{int(NOON) - DAY_S}-abc")
        await scribe.charge(found)
        assert await ledger.generation(found.upstream_id, NOON) == found

    async def test_of_a_corrected_one_the_newest_word_counts(self, ledger, scribe):
        guess = generation(cost_usd_nanos=500, prompt_tokens=50, is_estimated=True, upstream_id="up")
        await scribe.charge(guess)
        told = generation(id=guess.id, cost_usd_nanos=300, prompt_tokens=30, upstream_id="up")
        await scribe.charge(told)
        for wanted in (guess.id, "up"):
            found = await ledger.generation(wanted, NOON)
            assert (found.cost_usd_nanos, found.prompt_tokens, found.corrects_usd_nanos) == (300, 30, 500)

    @pytest.mark.parametrize("wanted", ["gen-1795262400-ffffff", "", "gen-", "x" * 100_000, "gen-99999999999-0", "\0"])
    async def test_one_that_is_not_there(self, ledger, scribe, wanted):
        await scribe.charge(generation())
        assert await ledger.generation(wanted, NOON) is None

    async def test_one_whose_entry_is_gone(self, ledger, scribe, client):
        old = generation()
        await scribe.charge(old)
        await client.xtrim(LEDGER, maxlen=0, approximate=False)
        assert await ledger.generation(old.id, NOON) is None


class TestEntries:
    async def test_all_of_them_in_the_order_in_which_they_were_written(self, ledger, scribe, monkeypatch):
        monkeypatch.setattr(store_ledger, "AT_ONCE", 3)
        written = [generation(NOON - n, cost_usd_nanos=n) for n in range(9)]
        await scribe.charge(*written[:5])
        await scribe.charge(*written[5:])
        found = await read(ledger)
        assert [one for _, _, one in found] == written
        assert [stream_id(place) for place, _, _ in found] == [entry.at for _, entry, _ in found]
        places = [place for place, _, _ in found]
        assert await read(ledger, places[2], places[6]) == found[2:7]
        assert await read(ledger, f"({places[2]}", places[6]) == found[3:7]

    async def test_what_an_entry_adds(self, ledger, scribe):
        counts = {"prompt_tokens": 9, "completion_tokens": 8, "reasoning_tokens": 7, "cached_tokens": 6}
        await scribe.charge(generation(cost_usd_nanos=5, **counts))
        ((_, entry, _),) = await read(ledger)
        assert (entry.day, entry.key, entry.model, entry.provider) == ("20261121", "k1", "acme/large", "acme")
        assert entry.amounts == Amounts(1, 5, 9, 8, 7, 6)

    async def test_without_a_key(self, ledger, scribe):
        await scribe.charge(generation(key="", cost_usd_nanos=5))
        ((_, entry, _),) = await read(ledger)
        assert (entry.key, entry.day, entry.amounts.usd_nanos) == ("", "20261121", 5)

    @pytest.mark.parametrize("cost", [300, 700, 500, 0])
    async def test_a_correction_adds_the_difference_and_no_request(self, ledger, scribe, cost):
        guess = generation(cost_usd_nanos=500, prompt_tokens=50, is_estimated=True)
        await scribe.charge(guess)
        await scribe.charge(generation(id=guess.id, cost_usd_nanos=cost, prompt_tokens=30))
        added = [entry.amounts for _, entry, _ in await read(ledger)]
        assert added == [Amounts(1, 500, 50), Amounts(0, cost - 500, -20)]

    async def test_a_correction_of_nothing(self, ledger, scribe):
        guess = generation(is_estimated=True)
        await scribe.charge(guess)
        await scribe.charge(generation(id=guess.id, cost_usd_nanos=5))
        assert [entry.amounts for _, entry, _ in await read(ledger)] == [Amounts(1), Amounts(0, 5)]

    @pytest.mark.parametrize(
        "fields",
        [
            {"g": b"{}", "n": b"k1 20261121 1 0 0 0 0 1"},
            {"g": b"\xff", "n": b"k1 20261121 1 0 0 0 0 1"},
            {"g": b'{"id":"\xff","started":1}', "n": b"k1 20261121 1 0 0 0 0 1"},
            {"n": b"k1 20261121 1 0 0 0 0 1"},
            {"g": pack(generation())},
            {"g": pack(generation()), "n": b"k1 20261121 1"[:3]},
            {"g": pack(generation()), "n": b"k1 20261121 one 0 0 0 0 1"},
            {"g": pack(generation()), "n": b"k1 20261121 1 0 0 0 0 1 0"},
            {"g": pack(generation()), "n": b"k1 20261399 1 0 0 0 0 1"},
        ],
    )
    async def test_what_nobody_of_ours_has_written_is_named(self, ledger, client, fields):
        place = (await client.xadd(LEDGER, fields)).decode()
        with pytest.raises(UnreadableEntry, match=f"the entry {place} of the ledger"):
            await read(ledger)

    async def test_from_a_time_on(self, ledger, scribe):
        await scribe.charge(generation())
        ((place, _, _),) = await read(ledger)
        written = stream_id(place)[0] / 1000
        assert len(await read(ledger, stream_id_at(written))) == 1
        assert await read(ledger, stream_id_at(written + 0.001)) == []


class TestRollups:
    async def test_of_a_day(self, ledger, scribe):
        await scribe.charge(
            generation(cost_usd_nanos=5, prompt_tokens=1),
            generation(cost_usd_nanos=6, completion_tokens=2),
            generation(model="odd:model/x y", provider="", key="k2"),
            generation(NOON - DAY_S, cost_usd_nanos=9),
        )
        assert await ledger.days() == ["20261120", "20261121"]
        assert sorted(await ledger.rollup("20261121"), key=lambda row: row.key) == [
            Row("20261121", "k1", "acme/large", "acme", Amounts(2, 11, 1, 2)),
            Row("20261121", "k2", "odd:model/x y", "", Amounts(1)),
        ]
        assert await ledger.rollup("20200101") == []

    async def test_a_large_one_comes_in_chunks(self, ledger, scribe):
        await scribe.charge(*(generation(key=f"k{n}", cost_usd_nanos=n + 1) for n in range(1_000)))
        rows = await ledger.rollup("20261121")
        assert sorted(row.amounts.usd_nanos for row in rows) == [*range(1, 1_001)]


@pytest.mark.parametrize("day", ["20261121", "20240229", "19700101"])
async def test_when_a_day_begins(day):
    begin = unix_of_day(day)
    assert begin % DAY_S == 0
    assert store_ledger.day_of(begin) == day


@pytest.mark.parametrize("value", [b"a lot", b"\xff", b"1.5"])
async def test_counters_that_nobody_of_ours_has_written_are_named(ledger, client, value):
    for place in ("spent:k1", "day:20261121", "alerts"):
        await client.hset(f"fl:1:{{money}}:{place}", "total" if place == "spent:k1" else "k1|m|p|usd_nanos", value)
    calls = (lambda: ledger.spent(["k1"], NOON), lambda: ledger.rollup("20261121"), ledger.alerts)
    for place, call in zip(("spent:k1", "day:20261121", "alerts"), calls, strict=True):
        with pytest.raises(Unreadable, match=rf"^fl:1:\{{money\}}:{place} holds something that is no whole number"):
            await call()
