"""A worker's side of money, with the script it talks to, and a way there on which a test loses what it likes."""

import asyncio
import contextlib
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead import tasks
from fairlead.access.keys import ApiKey
from fairlead.access.lease import IDLE_S, RATE_GOOD_S
from fairlead.access.spend import INSTANCE, Budgets, WorstCase
from fairlead.catalog.model import Price
from fairlead.errors import ApiError
from fairlead.store import backlog as store_backlog
from fairlead.store import till as store_till
from fairlead.store.lease_book import RETOLD_S
from fairlead.store.money import DEAD_S, SLOT
from fairlead.store.redis import connect
from fairlead.store.till import BEAT_S, FLUSH_S, SLOT_PATIENCE_S, SPEND_PATIENCE_S, SWEEP_S, VOID_S, Till
from fairlead.store.unsettled import Unsettled
from harness.ledger import DAY_S, NOON, generation
from harness.money import Copy, Holdings, Line, StillMoney

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient")]

TIME_LIMIT_S = 1
FATES = ["is lost", "is late", "answer is lost", "is repeated"]
BARE = ApiKey("k1", "mine", "sk-…9f0")
FREE_MODEL = WorstCase(10, 10, [Price(0, 0)])


def key(**limits):
    return replace(BARE, **limits)


def worst(usd_nanos, tokens=0):
    """A request that costs at most so much: a nano-USD per token, or all of it for one of so many."""
    if tokens:
        return WorstCase(tokens - 1, 1, [Price(prompt=0, completion=1_000 * usd_nanos)])
    return WorstCase(0, usd_nanos, [Price(prompt=0, completion=1_000)])


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """Between draws, and tries. By the clocks of these tests none would pass."""
    monkeypatch.setattr(store_till, "PAUSES_S", (0.0,))
    monkeypatch.setattr(store_till, "CLOSING_PAUSE_S", 0.0)


@pytest.fixture
async def store(redis_url, dial, monkeypatch):
    store = StillMoney(dial(redis_url))
    store.set_clocks(monkeypatch)
    await store.begin()
    return store


@pytest.fixture
def worker(store):
    """Makes workers."""

    def worker(name="w", budgets=None, fates=(), **more):
        line = Line(store, *fates)
        till = Till(line, name, budgets or Budgets(), **more)
        till.line = line
        return till

    return worker


async def turns():
    """Until everything has happened that can happen by itself."""
    for _ in range(10):
        await asyncio.sleep(0)


async def served(till, *works):
    """The results of some requests that begin at once."""
    requests = [tasks.start("request", work) for work in works]
    async with asyncio.timeout(TIME_LIMIT_S):
        await turns()
        while not all(request.done() for request in requests):
            await till.flush()
            await turns()
    results = [request.exception() or request.result() for request in requests]
    return results[0] if len(works) == 1 else results


async def admitted(till, key, usd_nanos, tokens=0):
    """Enter, and hold so much; the error if that is refused."""
    hold = await till.enter(key)
    try:
        await till.reserve(hold, worst(usd_nanos, tokens))
    except ApiError as error:
        till.leave(hold, 0, 0)
        return error
    except BaseException:
        till.leave(hold, 0, 0)
        raise
    return hold


def end(till, hold, usd_nanos, tokens=0, key="k1", **members):
    """As the app does it: in one step."""
    one = generation(
        members.pop("started", None) or store_till.clock.wall(), key=key, cost_usd_nanos=usd_nanos, **members
    )
    till.charge(one)
    till.leave(hold, usd_nanos, tokens)
    return one


async def holdings(store):
    found = await Holdings.read(store.client)
    found.add_up(store.now)
    return found


async def idle(store, *tills):
    """So long that nothing is kept here any more."""
    await store.pass_time(IDLE_S + 0.1)
    for till in tills:
        await till.flush()


# -- spend ------------------------------------------------------------------------------------------------------------


