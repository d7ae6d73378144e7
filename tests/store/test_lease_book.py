import dataclasses
import gc
import weakref

import pytest

from fairlead.access.keys import ApiKey
from fairlead.access.spend import Budgets
from fairlead.store.lease_book import FORGOTTEN_S, LeaseBook

KEY = ApiKey("k1", "", "", limit_usd_nanos=100, max_concurrency=32, requests_per_minute=60, tokens_per_minute=600)


@pytest.fixture
def book():
    return LeaseBook(Budgets(), workers=2, now=0.0)


class TestKeys:
    @pytest.mark.parametrize(
        "limit",
        ["limit_usd_nanos", "requests_per_minute", "tokens_per_minute", "max_concurrency"],
    )
    def test_any_limit_of_a_key_is_one(self, book, limit):
        assert book.is_unlimited(ApiKey("k", "", ""))
        assert not book.is_unlimited(ApiKey("k", "", "", **{limit: 0}))

    @pytest.mark.parametrize("budget", [{"daily": 1}, {"is_credit_enforced": True}, {"free_per_day": 5}], ids=str)
    def test_any_limit_of_the_instance_is_one(self, budget):
        assert not LeaseBook(Budgets(**budget), 1, 0.0).is_unlimited(ApiKey("k", "", ""))

    def test_each_limit_has_a_lease(self, book):
        leases = book.of_key(KEY, 1.0)
        assert leases.spend.limits[0].most == 100
        assert leases.slots.keep == 2, "an eighth of this worker's share may stay"
        assert (leases.requests.limit.per_minute, leases.tokens.limit.per_minute) == (60, 600)
        assert leases.free_by_day is None

    def test_what_is_held_stays_when_a_key_changes(self, book):
        before = book.of_key(KEY, 1.0)
        before.spend.available, before.spend.held = 30, 20
        after = book.of_key(dataclasses.replace(KEY, limit_usd_nanos=50), 2.0)
        assert after.spend is before.spend
        assert (after.spend.available, after.spend.held, after.spend.limits[0].most) == (0, 20, 50)


class TestForgetting:
    def test_keys_that_nobody_uses_go(self, book):
        before = weakref.ref(book.of_key(KEY, 0.0).spend)
        book.forget_idle(FORGOTTEN_S)
        assert before() is not None
        book.forget_idle(3 * FORGOTTEN_S)
        gc.collect()
        assert before() is None
        assert book.of_key(KEY, 3 * FORGOTTEN_S).spend.available == 0

    def test_but_an_account_never_has_two_leases(self, book):
        """One that a request, or the store, still knows of is found again."""
        before = book.of_key(KEY, 0.0)
        told, held = before.slots, before.spend
        book.granted(told, 1)
        book.note_used(before.tokens)
        owing = weakref.ref(before.tokens)
        del before
        book.forget_idle(2 * FORGOTTEN_S)
        after = book.of_key(KEY, 2 * FORGOTTEN_S)
        assert (after.slots, after.spend, after.tokens) == (told, held, owing())


class TestStore:
    def test_what_is_told_is_what_others_must_not_use(self, book):
        spend = book.of_key(KEY, 0.0).spend
        book.granted(spend, 40)
        assert spend.hold(10, 1.0)
        assert book.told == {"k1": 40}
        assert book.outstanding({}) == {"k1": 40}
        assert book.outstanding({"k1": 7, "other": 9}) == {"k1": 47}

    def test_what_is_not_needed_goes_back(self, book):
        spend = book.of_key(KEY, 0.0).spend
        book.granted(spend, 40)
        assert book.has_unused()
        book.give_back(1.0, is_void=True)
        assert book.outstanding({}) == {"k1": 0}
        assert not book.has_unused()

    def test_rates_are_given_back_a_moment_after_their_use(self, book):
        rate = book.of_key(KEY, 0.0).requests
        rate.available, rate.drawn_at = 3, 10.0
        book.note_used(rate)
        assert book.give_back(10.5, is_void=False) == []
        assert book.give_back(11.5, is_void=False) == [rate]
        assert book.give_back(12.5, is_void=False) == []

    def test_a_recall_tells_whether_there_is_anything(self, book):
        spend = book.of_key(KEY, 0.0).spend
        assert not book.recall("k1", 1.0)
        book.granted(spend, 4)
        assert book.recall("k1", 1.0)
