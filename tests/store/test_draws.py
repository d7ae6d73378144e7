import asyncio

import pytest

from fairlead import clock
from fairlead.access.lease import AmountLease, AmountLimit, RateLease, RateLimit
from fairlead.store.draws import Waiting, amounts, is_today
from fairlead.store.money import Grant, MoneyAway

pytestmark = pytest.mark.anyio


def amount(available=0):
    return AmountLease("k1", (AmountLimit("total", 100),), available=available)


def waiting(lease, need=10):
    return Waiting(lease, need, clock.wall(), asyncio.get_running_loop().create_future())


class TestDraws:
    async def test_what_is_here_is_not_asked_for_again(self):
        draw = waiting(amount(available=4)).draw(1)
        assert (draw.account, draw.limits, draw.need) == ("k1", [("total", 100)], 6)

    async def test_for_windows_of_before_it_is(self):
        one = waiting(amount(available=4))
        one.started -= 86_400.0
        assert not is_today(one.started)
        assert one.draw(1).need == 10

    async def test_what_is_left_of_a_rate_goes_back(self):
        lease = RateLease("r", RateLimit(60))
        lease.available = 3
        draw = waiting(lease, 1).draw(2)
        assert (draw.returned, draw.need, lease.available) == (3, 1, 0)
        assert draw.want >= 1
        lease.available = 2
        assert (Waiting(lease, 0).draw(2).want, lease.available) == (0, 0)

    async def test_those_on_amounts_are_known_from_those_on_rates(self):
        lease = amount()
        assert amounts([waiting(RateLease("r", RateLimit(60))), waiting(lease)]) == [lease]


class TestAnswers:
    async def test_a_need_that_is_met_is_taken(self):
        lease = amount(available=10)
        one = waiting(lease)
        one.end(Grant(10, 0, 90, 0), 1.0)
        assert (await one.answer, one.is_met, lease.held, lease.available) == (None, True, 10, 0)

    async def test_one_that_is_not_hears_why(self):
        grant = Grant(0, 3, 3, 0)
        one = waiting(amount())
        one.end(grant, 1.0)
        assert (await one.answer, one.is_met) == (grant, False)

    async def test_nothing_is_taken_for_who_has_left(self):
        lease = amount(available=10)
        one = waiting(lease)
        one.answer.cancel()
        assert one.is_over
        one.end(Grant(10, 0, 90, 0), 1.0)
        assert lease.held == 0

    async def test_without_an_answer_it_is_told(self):
        one = waiting(amount())
        one.fail(MoneyAway("away"))
        one.fail(MoneyAway("twice"))
        with pytest.raises(MoneyAway, match="away"):
            await one.answer