class TestSpend:
    async def test_a_request_holds_the_most_that_it_may_cost_and_is_charged_what_it_does(self, store, worker):
        till, mine = worker(), key(limit_usd_nanos=100)
        hold = await served(till, admitted(till, mine, 60))
        assert (await holdings(store)).leases == {"k1": {"w": 60}}
        end(till, hold, 25)
        assert await till.flush()
        found = await holdings(store)
        assert found.spent["k1"]["total"] == 25
        await idle(store, till)
        assert (await holdings(store)).leases == {}

    async def test_without_the_store_while_the_lease_lasts(self, store, worker):
        till, mine = worker(), key(limit_usd_nanos=10**6)
        for _ in range(3):
            end(till, await served(till, admitted(till, mine, 60)), 50)
        calls = len(till.line.calls)
        hold = await till.enter(mine)
        await till.reserve(hold, worst(10))
        assert len(till.line.calls) == calls

    async def test_what_does_not_fit_is_refused_by_what_is_left(self, store, worker):
        till, mine = worker(), key(limit_usd_nanos=100)
        end(till, await served(till, admitted(till, mine, 70)), 70)
        error = await served(till, admitted(till, mine, 31))
        assert (error.status, error.metadata["affordable_tokens"]) == (402, 30)
        end(till, await served(till, admitted(till, mine, 30)), 30)
        assert (await served(till, admitted(till, mine, 1))).status == 403
        assert (await holdings(store)).leases == {}

    async def test_what_costs_nothing_needs_no_money(self, store, worker):
        till = worker(budgets=Budgets(is_credit_enforced=True))
        hold = await served(till, admitted(till, key(limit_usd_nanos=0), 0))
        till.leave(hold, 0, 0)
        assert till.line.calls == []

    async def test_of_key_and_instance(self, store, worker, monkeypatch):
        monkeypatch.setattr(store_till, "SPEND_PATIENCE_S", -1.0)
        till, mine = worker(budgets=Budgets(daily=50, is_credit_enforced=True)), key(limit_usd_nanos=100)
        await store.client.hset(f"{SLOT}credits", "total", 10**6)
        hold = await served(till, admitted(till, mine, 50))
        assert (await holdings(store)).leases == {"k1": {"w": 50}, INSTANCE: {"w": 50}}
        error = await served(till, admitted(till, BARE, 1))
        assert (error.status, "daily budget" in error.message) == (429, True)
        end(till, hold, 50)
        error = await served(till, admitted(till, mine, 1))
        assert (error.status, "daily budget" in error.message) == (403, True)
        await idle(store, till)
        assert (await holdings(store)).leases == {}, "nothing stays held for the one that was refused"

    async def test_what_others_hold_may_come_back(self, store, worker):
        one, other, mine = worker("one"), worker("other"), key(limit_usd_nanos=100)
        hold = await served(one, admitted(one, mine, 80))
        waiting = tasks.start("request", admitted(other, mine, 60))
        for _ in range(3):
            await turns()
            await other.flush()
        assert not waiting.done()
        end(one, hold, 10)
        await one.flush()
        await turns()
        await other.flush()
        assert (await waiting).spend
        assert (await holdings(store)).leases["k1"]["other"] == 60

    async def test_what_another_keeps_for_its_own_next_requests_comes_back_at_once(self, store, worker):
        """Or what is left of a small limit lies where nobody asks for it."""
        one, other, mine = worker("one"), worker("other"), key(limit_usd_nanos=1_000)
        for _ in range(4):
            end(one, await served(one, admitted(one, mine, 100)), 90)
            await one.flush()
        assert (await holdings(store)).leases["k1"]["one"] > 20, "it expects more of the kind"
        waiting = tasks.start("request", admitted(other, mine, 620))
        for _ in range(4):
            await turns()
            await other.flush()
            await one.flush()
        assert (await waiting).spend
        assert (await holdings(store)).leases["k1"] == {"other": 620}

    async def test_nobody_waits_longer_than_their_patience(self, store, worker):
        one, other, mine = worker("one"), worker("other"), key(limit_usd_nanos=100, max_concurrency=1)
        await served(one, admitted(one, mine, 80))
        for patience_s, wanted in ((SLOT_PATIENCE_S, mine), (SPEND_PATIENCE_S, key(limit_usd_nanos=100))):
            began = store.now
            waiting = tasks.start("request", admitted(other, wanted, 60))
            await turns()
            while not waiting.done():
                await other.flush()
                await turns()
                await store.pass_time(0.05)
                await one.flush()
            with contextlib.suppress(ApiError):
                assert (await waiting).status == 429
            assert patience_s <= store.now - began <= patience_s + 0.11

    async def test_a_request_that_began_in_a_window_that_has_ended_needs_what_is_left_of_that_one(self, store, worker):
        """It will be charged to it. Its body took until the next day, say."""
        till, mine = worker(), key(limit_usd_nanos=100, limit_reset="daily")
        end(till, await served(till, admitted(till, mine, 90)), 90)
        first, second = await till.enter(mine), await till.enter(mine)
        await store.pass_time(DAY_S)
        for _ in range(3):
            end(till, await served(till, admitted(till, mine, 10)), 10)
        assert first.leases.spend.available > 0
        error = await served(till, till.reserve(first, worst(11)))
        assert (error.status, error.metadata["affordable_tokens"]) == (402, 10)
        assert await served(till, till.reserve(second, worst(10))) is None
        end(till, second, 10, started=NOON)
        till.leave(first, 0, 0)
        await idle(store, till)
        found = await holdings(store)
        assert found.leases == {}
        assert (found.spent["k1"]["d:20261121"], found.spent["k1"]["d:20261122"]) == (100, 30)

    async def test_many_in_one_call(self, store, worker):
        till, mine = worker(), key(limit_usd_nanos=100)
        holds = await served(till, *[admitted(till, mine, 9) for _ in range(11)])
        assert len(till.line.calls) == 1
        assert (await holdings(store)).leases == {"k1": {"w": 99}}
        for hold in holds:
            end(till, hold, 9)
        assert await till.flush()
        found = await holdings(store)
        assert (found.leases, found.spent["k1"]["total"]) == ({}, 99)

    async def test_some_of_many(self, store, worker, monkeypatch):
        monkeypatch.setattr(store_till, "SPEND_PATIENCE_S", -1.0)
        till, mine = worker(), key(limit_usd_nanos=100)
        answers = await served(till, *[admitted(till, mine, amount) for amount in (60, 50, 30, 101)])
        assert [isinstance(answer, ApiError) for answer in answers] == [False, True, False, True]

    async def test_a_call_right_behind_that_of_the_grant(self, store, worker):
        """The next one may be made before the request has had its turn."""
        till, mine = worker(), key(limit_usd_nanos=100)
        request = tasks.start("request", admitted(till, mine, 50))
        await turns()
        await tasks.start("calls", twice(till))
        await turns()
        assert request.done()
        assert (await holdings(store)).leases == {"k1": {"w": 50}}


async def twice(till):
    """In the same turn."""
    await till.flush()
    till.forget("gen-1-a")
    await till.flush()


async def flush_then(till, act):
    """In the same turn."""
    await till.flush()
    act()


class TestCallersThatLeave:
    """While they wait for a draw: what is granted to them must be nobody's loss."""

    @pytest.mark.parametrize("when", ["before the call", "during the call", "after the grant"])
    async def test_leave_nothing_held(self, store, worker, when):
        till, mine = worker(), key(limit_usd_nanos=100, max_concurrency=5, tokens_per_minute=60)
        request = tasks.start("request", admitted(till, mine, 50, tokens=5))
        slots_and_tokens = 2
        for _ in range(slots_and_tokens):
            await turns()
            await till.flush()
        await turns()
        if when == "before the call":
            request.cancel()
            await turns()
        flush = tasks.start("flush", flush_then(till, request.cancel if when == "after the grant" else int))
        if when == "during the call":
            await asyncio.sleep(0)
            request.cancel()
        await flush
        with pytest.raises(asyncio.CancelledError):
            await request
        await till.flush()
        await till.flush()
        assert (await holdings(store)).leases == {}
        assert (await served(till, admitted(till, mine, 100, tokens=60))).spend

    async def test_at_the_limit_of_requests_under_way(self, store, worker):
        till, mine = worker(), key(max_concurrency=1)
        hold = await served(till, till.enter(mine))
        waiting = tasks.start("request", till.enter(mine))
        await turns()
        flush = tasks.start("flush", till.flush())
        await turns()
        till.leave(hold, 0, 0)
        waiting.cancel()
        await flush
        await till.flush()
        assert (await holdings(store)).leases == {}
        assert (await served(till, till.enter(mine))).has_slot


