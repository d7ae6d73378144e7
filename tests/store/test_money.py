"""The script alone, with a store whose clock stands still but for what a test lets pass."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access.windows import windows_at
from fairlead.store.money import DEAD_S, SLOT, AmountDraw, Call, MoneyAway, MoneyStore, RateDraw, Watch, charge_of
from fairlead.store.redis import connect
from harness.ledger import DAY_S, NOON, generation
from harness.money import Caller, Copy, Holdings, StillMoney

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient")]

TODAY = windows_at(NOON)
MOST = 2**53


@pytest.fixture
async def store(redis_url, dial):
    store = StillMoney(dial(redis_url))
    await store.begin()
    return store


@pytest.fixture
def w(store):
    return Caller(store, "w")


@pytest.fixture
def v(store):
    """Another worker."""
    return Caller(store, "v")


def charge(*arguments, **members):
    return charge_of(generation(*arguments, **members))


async def holdings(store):
    found = await Holdings.read(store.client)
    found.add_up(store.now)
    return found


async def outlive(dead, living):
    """So much time that the one is taken for dead, while the other goes on."""
    for _ in range(int(DEAD_S / 4) + 1):
        await dead.store.pass_time(4.0)
        answer = await living.call()
    return answer


# -- charging ---------------------------------------------------------------------------------------------------------


class TestCharging:
    async def test_ledger_counters_and_rollups(self, store, w):
        first = generation(cost_usd_nanos=7, prompt_tokens=1, completion_tokens=2, reasoning_tokens=3, cached_tokens=4)
        await w.call(settled=[charge_of(first), charge(cost_usd_nanos=5, key="")])
        found = await holdings(store)
        assert found.entries[0] == (first, "k1 20261121 7 1 2 3 4 1")
        assert found.spent["k1"] == dict.fromkeys(TODAY.values(), 7) | {"n": 1, "last": int(NOON)}
        assert found.spent["*"] == dict.fromkeys(TODAY.values(), 12) | {"n": 2, "last": int(NOON)}
        assert found.days["20261121"]["k1|acme/large|acme|usd_nanos"] == 7
        assert found.days["20261121"]["|acme/large|acme|usd_nanos"] == 5
        assert await store.client.smembers(f"{SLOT}days") == {b"20261121"}

    async def test_a_generation_counts_once(self, store, w, v):
        one = charge(cost_usd_nanos=7)
        await w.call(settled=[one, one])
        await w.call(settled=[one])
        await v.call(settled=[one])
        assert (await holdings(store)).charged() == {one.id: (7, 1)}

    async def test_to_the_windows_of_its_start(self, store, w):
        await w.call(settled=[charge(NOON - DAY_S, cost_usd_nanos=7)])
        found = await holdings(store)
        assert found.spent["k1"]["d:20261120"] == 7
        assert "d:20261121" not in found.spent["k1"]

    async def test_what_costs_nothing_counts_as_a_request(self, store, w):
        await w.call(settled=[charge()])
        found = await holdings(store)
        assert found.spent["k1"] == {"n": 1, "last": int(NOON)}
        assert found.days["20261121"] == {"k1|acme/large|acme|requests": 1}

    @pytest.mark.parametrize("name", ["a|b", "模型/大 🐙", "a b 20261121 7", "with:colon", "%d+ %%", ""])
    async def test_strange_names(self, store, w, name):
        one = generation(cost_usd_nanos=7, model=name, provider=name, id=f"gen:{name}", is_estimated=True)
        await w.call(settled=[charge_of(one)])
        await w.call(settled=[charge_of(replaced(one, is_estimated=False, cost_usd_nanos=5))])
        assert (await holdings(store)).charged() == {one.id: (5, 1)}

    async def test_large_amounts_are_exact(self, store, w):
        """Of one call all together up to 2**53 nano-USD, nine million dollars; of all calls up to 2**63."""
        await w.call(settled=[charge(cost_usd_nanos=MOST - 1, prompt_tokens=MOST), charge(cost_usd_nanos=1)])
        await w.call(settled=[charge(cost_usd_nanos=1)])
        found = await holdings(store)
        assert found.spent["k1"]["total"] == MOST + 1

    async def test_ids_can_be_found_and_are_forgotten_with_the_ledger(self, store, w):
        one = generation(cost_usd_nanos=7, upstream_id="chatcmpl-1")
        await w.call(settled=[charge_of(one)], ledger_s=5_000)
        ids = f"{SLOT}ids:20261121"
        assert (await store.client.hget(ids, one.id)).decode().startswith(await last_entry(store))
        assert await store.client.hget(ids, "chatcmpl-1") == b"=" + one.id.encode()
        assert 0 < await store.client.ttl(ids) <= 5_000

    async def test_the_ledger_is_trimmed(self, store, w):
        """When the worker's clock says so, and the store's as well."""
        for _ in range(300):
            await w.call(settled=[charge(cost_usd_nanos=1)])
        written_s = int((await last_entry(store)).partition("-")[0]) // 1000
        await store.pass_time(written_s + 91 * DAY_S - store.now)
        await w.call(trim_ms=(written_s + 1) * 1000)
        assert await store.client.xlen(f"{SLOT}ledger") < 200  # it drops whole nodes only


class TestProvidersIds:
    """They may be anything: what another generation is called, too."""

    async def test_one_that_is_the_generations_own(self, store, w):
        one = generation(cost_usd_nanos=7, is_estimated=True)
        one = replaced(one, upstream_id=one.id)
        await w.call(settled=[charge_of(one)])
        await w.call(settled=[charge_of(replaced(one, cost_usd_nanos=9, is_estimated=False))])
        assert (await holdings(store)).charged() == {one.id: (9, 1)}

    async def test_one_that_is_an_earlier_generations(self, store, w):
        one = charge(cost_usd_nanos=7)
        await w.call(settled=[one, charge(cost_usd_nanos=1, upstream_id=one.id)])
        assert (await store.client.hget(f"{SLOT}ids:20261121", one.id)).startswith(b"1")
        await w.call(settled=[one])
        assert (await holdings(store)).charged()[one.id] == (7, 1)

    async def test_one_that_comes_again(self, store, w):
        """Some providers have but one. The last generation is meant."""
        one, other = charge(upstream_id="x"), charge(upstream_id="x")
        await w.call(settled=[one, other])
        assert await store.client.hget(f"{SLOT}ids:20261121", "x") == b"=" + other.id.encode()

    async def test_one_that_is_a_later_generations(self, store, w):
        one = charge(cost_usd_nanos=7)
        await w.call(settled=[charge(cost_usd_nanos=1, upstream_id=one.id), one, one])
        assert (await holdings(store)).charged()[one.id] == (7, 1)


def replaced(one, **members):
    return type(one)(**{name: getattr(one, name) for name in one.__struct_fields__} | members)


async def last_entry(store):
    ((entry, _),) = await store.client.xrevrange(f"{SLOT}ledger", count=1)
    return entry.decode()


CRASHED, ESTIMATED, TOLD = {"end": "crashed", "is_estimated": True}, {"is_estimated": True}, {}
"""What was known when the worker died; what was reckoned in the end; what the provider said."""


class TestCorrections:
    @pytest.mark.parametrize(
        ("words", "counts"),
        [
            ([(ESTIMATED, 7), (TOLD, 5)], 5),
            ([(ESTIMATED, 7), (TOLD, 9)], 9),
            ([(ESTIMATED, 7), (TOLD, 7)], 7),
            ([(ESTIMATED, 7), (TOLD, 0)], 0),
            ([(ESTIMATED, 7), (ESTIMATED, 9)], 7),
            ([(TOLD, 7), (ESTIMATED, 9), (CRASHED, 8)], 7),
            ([(TOLD, 7), (TOLD, 9)], 7),
            ([(TOLD, 0), (ESTIMATED, 9)], 0),
            ([(CRASHED, 3), (ESTIMATED, 7), (TOLD, 5), (TOLD, 6)], 5),
            ([(CRASHED, 3), (ESTIMATED, 7), (CRASHED, 8)], 7),
            ([(CRASHED, 3), (TOLD, 9), (ESTIMATED, 7)], 9),
        ],
    )
    @pytest.mark.parametrize("is_one_call", [False, True])
    async def test_the_better_one_counts(self, store, w, words, counts, is_one_call):
        base = generation(prompt_tokens=10)
        charges = [charge_of(replaced(base, cost_usd_nanos=cost, **kind)) for kind, cost in words]
        for batch in [charges] if is_one_call else [[one] for one in charges]:
            await w.call(settled=batch)
        found = await holdings(store)
        assert found.charged() == {base.id: (counts, 1)}
        assert found.spent["k1"]["n"] == 1
        assert found.days["20261121"]["k1|acme/large|acme|prompt"] == 10

    async def test_says_what_it_corrects(self, store, w):
        base = generation(cost_usd_nanos=7, prompt_tokens=10, is_estimated=True)
        await w.call(settled=[charge_of(base)])
        await w.call(settled=[charge_of(replaced(base, cost_usd_nanos=5, prompt_tokens=12, is_estimated=False))])
        corrected, added = (await holdings(store)).entries[-1]
        assert corrected.corrects_usd_nanos == 7
        assert added == "k1 20261121 -2 2 0 0 0 0"

    async def test_by_another_endpoint(self, store, w):
        base = generation(cost_usd_nanos=7, provider="p", is_estimated=True)
        await w.call(settled=[charge_of(base)])
        await w.call(settled=[charge_of(replaced(base, cost_usd_nanos=5, provider="q", is_estimated=False))])
        assert (await holdings(store)).charged() == {base.id: (5, 1)}


class TestOldWindows:
    async def test_go_but_for_three_of_a_kind(self, store, w):
        for day in range(100):
            await w.call(settled=[charge(NOON + day * DAY_S, cost_usd_nanos=1)])
            store.now = NOON + day * DAY_S
            await holdings(store)
        kept = sorted((await holdings(store)).spent["k1"])
        assert kept == [
            "d:20270226", "d:20270227", "d:20270228", "last", "m:202612", "m:202701", "m:202702", "n", "total",
            "w:20270208", "w:20270215", "w:20270222",
        ]  # fmt: skip

    async def test_a_late_charge_to_an_old_one_takes_none_of_now(self, store, w):
        for day in (0, 10, 20, 30, 31, 3, 31, -400):
            await w.call(settled=[charge(NOON + day * DAY_S, cost_usd_nanos=1)])
        store.now = NOON + 31 * DAY_S
        found = await holdings(store)
        assert found.spent["k1"][windows_at(store.now)["daily"]] == 2


# -- order of calls ---------------------------------------------------------------------------------------------------


class TestLateCalls:
    async def test_one_that_comes_after_a_later_one_changes_nothing(self, store, w):
        await w.call(leases={"k": 5}, open=[charge(id="gen-1-a")])
        before = await Holdings.read(store.client)
        w.number -= 1
        answer = await w.call(
            settled=[charge(cost_usd_nanos=1)],
            leases={"k": 7},
            closed=["gen-1-a"],
            draws=[AmountDraw("k", [("total", 9)], 1, 1)],
            watch=[Watch("k1", "total", 0, "x")],
        )
        assert answer.is_late
        assert (answer.grants, answer.reached) == ([], [])
        assert vars(await Holdings.read(store.client)) == vars(before)

    async def test_even_when_its_worker_has_been_taken_for_dead(self, store, w, v):
        noted = charge(cost_usd_nanos=3, end="crashed", is_estimated=True)
        await w.call(open=[noted])
        await w.call(closed=[noted.id])
        await outlive(w, v)
        w.number = 0
        assert (await w.call(open=[noted])).is_late
        await outlive(w, v)
        assert (await holdings(store)).charged() == {}

    async def test_the_dead_are_forgotten_at_last(self, store, w, v):
        await w.call()
        await outlive(w, v)
        assert "w" in (await Holdings.read(store.client)).workers
        for _ in range(40):
            await outlive(w, v)
        assert "w" not in (await Holdings.read(store.client)).workers


# -- the dead ---------------------------------------------------------------------------------------------------------


class TestDeath:
    async def test_what_was_under_way_is_charged_once_as_it_was_known(self, store, w, v):
        noted = [charge(cost_usd_nanos=cost, end="crashed", is_estimated=True, id="gen-1-a") for cost in (3, 4)]
        ended = charge(cost_usd_nanos=5)
        for note in noted:
            await w.call(open=[note, ended])
        await w.call(closed=[ended.id])
        await outlive(w, v)
        await outlive(w, v)
        found = await holdings(store)
        assert found.charged() == {"gen-1-a": (4, 1)}
        assert found.open == {}

    async def test_not_before_its_time(self, store, w, v):
        await w.call(open=[charge(cost_usd_nanos=3)])
        for _ in range(6):
            await store.pass_time(4.9)
            await v.call()
        assert (await holdings(store)).charged() == {}
        assert len((await holdings(store)).open["w"]) == 1

    async def test_leases_of_the_dead_are_free(self, store, w, v):
        ask = AmountDraw("k", [("total", 100)], 60, 60)
        assert (await w.draw(ask))[0].granted == 60
        assert (await v.draw(ask))[0].granted == 0
        await outlive(w, v)
        assert (await v.draw(ask))[0].granted == 60
        assert (await holdings(store)).leases == {"k": {"v": 60}}

    async def test_at_once_of_those_that_are_known_to_be_dead(self, store, w, v):
        """Their process has ended. What they had in hand is free, and what they had under way is charged."""
        ask = AmountDraw("k", [("total", 100)], 60, 60)
        noted = charge(cost_usd_nanos=3, end="crashed", is_estimated=True)
        await w.draw(ask, open=[noted])
        assert (await v.draw(ask, dead=["w", "unknown"]))[0].granted == 60
        found = await holdings(store)
        assert found.leases == {"k": {"v": 60}}
        assert found.charged() == {noted.id: (3, 1)}
        await v.call(dead=["w"])
        assert (await holdings(store)).charged() == {noted.id: (3, 1)}

    async def test_one_that_comes_back_corrects_what_was_charged_for_it(self, store, w, v):
        noted = generation(cost_usd_nanos=3, end="crashed", is_estimated=True)
        await w.call(open=[charge_of(noted)])
        await outlive(w, v)
        await w.call(settled=[charge_of(replaced(noted, cost_usd_nanos=9, end="gone"))])
        found = await holdings(store)
        assert found.charged() == {noted.id: (9, 1)}
        assert await outlive(v, w) is not None
        assert (await holdings(store)).charged() == {noted.id: (9, 1)}

    async def test_nobody_is_dead_because_the_store_was_away(self, store, w, v):
        """Frozen, or down: whoever calls first afterwards would bury all others, and be given what they hold."""
        ask = AmountDraw("k", [("total", 100)], 60, 60)
        noted = charge(cost_usd_nanos=3)
        await w.draw(ask, open=[noted])
        await v.call()
        await store.pass_time(DEAD_S * 3)
        assert (await v.draw(ask))[0].granted == 0
        await store.pass_time(DEAD_S * 0.5)
        assert (await v.draw(ask))[0].granted == 0
        assert (await holdings(store)).charged() == {}
        await outlive(w, v)
        assert (await v.draw(ask))[0].granted == 60
        assert (await holdings(store)).charged() == {noted.id: (3, 1)}


# -- leases -----------------------------------------------------------------------------------------------------------


class TestAmounts:
    def ask(self, need, want=None, *, limits=(("total", 100),), account="k"):
        return AmountDraw(account, list(limits), need, need if want is None else want)

    async def test_what_is_needed_and_ahead_a_part_of_what_is_left(self, store, w, v):
        (grant,) = await w.draw(self.ask(20, 1_000))
        assert grant.granted == 20 + 80 // 4
        assert (grant.rest, grant.third) == (60, 100)
        await v.call()
        (grant,) = await v.draw(self.ask(20, 1_000), leases={})
        assert grant.granted == 20 + 40 // (4 * 2)
        assert (await holdings(store)).leases == {"k": {"w": 40, "v": 25}}

    async def test_all_or_nothing(self, store, w):
        (grant,) = await w.draw(self.ask(101))
        assert (grant.granted, grant.rest, grant.third) == (0, 100, 100)
        assert (await holdings(store)).leases == {}
        assert [one.granted for one in await w.draw(self.ask(100), self.ask(1))] == [100, 0]

    async def test_what_is_spent_is_gone(self, store, w, v):
        await w.draw(self.ask(60, account="k1"))
        await w.call(settled=[charge(cost_usd_nanos=60)], leases={"k1": 0})
        (grant,) = await v.draw(self.ask(41, account="k1"))
        assert (grant.granted, grant.third) == (0, 40)
        (grant,) = await v.draw(self.ask(40, account="k1"))
        assert grant.granted == 40

    async def test_the_tightest_limit_counts(self, store, w):
        await w.call(settled=[charge(cost_usd_nanos=50), charge(NOON - 3 * DAY_S, cost_usd_nanos=30)])
        limits = [("total", 1_000), (TODAY["daily"], 70), (TODAY["weekly"], 85)]
        for first in range(3):
            rolled = limits[first:] + limits[:first]
            (grant,) = await w.draw(self.ask(6, limits=rolled, account="*"))
            assert (grant.granted, grant.third, rolled[int(grant.fourth)]) == (0, 5, limits[2])

    async def test_credits(self, store, w):
        credits = (("total", None),)
        (grant,) = await w.draw(self.ask(1, limits=credits))
        assert (grant.granted, grant.third) == (0, 0)
        await store.client.hset(f"{SLOT}credits", "total", 50)
        assert (await w.draw(self.ask(50, limits=credits)))[0].granted == 50
        await store.client.hset(f"{SLOT}credits", "total", -50)
        assert (await w.draw(self.ask(1, limits=credits)))[0].third == -50

    async def test_up_to_the_largest_amounts(self, store, w):
        limits = (("total", MOST),)
        (grant,) = await w.draw(self.ask(MOST, limits=limits))
        assert (grant.granted, grant.rest) == (MOST, 0)

    async def test_what_the_worker_tells_counts(self, store, w):
        """Not what it was granted: that answer may not have reached it."""
        await w.draw(self.ask(60))
        (grant,) = await w.draw(self.ask(90), leases={"k": 10})
        assert grant.granted == 90
        await w.call(leases={"k": 0})
        assert (await holdings(store)).leases == {}

    async def test_leases_of_a_fleet_that_is_gone_do_not_stay_for_ever(self, store, w):
        await w.draw(self.ask(60))
        assert 0 < await store.client.ttl(f"{SLOT}lease:k") <= DAY_S
        await w.call(leases={"k": 7})
        assert 0 < await store.client.ttl(f"{SLOT}lease:k") <= DAY_S

    @given(
        limit=st.integers(0, MOST),
        asked=st.lists(
            st.tuples(st.booleans(), st.integers(1, MOST), st.integers(0, MOST)).map(
                lambda t: (t[0], t[1], t[1] + t[2])
            ),
            max_size=8,
        ),
    )
    async def test_never_more_than_the_limit(self, redis_url, limit, asked):
        async with still_store(redis_url) as store:
            workers = [Caller(store, name) for name in "wv"]
            total = 0
            for is_first, need, want in asked:
                (grant,) = await workers[is_first].draw(self.ask(need, min(want, MOST), limits=(("total", limit),)))
                assert grant.granted == 0 or need <= grant.granted <= max(need, want)
                assert (grant.granted > 0) == (need <= limit - total)
                total += grant.granted
                assert grant.rest == limit - total >= 0


@contextlib.asynccontextmanager
async def still_store(url):
    """For each example anew."""
    async with contextlib.aclosing(connect(url)) as client:
        store = StillMoney(client)
        await store.begin()
        yield store


class TestWants:
    """Who has leased what somebody else is in want of hears so."""

    async def want(self, worker, account="k"):
        (grant,) = await worker.draw(AmountDraw(account, [("total", 100)], 60, 60))
        assert grant.granted == 0

    async def lease(self, *workers, account="k"):
        for worker in workers:
            assert (await worker.draw(AmountDraw(account, [("total", 100)], 50, 50)))[0].granted == 50

    async def test_is_told_once(self, store, w, v):
        await self.lease(w, v)
        assert (await w.call()).recalled == []
        await store.pass_time(0.01)
        for _ in range(2):
            await self.want(v)
            await store.pass_time(0.01)
            assert (await w.call()).recalled == ["k"]
            assert (await w.call()).recalled == []

    async def test_is_told_again_to_who_did_not_hear_it(self, store, w, v):
        await self.lease(w, v)
        await self.want(v)
        await store.pass_time(0.01)
        heard = w.number
        assert (await w.call()).recalled == ["k"]
        await store.pass_time(0.01)
        w.number += 1
        assert (await store.call(call_of(w, heard=heard))).recalled == ["k"]

    async def test_is_told_to_who_has_leased_since(self, store, w, v):
        await self.lease(w, v)
        await self.want(v)
        await store.pass_time(0.01)
        await w.call(leases={"k": 0})
        assert (await w.call(draws=[AmountDraw("k", [("total", 100)], 1, 9)])).recalled == ["k"]

    async def test_is_old_at_last(self, store, w, v):
        await self.lease(w, v)
        await self.want(v)
        await self.lease(v, account="other")
        await store.pass_time(2.1)
        assert (await w.call(draws=[AmountDraw("k", [("total", 100)], 1, 1)])).recalled == ["k"], "in want itself"
        await store.pass_time(2.1)
        assert (await w.call()).recalled == []

    async def test_nothing_stays_of_those_that_are_old(self, store, w, v):
        for number in range(20):
            await self.lease(w, v, account=f"k{number}")
            await self.want(v, f"k{number}")
            await store.pass_time(1.0)
        assert await store.client.zcard(f"{SLOT}wanted") <= 3


class TestBase:
    """A call tells what has changed in its leases since an earlier one: who does not know that is to be told all."""

    async def is_refused(self, store, worker):
        """Without anything having happened."""
        before = vars(await Holdings.read(store.client))
        answer = await worker.call(
            base=worker.number,
            settled=[charge(cost_usd_nanos=1)],
            open=[charge()],
            leases={"k": 7},
            draws=[AmountDraw("k", [("total", 9)], 1, 1)],
            watch=[Watch("k1", "total", 0, "x")],
        )
        assert (answer.grants, answer.reached, answer.recalled) == ([], [], [])
        assert vars(await Holdings.read(store.client)) == before
        return answer.is_late and answer.is_unknown

    async def test_that_it_knows(self, store, w):
        await w.call(leases={"k": 5, "other": 6})
        answer = await w.call(base=w.number, leases={"k": 7})
        assert not answer.is_late
        assert (await holdings(store)).leases == {"k": {"w": 7}, "other": {"w": 6}}

    async def test_of_before_a_call_whose_answer_was_lost(self, store, w):
        heard = w.number + 1
        await w.call(leases={"k": 5})
        await w.call(base=heard, leases={"k": 6})
        assert not (await w.call(base=heard, leases={"k": 7})).is_late

    async def test_in_books_that_have_begun_anew(self, store, w):
        await w.call(leases={"k": 5})
        await store.begin()
        assert await self.is_refused(store, w)
        assert not (await w.call(leases={"k": 5})).is_late

    async def test_that_a_replica_has_never_had(self, store, w):
        await w.call(leases={"k": 5})
        kept = await Copy.of(store.client)
        await w.call(base=w.number, leases={"other": 6})
        await kept.put_back()
        assert await self.is_refused(store, w)
        assert not (await w.call(leases={"k": 5, "other": 6})).is_late

    async def test_of_one_that_was_taken_for_dead(self, store, w, v):
        await w.call(leases={"k": 5})
        await outlive(w, v)
        assert await self.is_refused(store, w)
        assert not (await w.call(leases={"k": 5})).is_late
        assert not (await w.call(base=w.number)).is_late


# -- rates ------------------------------------------------------------------------------------------------------------


class TestRates:
    def ask(self, need, want=None, *, returned=0, per_minute=60, account="k"):
        return RateDraw(account, 60e6 / per_minute, per_minute, returned, need, need if want is None else want)

    async def test_a_minutes_worth_at_once_then_as_it_comes(self, store, w):
        (grant,) = await w.draw(self.ask(60))
        assert (grant.granted, grant.rest, grant.third) == (60, 0, pytest.approx(60e6))
        (grant,) = await w.draw(self.ask(1))
        assert (grant.granted, grant.fourth) == (0, pytest.approx(1e6, abs=1))
        await store.pass_time(0.9)
        (grant,) = await w.draw(self.ask(1))
        assert (grant.granted, grant.fourth) == (0, pytest.approx(0.1e6, abs=1))
        await store.pass_time(0.1)
        assert (await w.draw(self.ask(1)))[0].granted == 1
        await store.pass_time(60)
        assert (await w.draw(self.ask(60)))[0].granted == 60

    async def test_ahead_a_part_of_what_is_left(self, store, w):
        assert (await w.draw(self.ask(20, 1_000)))[0].granted == 20 + 40 // 4

    async def test_what_is_returned_can_be_drawn_again(self, store, w, v):
        await w.draw(self.ask(60))
        assert (await v.draw(self.ask(1)))[0].granted == 0
        assert (await w.draw(self.ask(10, returned=30)))[0].granted == 10
        assert [one.granted for one in await v.draw(self.ask(21), self.ask(20))] == [0, 20]

    async def test_returning_needs_no_wish(self, store, w, v):
        await w.draw(self.ask(60))
        (grant,) = await w.draw(self.ask(0, returned=30))
        assert (grant.granted, grant.rest) == (0, 30)
        assert (await v.draw(self.ask(30)))[0].granted == 30

    async def test_more_than_was_taken_does_not_come_back(self, store, w):
        await w.draw(self.ask(10))
        await w.draw(self.ask(0, returned=50))
        assert [one.granted for one in await w.draw(self.ask(61), self.ask(60))] == [0, 60]

    async def test_debts_are_paid(self, store, w):
        (grant,) = await w.draw(self.ask(0, returned=-90))
        assert (grant.granted, grant.rest) == (0, -30)
        (grant,) = await w.draw(self.ask(1))
        assert (grant.granted, grant.fourth) == (0, pytest.approx(31e6, abs=1))
        await store.pass_time(31)
        assert (await w.draw(self.ask(1)))[0].granted == 1

    async def test_another_rate_begins_where_the_old_one_was(self, store, w):
        await w.draw(self.ask(60))
        assert (await w.draw(self.ask(1, per_minute=6_000)))[0].granted == 0
        await store.pass_time(30)
        (grant,) = await w.draw(self.ask(3_000, per_minute=6_000))
        assert grant.granted == 3_000

    async def test_the_fastest_rate(self, store, w):
        fast = self.ask(10**9, per_minute=10**9)
        assert (await w.draw(fast))[0].granted == 10**9
        assert (await w.draw(self.ask(1_000_000, per_minute=10**9)))[0].granted == 0
        await store.pass_time(0.1)
        assert (await w.draw(self.ask(1_000_000, per_minute=10**9)))[0].granted == 1_000_000

    @given(
        per_minute=st.sampled_from([1, 7, 60, 6_001, 10**6]),
        steps=st.lists(
            st.tuples(st.floats(0, 30), st.floats(0, 1), st.floats(0, 2), st.floats(0, 1)), min_size=1, max_size=10
        ),
    )
    async def test_never_more_than_burst_and_rate_over_any_time(self, redis_url, per_minute, steps):
        """But for what rounding to whole microseconds can add."""
        async with still_store(redis_url) as store:
            w, taken = Caller(store), []
            for pause_s, need, want, back in steps:
                await store.pass_time(round(pause_s, 6))
                returned = int(taken[-1][1] * back) if taken else 0
                if returned:
                    taken[-1] = (taken[-1][0], taken[-1][1] - returned)
                need, want = max(1, int(need * per_minute)), max(1, int(want * per_minute))
                (grant,) = await w.draw(self.ask(need, max(need, want), returned=returned, per_minute=per_minute))
                taken.append((store.now, grant.granted))
                for first, (since, _) in enumerate(taken):
                    allowed = per_minute + (store.now - since) * per_minute / 60
                    slack = 1e-6 * (len(taken) + 1) * per_minute / 60
                    assert sum(count for _, count in taken[first:]) <= allowed + slack
            await store.pass_time(60)
            assert (await w.draw(self.ask(per_minute, per_minute=per_minute)))[0].granted == per_minute


# -- alerts -----------------------------------------------------------------------------------------------------------


class TestAlerts:
    def watch(self, amount=10, *, account="k1", field=TODAY["daily"]):
        return Watch(account, field, amount, f"{account} {field} {amount}")

    async def spend(self, worker, amount, *watches, at=NOON):
        return (await worker.call(settled=[charge(at, cost_usd_nanos=amount)], watch=watches)).reached

    async def test_goes_off_once_when_it_is_reached(self, store, w, v):
        assert await self.spend(w, 9, self.watch()) == []
        assert await self.spend(v, 1, self.watch(), self.watch(11)) == ["k1 d:20261121 10"]
        assert await self.spend(w, 1, self.watch(), self.watch(11)) == ["k1 d:20261121 11"]
        assert await self.spend(v, 1, self.watch(), self.watch(11)) == []

    async def test_in_each_window_anew(self, store, w):
        tomorrow = self.watch(field=windows_at(NOON + DAY_S)["daily"])
        assert await self.spend(w, 10, self.watch()) != []
        assert await self.spend(w, 9, tomorrow, at=NOON + DAY_S) == []
        assert await self.spend(w, 9, tomorrow, at=NOON + DAY_S) == ["k1 d:20261122 10"]

    async def test_again_if_the_worker_did_not_hear_it(self, store, w, v):
        one = charge(cost_usd_nanos=10)
        lost = await w.call(settled=[one], watch=[self.watch()])
        w.number += 1
        again = await store.call(call_of(w, heard=w.number - 2, settled=[one], watch=[self.watch()]))
        assert lost.reached == again.reached != []
        assert await self.spend(v, 1, self.watch()) == []
        assert await self.spend(w, 1, self.watch()) == []

    async def test_what_was_told_is_forgotten_with_the_window(self, store, w):
        await self.spend(w, 10, self.watch(), self.watch(field="total"))
        told = {name: await store.client.ttl(name) for name in await store.client.keys(f"{SLOT}told:*")}
        assert min(told.values()) == -1  # of the total, which does not end
        assert 31 * DAY_S < max(told.values()) <= 100 * DAY_S


def call_of(worker, **members):
    return Call(worker.worker, worker.number, **members)


# -- trouble ----------------------------------------------------------------------------------------------------------


class TestTrouble:
    async def test_a_store_that_is_away(self, dial, tmp_path):
        with pytest.raises(MoneyAway):
            await Caller(MoneyStore(dial(f"unix://{tmp_path}/none"))).call()

    async def test_a_key_that_is_something_else(self, store, w):
        await store.client.set(f"{SLOT}workers", "x")
        with pytest.raises(MoneyAway, match="WRONGTYPE"):
            await w.call()

    async def test_a_store_that_answers_nonsense(self, store, monkeypatch):
        monkeypatch.setattr(store, "_script", "return {1}")
        with pytest.raises(MoneyAway, match=r"\[1\]"):
            await store.call(call_of(Caller(store)))
        monkeypatch.setattr(store, "_script", "return 'x'")
        with pytest.raises(MoneyAway, match="cannot be read"):
            await store.call(call_of(Caller(store)))
        monkeypatch.setattr(store, "_script", "return cmsgpack.pack({1, false, {}, {'\\255'}, {}})")
        with pytest.raises(MoneyAway, match="cannot be read"):
            await store.call(call_of(Caller(store)))

    async def test_in_a_cluster(self, cluster, dial):
        """All keys are in one slot."""
        store = MoneyStore(dial(cluster.url))
        w = Caller(store)
        noted = charge(cost_usd_nanos=3)
        await w.call(settled=[charge(cost_usd_nanos=1)], open=[noted], leases={"k": 1}, trim_ms=1)
        answer = await w.call(closed=[noted.id], draws=[TestRates().ask(1), TestAmounts().ask(1)])
        assert [grant.granted for grant in answer.grants] == [1, 1]


# -- clocks -----------------------------------------------------------------------------------------------------------


class TestClocks:
    """A machine's time was set, or a replica with another clock has taken over."""

    @pytest.mark.parametrize("back_s", [1.5, 3_600.0])
    async def test_a_rate_does_not_wait_for_a_clock_that_went_back(self, store, w, back_s):
        ask = RateDraw("k", 1e6, 60, 0, 60, 60)
        assert (await w.draw(ask))[0].granted == 60
        await store.pass_time(-back_s)
        assert 60e6 <= (await w.draw(ask))[0].fourth < 61e6
        await store.pass_time(61.0)
        assert (await w.draw(ask))[0].granted == 60
        await store.pass_time(-back_s)
        await store.pass_time(-back_s)
        await w.call()
        await store.pass_time(61.0)
        assert (await w.draw(ask))[0].granted == 60

    async def test_nor_do_the_books_of_the_dead(self, store, w, v):
        ask = AmountDraw("k", [("total", 100)], 60, 60)
        noted = charge(cost_usd_nanos=3)
        await w.draw(ask, open=[noted])
        await v.call()
        await store.pass_time(-3_600.0)
        assert (await v.draw(ask))[0].granted == 0
        await outlive(w, v)
        assert (await v.draw(ask))[0].granted == 60
        assert (await holdings(store)).charged() == {noted.id: (3, 1)}

    @pytest.mark.parametrize("step_s", [-3_600.0, 3_600.0, 400 * DAY_S])
    async def test_nobody_is_dead_because_of_a_step(self, store, w, v, step_s):
        await w.call(open=[charge(cost_usd_nanos=3)])
        await v.call()
        await store.pass_time(step_s)
        for _ in range(6):
            await v.call()
            await store.pass_time(4.9)
        assert (await holdings(store)).charged() == {}

    async def test_the_clock_of_one_worker_does_not_empty_the_ledger(self, store, w):
        for _ in range(300):
            await w.call(settled=[charge(cost_usd_nanos=1)])
        await w.call(trim_ms=2**42)
        assert await store.client.xlen(f"{SLOT}ledger") == 300


# -- a slot on the move -----------------------------------------------------------------------------------------------


class TestMove:
    """The slot of all money goes from one node of a cluster to another, key by key, while workers charge."""

    @pytest.fixture
    def move(self, cluster):
        move = cluster.move(f"{SLOT}workers")
        yield move
        move.undo()

    @pytest.mark.parametrize("which", [0, -1, 2], ids=["the workers last", "the workers first", "the ledger first"])
    async def test_what_was_charged_counts_once(self, cluster, move, dial, which):
        client = dial(cluster.url)
        await client.flushdb()
        w = Caller(MoneyStore(client))
        charges = []

        async def tell():
            """All of it again each time, as a till does that has no answer."""
            charges.append(charge(cost_usd_nanos=7))
            with contextlib.suppress(MoneyAway):
                await w.call(settled=charges, open=[charge()], leases={"k1": 1})

        await tell()
        move.begin()
        await tell()
        while move.carry(which):
            await tell()
        await tell()
        move.end()
        await tell()
        one = dial(f"redis://127.0.0.1:{move.other.port}")
        found = await Holdings.read(one)
        now, _ = await one.time()
        assert found.charged() == {one.id: (7, 1) for one in charges}
        found.add_up(now)
