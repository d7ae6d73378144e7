import dataclasses
import gc
import weakref

import pytest

from fairlead.access.keys import ApiKey
from fairlead.access.lease import IDLE_S, RECALL_S
from fairlead.access.spend import Budgets
from fairlead.store.lease_book import FORGOTTEN_S, RETOLD_S, LeaseBook

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
        assert book.news({}, is_beat=True) == {"k1": 40}
        assert book.news({"k1": 7, "other": 9}) == {"k1": 47}

    def test_what_is_not_needed_goes_back(self, book):
        spend = book.of_key(KEY, 0.0).spend
        book.granted(spend, 40)
        assert book.has_unused()
        book.give_back(1.0, is_void=True)
        assert book.news({}) == {"k1": 0}
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


def tell(book, later=(), *, is_beat=False):
    """Return what is on its way."""
    leases = book.news(dict(later), is_beat=is_beat)
    book.tells(leases, dict(later))
    return leases


class TestNews:
    """What is told of many leases with one call."""

    @pytest.fixture
    def leases(self, book):
        """Of twenty keys, each with 10 that are held; the store knows."""
        found = [book.of_key(ApiKey(f"k{n}", "", "", limit_usd_nanos=100), 0.0).spend for n in range(20)]
        for lease in found:
            book.granted(lease, 10)
            assert lease.hold(10, 0.0)
        assert len(tell(book)) == 20
        book.heard(book.told)
        return found

    def test_is_what_has_changed(self, book, leases):
        assert tell(book) == {}
        leases[3].settle(10, 4, 1.0)
        assert tell(book) == {"k3": 6}
        book.heard({"k3": 6})
        assert tell(book) == {}

    def test_is_not_what_is_only_held_otherwise(self, book, leases):
        leases[3].settle(10, 0, 1.0)
        assert leases[3].hold(10, 1.0)
        assert tell(book) == {}

    def test_is_what_has_changed_while_the_call_was_on_its_way(self, book, leases):
        leases[3].settle(10, 4, 1.0)
        told = tell(book)
        leases[3].void()
        leases[4].settle(10, 10, 1.0)
        book.heard(told)
        assert tell(book) == {"k3": 0, "k4": 0}

    def test_is_what_was_told_and_not_heard(self, book, leases):
        leases[3].settle(10, 4, 1.0)
        book.unheard(tell(book), [leases[5]])
        leases[3].grant(4)  # as much as the store was known to know
        assert tell(book) == {"k3": 10, "k5": 10}

    def test_is_what_is_drawn_on(self, book, leases):
        assert book.news({}, [leases[7]]) == {"k7": 10}

    def test_is_all_if_the_store_may_know_nothing_of_it(self, book, leases):
        assert book.base(8) == 8
        book.unknown()
        assert book.base(8) == 0
        told = tell(book)
        assert told == {f"k{n}": 10 for n in range(20)}
        book.unheard(told, [])
        assert (tell(book), book.base(8)) == (told, 0)
        book.heard(told)
        assert (tell(book), book.base(9)) == ({}, 9)

    def test_builds_on_nothing_when_nothing_is_in_hand(self, book):
        book.heard(tell(book))
        assert book.base(8) == 0

    def test_is_everything_in_turn(self, book, leases):
        """Each beat tells a little, and none is left out."""
        told = [tell(book, is_beat=True)]
        for _ in range(int(RETOLD_S) - 1):
            book.heard(told[-1])
            told.append(tell(book, is_beat=True))
        assert set().union(*told) == {f"k{n}" for n in range(20)}
        assert max(map(len, told)) == 1

    def test_is_what_a_later_call_charges_until_it_is_charged(self, book, leases):
        leases[3].settle(10, 10, 1.0)
        assert tell(book, {"k3": 10}) == {}
        assert tell(book, {"k3": 7}) == {"k3": 7}
        book.heard({"k3": 7})
        assert tell(book, {"k3": 7, "nobody": 5}) == {}
        assert tell(book) == {"k3": 0}
        book.heard({"k3": 0})
        assert tell(book) == {}

    def test_is_that_nothing_is_left_in_the_end(self, book, leases):
        book.void_all()
        told = tell(book)
        assert told == {f"k{n}": 0 for n in range(20)}
        book.heard(told)
        assert (book.told, tell(book)) == ({}, {})


class TestGivingBack:
    @pytest.fixture
    def leases(self, book):
        """Of three keys, which are used so often that all of it stays for the next requests."""
        found = [book.of_key(ApiKey(f"k{n}", "", "", limit_usd_nanos=1000), 0.0).spend for n in range(3)]
        for lease in found:
            book.granted(lease, 100)
            lease.hold(50, 1.0)
            self.end(lease, 50, 1.0)
        book.give_back(1.0, is_void=False)
        assert [lease.available for lease in found] == [50, 50, 50]
        return found

    def use(self, lease, now):
        assert lease.hold(50, now)
        self.end(lease, 0, now)

    def end(self, lease, used, now):
        lease.settle(50, used, now)
        lease.pace = 1_000.0

    def test_of_what_nobody_has_used_for_long(self, book, leases):
        """Whatever is done with others."""
        for now in range(2, 13):
            self.use(leases[0], now)
            if now < 8:
                self.use(leases[2], now)
            book.give_back(now, is_void=False)
            assert leases[1].available == (50 if now <= 1 + IDLE_S else 0)
        assert book.has_unused()
        book.give_back(7 + IDLE_S + 0.1, is_void=False)
        assert [lease.available for lease in leases] == [50, 0, 0]
        book.give_back(12 + IDLE_S + 0.1, is_void=False)
        assert not book.has_unused()

    def test_of_all_that_may_be_anothers(self, book, leases):
        book.give_back(1.5, is_void=True)
        assert [lease.available for lease in leases] == [0, 0, 0]

    def test_of_what_is_recalled(self, book, leases):
        assert book.recall("k1", 2.0)
        book.give_back(2.0, is_void=False)
        assert [lease.available for lease in leases] == [50, 0, 50]

    def test_of_what_ends_after_a_recall(self, book, leases):
        assert leases[1].hold(50, 2.0)
        assert not book.recall("k1", 2.0)
        book.give_back(2.0, is_void=False)
        leases[1].settle(50, 1, 1.9 + RECALL_S)
        book.give_back(1.9 + RECALL_S, is_void=False)
        assert leases[1].outstanding == 0