# -- requests under way, and rates ------------------------------------------------------------------------------------


class TestConcurrency:
    async def test_no_more_than_so_many_in_the_fleet(self, store, worker, monkeypatch):
        monkeypatch.setattr(store_till, "SLOT_PATIENCE_S", -1.0)
        one, other, mine = worker("one"), worker("other"), key(max_concurrency=2)
        holds = [await served(till, till.enter(mine)) for till in (one, other)]
        assert (await served(one, one.enter(mine))).status == 429
        other.leave(holds[1], 0, 0)
        await other.flush()
        assert (await served(one, one.enter(mine))).has_slot


class TestRates:
    async def test_so_many_per_minute_then_when_to_come_again(self, store, worker):
        till, mine = worker(), key(requests_per_minute=3)
        for _ in range(3):
            await served(till, till.enter(mine))
        error = await served(till, till.enter(mine))
        assert (error.status, error.headers["retry-after"]) == (429, "20")
        assert error.headers["x-ratelimit-reset"] == str(int(NOON + 60) * 1000)
        await store.pass_time(20)
        await served(till, till.enter(mine))

    async def test_by_tokens_that_were_foreseen_and_settled_by_those_that_were_used(self, store, worker):
        till, mine = worker(), key(tokens_per_minute=100)
        hold = await served(till, admitted(till, mine, 0, 90))
        assert (await served(till, admitted(till, mine, 0, 20))).status == 429
        till.leave(hold, 0, 30)
        hold = await served(till, admitted(till, mine, 0, 70))
        till.leave(hold, 0, 100)
        error = await served(till, admitted(till, mine, 0, 1))
        assert (error.status, error.headers["retry-after"]) == (429, "19")  # 130 of 100 have been used

    async def test_what_was_not_used_comes_back_to_the_fleet(self, store, worker):
        """Also when this worker has no further request."""
        one, other, mine = worker("one"), worker("other"), key(tokens_per_minute=100)
        hold = await served(one, admitted(one, mine, 0, 100))
        one.leave(hold, 0, 10)
        await store.pass_time(RATE_GOOD_S + 0.1)
        await one.flush()
        assert (await served(other, admitted(other, mine, 0, 90))).tokens == 90
        assert await one.flush()
        assert len(one.line.calls) == 2, "once is enough"

    async def test_debts_are_paid_by_the_fleet(self, store, worker):
        one, other, mine = worker("one"), worker("other"), key(tokens_per_minute=100)
        hold = await served(one, admitted(one, mine, 0, 10))
        one.leave(hold, 0, 150)
        await store.pass_time(RATE_GOOD_S + 0.1)
        await one.flush()
        error = await served(other, admitted(other, mine, 0, 1))
        assert (error.status, error.headers["retry-after"]) == (429, "30")

    @pytest.mark.parametrize("fate", ["is lost", "answer is lost", "is repeated"])
    async def test_a_debt_outlives_a_call_that_failed(self, store, worker, fate):
        till, mine = worker(), key(tokens_per_minute=100)
        hold = await served(till, admitted(till, mine, 0, 10))
        till.leave(hold, 0, 150)
        till.line.fates.append(fate)
        await served(till, admitted(till, mine, 0, 1))
        assert (await served(till, admitted(till, mine, 0, 1))).status == 429

    async def test_a_request_larger_than_a_minute(self, store, worker):
        till = worker()
        assert (await served(till, admitted(till, key(tokens_per_minute=100), 0, 101))).status == 400

    async def test_free_models(self, store, worker, monkeypatch):
        monkeypatch.setattr(store_till, "SLOT_PATIENCE_S", -1.0)
        till = worker(budgets=Budgets(free_per_minute=2, free_per_day=3))

        async def free():
            hold = await till.enter(BARE)
            await till.reserve(hold, FREE_MODEL)
            end(till, hold, 0, is_free=True)

        await served(till, free(), free())
        assert (await served(till, free())).status == 429
        await store.pass_time(60)
        await served(till, free())
        await store.pass_time(60)
        error = await served(till, free())
        assert "per-day" in error.message
        await store.pass_time(DAY_S)
        assert await served(till, free()) is None


# -- keys that change -------------------------------------------------------------------------------------------------


class TestKeysThatChange:
    async def test_a_key_that_was_read_anew_is_the_same(self, store, worker):
        """It is another object then, and what its requests hold goes on being held."""
        mine = key(limit_usd_nanos=100, max_concurrency=3, requests_per_minute=2, tokens_per_minute=60)
        till = worker()
        hold = await served(till, admitted(till, mine, 50, 40))
        again = await served(till, admitted(till, replace(mine), 50, 20))
        assert isinstance(again.spend[0][1], int)
        till.leave(hold, 0, 10)
        till.leave(again, 0, 20)
        assert (await served(till, admitted(till, replace(mine), 1, 1))).status == 429, "of two requests"
        await store.pass_time(30)
        assert (await served(till, admitted(till, replace(mine), 100, 30 + 30))).tokens == 60

    async def test_a_lower_limit_holds_at_once(self, store, worker):
        till = worker()
        end(till, await served(till, admitted(till, key(limit_usd_nanos=10**6), 100)), 90)
        await till.flush()
        assert (await served(till, admitted(till, key(limit_usd_nanos=90), 10))).status == 403

    async def test_a_higher_one_too(self, store, worker):
        till = worker()
        assert (await served(till, admitted(till, key(limit_usd_nanos=10), 20))).status == 402
        assert (await served(till, admitted(till, key(limit_usd_nanos=20), 20))).spend

    async def test_limits_that_go_while_they_are_held(self, store, worker):
        till = worker()
        hold = await served(
            till, admitted(till, key(limit_usd_nanos=100, max_concurrency=1, tokens_per_minute=9), 50, 9)
        )
        assert await served(till, till.enter(key(requests_per_minute=5)))
        await till.flush()
        assert (await holdings(store)).leases["k1"] == {"w": 50}
        end(till, hold, 30, 9)
        await idle(store, till)
        found = await holdings(store)
        assert (found.leases, found.spent["k1"]["total"]) == ({}, 30)

    async def test_limits_that_come_while_a_request_is_under_way(self, store, worker):
        till = worker()
        hold = await served(till, admitted(till, BARE, 50))
        limited = key(limit_usd_nanos=100, max_concurrency=1, tokens_per_minute=9)
        other = await served(till, admitted(till, limited, 20, 5))
        end(till, hold, 30, 9)
        await till.flush()
        assert (await holdings(store)).leases["k1"] == {"w": 20}
        end(till, other, 20, 5)
        await idle(store, till)
        assert (await holdings(store)).leases == {}

    async def test_what_limits_nothing(self, worker):
        assert worker().is_unlimited(BARE)
        assert not worker(budgets=Budgets(weekly=1)).is_unlimited(BARE)
        for limit in ("limit_usd_nanos", "max_concurrency", "requests_per_minute", "tokens_per_minute"):
            assert not worker().is_unlimited(key(**{limit: 1}))


# -- calls that fail --------------------------------------------------------------------------------------------------


class TestCallsThatFail:
    async def test_a_draw_that_nobody_answers_refuses_the_request(self, store, worker):
        till = worker(fates=["is lost"])
        assert (await served(till, admitted(till, key(limit_usd_nanos=100), 50))).status == 503
        assert till.is_away
        assert (await served(till, admitted(till, key(limit_usd_nanos=100), 50))).spend
        assert not till.is_away

    async def test_what_was_granted_by_an_answer_that_was_lost_goes_back(self, store, worker):
        till, mine = worker(fates=["answer is lost"]), key(limit_usd_nanos=100)
        assert (await served(till, admitted(till, mine, 50))).status == 503
        assert (await holdings(store)).leases == {"k1": {"w": 50}}
        await till.flush()
        assert (await holdings(store)).leases == {}
        calls = len(till.line.calls)
        await till.flush()
        assert len(till.line.calls) == calls

    async def test_a_call_that_was_made_twice_refuses_nobody(self, store, worker):
        """The client does so when the connection breaks; the second is late then."""
        till, mine = worker(fates=["is repeated"]), key(limit_usd_nanos=100, requests_per_minute=60)
        assert (await served(till, admitted(till, mine, 50))).spend
        assert (await holdings(store)).leases == {"k1": {"w": 50}}

    @pytest.mark.parametrize("fate", ["is lost", "answer is lost", "is late", "is repeated"])
    async def test_charges_are_told_until_they_are_heard_and_count_once(self, store, worker, fate):
        till, mine = worker(), key(limit_usd_nanos=100)
        hold = await served(till, admitted(till, mine, 50))
        till.line.fates.append(fate)
        end(till, hold, 30)
        assert not await till.flush()
        assert await till.flush()
        for call in till.line.late:
            assert (await store.call(call)).is_late
        found = await holdings(store)
        assert (found.spent["k1"]["total"], found.spent["k1"]["n"]) == (30, 1)
        assert (await served(till, admitted(till, mine, 70))).spend

    async def test_more_charges_than_fit_in_a_call_leave_nothing_to_others(self, store, worker, monkeypatch):
        """What has been used and not been charged yet is still leased."""
        monkeypatch.setattr(store_backlog, "AT_ONCE", 2)
        monkeypatch.setattr(store_till, "SPEND_PATIENCE_S", -1.0)
        till, other, mine = worker(), worker("other"), key(limit_usd_nanos=100)
        for hold in await served(till, *[admitted(till, mine, 20) for _ in range(5)]):
            end(till, hold, 20)
        for told in (2, 4):
            assert not await till.flush()
            found = await holdings(store)
            assert found.spent["k1"]["total"] == 20 * told
            assert found.leases == {"k1": {"w": 100 - 20 * told}}
            assert isinstance(await served(other, admitted(other, mine, 1)), ApiError)
        assert await till.flush()
        assert (await holdings(store)).leases == {}

    async def test_leases_are_told_anew_to_a_store_that_has_lost_them(self, store, worker):
        till, mine = worker(), key(limit_usd_nanos=100)
        hold = await served(till, admitted(till, mine, 50))
        await store.client.flushdb()
        await store.pass_time(BEAT_S)
        await till.flush()
        assert (await holdings(store)).leases == {"k1": {"w": 50}}
        end(till, hold, 50)
        await till.flush()
        assert (await holdings(store)).charged().popitem()[1] == (50, 1)

    async def test_what_is_here_is_not_used_when_it_may_be_anothers_already(self, store, worker):
        """The worker stood still; the first thing it does is a request, before any call."""
        till, mine = worker(), key(limit_usd_nanos=1_000)
        for _ in range(5):
            end(till, await served(till, admitted(till, mine, 20)), 20)
        await till.flush()
        assert (await holdings(store)).leases["k1"]["w"] > 10
        await store.pass_time(DEAD_S)
        calls = len(till.line.calls)
        await served(till, admitted(till, mine, 10))
        assert len(till.line.calls) > calls


class TestManyLeases:
    """Of as many keys. A call tells what has changed, and the store knows the rest."""

    KEYS = tuple(key(hash=f"k{number}", limit_usd_nanos=100, max_concurrency=3) for number in range(12))
    ALL = {one.hash: {"w": 20} for one in KEYS} | {f"slots:{one.hash}": {"w": 1} for one in KEYS}

    async def held(self, store, till):
        """Each holds 20 of its limit, and a place."""
        holds = await served(till, *[admitted(till, one, 20) for one in self.KEYS])
        assert (await holdings(store)).leases == self.ALL
        await till.flush()
        return holds

    async def lose_all(self, store):
        await store.client.flushdb()
        await store.pass_time(0.0)

    def without(self, *numbers):
        gone = {f"{kind}k{number}" for number in numbers for kind in ("", "slots:")}
        return {account: leases for account, leases in self.ALL.items() if account not in gone}

    async def test_a_call_tells_what_has_changed(self, store, worker):
        till = worker()
        holds = await self.held(store, till)
        end(till, holds[4], 20, key="k4")
        assert await till.flush()
        assert set(till.line.calls[-1].leases) == {"k4", "slots:k4"}
        assert (await holdings(store)).leases == self.without(4)
        await served(till, admitted(till, self.KEYS[7], 30))
        assert {account for call in till.line.calls[-2:] for account in call.leases} == {"k7", "slots:k7"}
        assert (await holdings(store)).leases["k7"] == {"w": 50}

    @pytest.mark.parametrize("fate", FATES)
    async def test_what_it_told_of_them_is_told_until_it_is_heard(self, store, worker, fate):
        till = worker()
        holds = await self.held(store, till)
        till.line.fates.append(fate)
        end(till, holds[4], 20, key="k4")
        await till.flush()
        end(till, holds[5], 20, key="k5")
        await till.flush()
        assert (await holdings(store)).leases == self.without(4, 5)
        for call in till.line.late:
            assert (await store.call(call)).is_late

    async def test_a_store_that_has_lost_them_is_told_all(self, store, worker, monkeypatch):
        monkeypatch.setattr(store_till, "SPEND_PATIENCE_S", -1.0)
        till, other = worker(), worker("other")
        holds = await self.held(store, till)
        await self.lose_all(store)
        end(till, holds[4], 20, key="k4")
        assert await till.flush(), "at once"
        assert (await holdings(store)).leases == self.without(4)
        assert isinstance(await served(other, admitted(other, self.KEYS[0], 81)), ApiError)

    async def test_and_a_replica_that_has_not_had_the_last_calls(self, store, worker):
        till = worker()
        holds = await served(till, *[admitted(till, one, 20) for one in self.KEYS[:6]])
        replica = await Copy.of(store.client)
        holds += await served(till, *[admitted(till, one, 20) for one in self.KEYS[6:]])
        await replica.put_back()
        till.leave(holds.pop(), 0, 0)
        assert await till.flush()
        assert (await holdings(store)).leases == self.without(11)

    async def test_before_anything_is_drawn_there(self, store, worker, monkeypatch):
        """What this worker has in hand already would be granted to it a second time."""
        monkeypatch.setattr(store_till, "SPEND_PATIENCE_S", -1.0)
        till, mine = worker(), key(limit_usd_nanos=100)
        await served(till, admitted(till, mine, 10))
        replica = await Copy.of(store.client)
        await served(till, admitted(till, mine, 50))
        await replica.put_back()
        assert (await served(till, admitted(till, mine, 50))).status == 429
        assert (await served(till, admitted(till, mine, 40))).spend
        assert (await holdings(store)).leases == {"k1": {"w": 100}}

    async def test_what_is_under_way_is_told_there_with_it(self, store, worker):
        noted = [generation(cost_usd_nanos=3, end="crashed", is_estimated=True)]
        till = worker(under_way=lambda is_all: noted if is_all else ())
        await self.held(store, till)
        await store.pass_time(BEAT_S)
        await till.flush()
        await self.lose_all(store)
        till.forget("gen-1-a")
        await till.flush()
        assert set((await holdings(store)).open["w"]) == {noted[0].id}

    async def test_one_that_was_taken_for_dead_tells_all(self, store, worker, monkeypatch):
        """Its requests go on; what they hold may have been given to others, but is no less used."""
        monkeypatch.setattr(store_till, "SPEND_PATIENCE_S", -1.0)
        till, other = worker(), worker("other")
        await self.held(store, till)
        for _ in range(int(DEAD_S / 4) + 2):
            await store.pass_time(4.0)
            other.forget("gen-1-a")
            await other.flush()
        for one in self.KEYS:
            assert (await served(other, admitted(other, one, 100))).spend
        till.forget("gen-1-a")
        assert await till.flush()
        found = (await holdings(store)).leases
        assert {account: leases["w"] for account, leases in found.items()} == dict.fromkeys(found, 20) | {
            account: 1 for account in found if account.startswith("slots:")
        }
        assert (await served(other, admitted(other, self.KEYS[0], 1))).status == 429

    async def test_an_answer_that_asks_for_all_keeps_nothing_alive(self, store, worker):
        """Not before the store has been told: it may have given what is here to others, or be about to."""
        till, mine = worker(), key(limit_usd_nanos=1_000)
        for _ in range(5):
            end(till, await served(till, admitted(till, mine, 20)), 20)
        await till.flush()
        assert (await holdings(store)).leases["k1"]["w"] > 10
        await store.pass_time(0.9 * VOID_S)
        await self.lose_all(store)
        mine_again = await till.enter(mine)
        await till.reserve(mine_again, worst(1))
        till.line.fates += ["arrives", "is lost"]
        await till.flush()
        assert till.is_away
        await store.pass_time(0.2 * VOID_S)
        calls = len(till.line.calls)
        await served(till, admitted(till, mine, 1))
        assert len(till.line.calls) > calls

    async def test_each_is_told_now_and_then_although_nothing_has_changed(self, store, worker):
        """The store keeps none for ever of which nobody tells; and a hand may have removed one."""
        till = worker()
        await self.held(store, till)
        await store.client.delete(f"{SLOT}lease:k4", f"{SLOT}lease:slots:k7")
        told = len(till.line.calls)
        for _ in range(int(RETOLD_S)):
            await store.pass_time(BEAT_S)
            await till.flush()
            if till.line.calls[told:] and len(await store.client.keys(f"{SLOT}lease:*")) == len(self.ALL):
                break
        assert (await holdings(store)).leases == self.ALL
        assert max(len(call.leases) for call in till.line.calls[told:]) == 1


class TestWhateverHappens:
    """To calls, to the store, and to a worker that it takes for dead: in the end it knows what is in hand."""

    KEYS = tuple(key(hash=f"k{number}", limit_usd_nanos=100, max_concurrency=3) for number in range(3))
    STEPS = st.one_of(
        *[st.tuples(st.just("begin"), st.integers(0, 2), st.integers(1, 60))] * 2,
        *[st.tuples(st.just("end"), st.integers(0, 3), st.integers(0, 60))] * 2,
        *[st.tuples(st.just("call"), st.sampled_from(["arrives", "arrives", *FATES]), st.none())] * 3,
        st.tuples(st.just("late"), st.integers(0, 3), st.none()),
        st.tuples(st.just("wait"), st.sampled_from([0.1, BEAT_S, IDLE_S + 0.1]), st.none()),
        st.tuples(st.sampled_from(["copy", "fail over", "lose all", "bury"]), st.none(), st.none()),
    )

    @settings(max_examples=4 * settings.default.max_examples)
    @given(steps=st.lists(STEPS, min_size=4, max_size=16), at_once=st.sampled_from([1, 500]))
    async def test_the_store_knows_what_is_in_hand(self, redis_url, steps, at_once):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store_backlog, "AT_ONCE", at_once)
            patch.setattr(store_till, "SPEND_PATIENCE_S", -1.0)
            patch.setattr(store_till, "SLOT_PATIENCE_S", -1.0)
            async with contextlib.aclosing(connect(redis_url)) as client:
                store = StillMoney(client)
                store.set_clocks(patch)
                await store.begin()
                await self.live_through(store, steps)

    async def begun(self, till, key, amount):
        """None if it is refused."""
        with contextlib.suppress(ApiError):
            found = await admitted(till, key, amount)
            return None if isinstance(found, ApiError) else found

    async def live_through(self, store, steps):
        line = Line(store)
        till, other = Till(line, "w", Budgets()), Till(Line(store), "other", Budgets())
        requests, copy = [], await Copy.of(store.client)
        for kind, what, amount in steps:
            match kind:
                case "begin":
                    request = tasks.start("request", self.begun(till, self.KEYS[what], amount))
                    requests.append((self.KEYS[what], request))
                case "end" if what < len(requests) and requests[what][1].done():
                    one, request = requests.pop(what)
                    if request.result() is not None:
                        end(till, request.result(), amount, key=one.hash)
                case "call":
                    line.fates[:] = [what]
                    await till.flush()
                    line.fates.clear()
                case "late" if what < len(line.late):
                    await store.call(line.late.pop(what))
                case "wait":
                    await store.pass_time(what)
                case "copy":
                    copy = await Copy.of(store.client)
                case _:
                    await self.harm(kind, store, copy, other)
            await turns()
        has_lost = any(kind == "fail over" for kind, *_ in steps)
        await self.judge(store, till, requests, has_lost=has_lost)

    async def harm(self, kind, store, copy, other):
        if kind == "fail over":
            await copy.put_back()
        if kind == "lose all":
            await store.client.flushdb()
        await store.pass_time(0.0)
        if kind == "bury":
            for _ in range(int(DEAD_S / 4) + 2):
                await store.pass_time(4.0)
                other.forget("gen-1-a")
                await other.flush()

    async def judge(self, store, till, requests, *, has_lost):
        """A replica may not have heard that something was given back: that may stay until the key is used again."""
        async with asyncio.timeout(10 * TIME_LIMIT_S):
            while till.waiting or not await till.flush():
                await till.flush()
                await turns()
            await idle(store, till)
            while till.unsettled or not await till.flush():
                pass
        held = Counter()
        for one, request in requests:
            if await request is not None:
                held[one.hash] += request.result().spend[0][1]
                held[f"slots:{one.hash}"] += 1
        leases = (await Holdings.read(store.client)).leases
        known = {account: of_each["w"] for account, of_each in leases.items() if "w" in of_each}
        assert {account: amount for account, amount in known.items() if account in held or not has_lost} == held


class TestFlushing:
    async def test_two_at_a_time_lose_nothing(self, store, worker):
        till = worker()
        ids = {end(till, await till.enter(BARE), 1).id for _ in range(3)}
        first = tasks.start("first", till.flush())
        await asyncio.sleep(0)
        ids |= {end(till, await till.enter(BARE), 1).id for _ in range(3)}
        second = tasks.start("second", till.flush())
        await asyncio.sleep(0)
        ids |= {end(till, await till.enter(BARE), 1).id for _ in range(3)}
        await first
        await second
        await till.flush()
        assert (await holdings(store)).charged() == dict.fromkeys(ids, (1, 1))

    async def test_who_waits_for_a_call_that_was_cancelled_is_told_so(self, store, worker):
        till = worker(fates=["hangs"])
        request = tasks.start("request", admitted(till, key(limit_usd_nanos=100), 50))
        await turns()
        flush = tasks.start("flush", till.flush())
        await turns()
        flush.cancel()
        with pytest.raises(asyncio.CancelledError):
            await flush
        async with asyncio.timeout(TIME_LIMIT_S):
            assert (await request).status == 503
        await till.flush()
        assert (await holdings(store)).leases == {}

    async def test_nothing_is_said_when_there_is_nothing_to_say(self, store, worker):
        till = worker()
        for _ in range(5):
            await till.flush()
            await store.pass_time(SWEEP_S / 5)
        assert till.line.calls == []
        await till.flush()
        assert len(till.line.calls) == 1, "somebody has to find the dead"

    async def test_leases_are_kept_by_a_beat(self, store, worker):
        till = worker()
        await served(till, admitted(till, key(limit_usd_nanos=100), 50))
        for _ in range(40):
            await store.pass_time(BEAT_S)
            await till.flush()
        assert len(till.line.calls) == 41
        assert (await holdings(store)).leases == {"k1": {"w": 50}}

    async def test_runs_when_somebody_waits_and_ten_times_a_second(self, store, worker):
        till, mine = worker(), key(limit_usd_nanos=100)
        running = tasks.start("money", till.run())
        async with asyncio.timeout(TIME_LIMIT_S):
            hold = await admitted(till, mine, 50)
            one = end(till, hold, 20)
            while one.id not in (await holdings(store)).charged():
                await asyncio.sleep(FLUSH_S / 10)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    async def test_a_fault_of_others_does_not_end_it(self, store, worker):
        """Whoever says what is under way, or is told of an alert."""
        faults = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["exception"]))

        def fail(*_):
            raise ZeroDivisionError

        till = worker(budgets=Budgets(daily=10), alert=fail, under_way=fail)
        running = tasks.start("money", till.run())
        try:
            async with asyncio.timeout(TIME_LIMIT_S):
                hold = await admitted(till, BARE, 10)
                one = end(till, hold, 10)
                while one.id not in (await holdings(store)).charged():
                    await asyncio.sleep(FLUSH_S / 10)
                await turns()
            assert not running.done()
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError, ZeroDivisionError):
                await running
        assert {type(fault) for fault in faults} == {ZeroDivisionError}


class TestClosing:
    async def test_tells_what_is_left_and_gives_back_all(self, store, worker, monkeypatch):
        monkeypatch.setattr(store_backlog, "AT_ONCE", 2)
        till, mine = worker(), key(limit_usd_nanos=10**6, max_concurrency=50)
        holds = [await served(till, admitted(till, mine, 10)) for _ in range(7)]
        for hold in holds[:5]:
            end(till, hold, 10)
        await till.close()
        found = await holdings(store)
        assert (found.leases, found.spent["k1"]["total"]) == ({}, 50)

    async def test_however_much_that_is(self, store, worker, monkeypatch):
        monkeypatch.setattr(store_backlog, "AT_ONCE", 1)
        till = worker()
        for _ in range(50):
            end(till, await till.enter(BARE), 1)
        await till.close()
        assert (await holdings(store)).spent["k1"]["total"] == 50

    async def test_while_it_is_telling(self, store, worker):
        till, mine = worker(), key(limit_usd_nanos=100)
        end(till, await served(till, admitted(till, mine, 50)), 50)
        flush = tasks.start("flush", till.flush())
        await asyncio.sleep(0)
        for _ in range(3):
            end(till, await till.enter(BARE), 1)
        await till.close()
        await flush
        found = await holdings(store)
        assert (found.leases, found.spent["k1"]["total"]) == ({}, 53)

    async def test_whoever_still_waits_is_refused(self, store, worker):
        till = worker()
        request = tasks.start("request", admitted(till, key(limit_usd_nanos=100), 50))
        await turns()
        await till.close()
        async with asyncio.timeout(TIME_LIMIT_S):
            assert (await request).status == 503
        assert (await holdings(store)).leases == {}


# -- under way, and the dead ------------------------------------------------------------------------------------------


class TestUnderWay:
    class Requests:
        """As the app has them: each is given once, and all with each beat."""

        def __init__(self):
            self.running = {}
            self.noted = set()

        def __call__(self, is_all):
            found = [one for one in self.running.values() if is_all or one.id not in self.noted]
            self.noted |= {one.id for one in found}
            return found

        def now(self, one, **members):
            members = {"end": "crashed", "is_estimated": True, **members}
            self.running[one.id] = type(one)(**{f: getattr(one, f) for f in one.__struct_fields__} | members)

    async def test_is_charged_by_others_if_the_worker_dies(self, store, worker):
        requests = self.Requests()
        till, other = worker("w", under_way=requests), worker("other")
        one = generation(cost_usd_nanos=1)
        requests.now(one)
        await till.flush()
        await self.outlive(store, other)
        assert (await holdings(store)).charged() == {one.id: (1, 1)}

    async def test_what_goes_on_is_noted_once_a_second_also_by_a_busy_worker(self, store, worker):
        requests = self.Requests()
        till, other = worker("w", under_way=requests), worker("other")
        one = generation()
        for cost in range(30):
            requests.now(one, cost_usd_nanos=cost)
            end(till, await till.enter(BARE), 0)
            await till.flush()
            await store.pass_time(FLUSH_S)
        await self.outlive(store, other)
        assert (await holdings(store)).charged()[one.id][0] >= 30 - 1 - BEAT_S / FLUSH_S

    async def test_what_ended_is_forgotten(self, store, worker):
        requests = self.Requests()
        till = worker("w", under_way=requests)
        one = generation(cost_usd_nanos=1)
        requests.now(one)
        await till.flush()
        del requests.running[one.id]
        till.forget(one.id)
        assert await till.flush()
        assert (await holdings(store)).open == {}

    @pytest.mark.parametrize("fate", ["is lost", "answer is lost", "is repeated"])
    async def test_forgetting_outlives_a_call_that_failed(self, store, worker, fate):
        requests = self.Requests()
        till = worker("w", under_way=requests)
        one = generation(cost_usd_nanos=1)
        requests.now(one)
        await till.flush()
        del requests.running[one.id]
        till.forget(one.id)
        till.line.fates.append(fate)
        assert not await till.flush()
        assert await till.flush()
        assert (await holdings(store)).open == {}

    async def outlive(self, store, living):
        for _ in range(int(DEAD_S / 4) + 2):
            await store.pass_time(4.0)
            living.forget("gen-1-a")
            await living.flush()


# -- alerts -----------------------------------------------------------------------------------------------------------


class TestAlerts:
    @pytest.fixture
    def told(self):
        return []

    async def spend(self, till, key, amount, **members):
        end(till, await served(till, admitted(till, key, amount)), amount, **members)
        await till.flush()
        await turns()

    async def test_once_for_each_part_of_each_limit(self, store, worker, told):
        till = worker(budgets=Budgets(daily=200, alerts=(0.5, 1.0)), alert=told.append)
        mine = key(limit_usd_nanos=100, limit_reset="weekly")
        for amount in (49, 1, 40, 10):
            await self.spend(till, mine, amount)
        assert told == ["k1 weekly 0.5 100", "k1 weekly 1 100", "* daily 0.5 200"]
        await self.spend(till, BARE, 100)
        assert told[3:] == ["* daily 1 200"]

    async def test_by_one_worker_of_all(self, store, worker, told):
        mine = key(limit_usd_nanos=100)
        tills = [worker(name, budgets=Budgets(alerts=(0.1,)), alert=told.append) for name in "abc"]
        for till in tills:
            await self.spend(till, mine, 20)
        assert told == ["k1 total 0.1 100"]

    @pytest.mark.parametrize("fate", ["is lost", "answer is lost", "is repeated"])
    async def test_although_a_call_failed(self, store, worker, told, fate):
        till, mine = worker(budgets=Budgets(alerts=(0.1,)), alert=told.append), key(limit_usd_nanos=100)
        hold = await served(till, admitted(till, mine, 20))
        till.line.fates.append(fate)
        end(till, hold, 20)
        for _ in range(3):
            await till.flush()
        await turns()
        assert told == ["k1 total 0.1 100"]

    async def test_once_when_charges_of_two_days_come_together(self, store, worker, told):
        till, mine = worker(alert=told.append, budgets=Budgets(alerts=(0.5,))), key(limit_usd_nanos=100)
        holds = await served(till, admitted(till, mine, 50), admitted(till, mine, 50))
        for hold, started in zip(holds, (NOON, NOON - DAY_S), strict=True):
            end(till, hold, 50, started=started)
        await till.flush()
        await turns()
        assert told == ["k1 total 0.5 100"]

    async def test_of_the_window_that_was_charged(self, store, worker, told):
        """A reply may end on the next day."""
        till, mine = worker(alert=told.append), key(limit_usd_nanos=100, limit_reset="daily")
        hold = await served(till, admitted(till, mine, 90))
        await store.pass_time(DAY_S)
        end(till, hold, 90, started=NOON)
        await till.flush()
        await turns()
        assert told == ["k1 daily 0.8 100"]

    async def test_asks_only_about_what_is_charged(self, store, worker):
        till = worker(budgets=Budgets(daily=10**6))
        for number in range(10):
            mine = key(hash=f"k{number}", limit_usd_nanos=100)
            hold = await served(till, admitted(till, mine, 1))
        end(till, hold, 1, key="k9")
        await till.flush()
        assert {watch.account for watch in till.line.calls[-1].watch} == {"k9", INSTANCE}
        assert till.line.calls[-2].watch == []

    async def test_a_fault_of_the_one_who_is_told(self, store, worker):
        faults = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["exception"]))

        def fail(name):
            raise ZeroDivisionError(name)

        till, mine = worker(alert=fail), key(limit_usd_nanos=10)
        await self.spend(till, mine, 9)
        assert [str(fault) for fault in faults] == ["k1 total 0.8 10"]
        assert (await holdings(store)).spent["k1"]["total"] == 9


# -- the disk ---------------------------------------------------------------------------------------------------------


class TestDisk:
    async def test_what_a_worker_left_there_is_charged_by_another(self, store, worker, tmp_path):
        left = Unsettled(tmp_path, "w")
        till = worker("w", disk=left, fates=["is lost"] * 100)
        one = end(till, await till.enter(BARE), 7)
        await till.close()
        other = worker("other", disk=Unsettled(tmp_path, "other"))
        other.adopt()
        assert await other.flush()
        assert (await holdings(store)).charged() == {one.id: (7, 1)}
        await other.close()
        assert not list((tmp_path / "unsettled").iterdir())

    async def test_of_one_that_left_while_the_store_was_away_as_soon_as_it_is_back(self, store, worker, tmp_path):
        """Who stays has looked for what the dead have left, and would not do so again for a minute."""
        staying = worker("stays", disk=Unsettled(tmp_path, "stays"), fates=["is lost"])
        leaving = worker("leaves", disk=Unsettled(tmp_path, "leaves"), fates=["is lost"] * 100)
        staying.adopt()
        one = end(leaving, await leaving.enter(BARE), 7)
        await leaving.close()
        two = end(staying, await staying.enter(BARE), 5)
        assert not await staying.flush()
        for _ in range(3):
            await store.pass_time(FLUSH_S)
            await staying.flush()
        assert (await holdings(store)).charged() == {one.id: (7, 1), two.id: (5, 1)}

    async def test_what_a_killed_worker_held_is_free_when_its_files_are_found(self, store, worker, tmp_path):
        """Not only after DEAD_S: a slot that nobody uses would be missed by its key for as long."""
        killed = Unsettled(tmp_path, "killed")
        till, other = worker("killed", disk=killed), worker("other", disk=Unsettled(tmp_path, "other"))
        single = key(max_concurrency=1)
        one = end(till, await till.enter(BARE), 1)
        await served(till, till.enter(single))
        assert (await holdings(store)).leases == {"slots:k1": {"killed": 1}}
        killed._lock.let_go()  # as the death of its process does
        other.adopt()
        await served(other, other.enter(single))
        found = await holdings(store)
        assert found.leases == {"slots:k1": {"other": 1}}
        assert found.charged() == {one.id: (1, 1)}

    async def test_more_than_fits_in_memory(self, store, worker, tmp_path, monkeypatch):
        monkeypatch.setattr(store_backlog, "MAX_KEPT", 3)
        till = worker("w", disk=Unsettled(tmp_path, "w"), fates=["is lost"] * 4)
        ids = set()
        for _ in range(20):
            ids.add(end(till, await till.enter(BARE), 1).id)
            await till.flush()
        for _ in range(10):
            await till.flush()
        assert (await holdings(store)).charged() == dict.fromkeys(ids, (1, 1))
        await till.close()
        assert not list((tmp_path / "unsettled").iterdir())
