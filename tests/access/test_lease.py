import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access.lease import AHEAD_S, IDLE_S, RATE_GOOD_S, RECALL_S, AmountLease, AmountLimit, RateLease, RateLimit

LIMITS = (AmountLimit("total", 1_000),)
AMOUNTS = st.integers(0, 2**53)


def lease_of(available, **more):
    return AmountLease("k", LIMITS, available=available, **more)


class TestHolding:
    def test_what_is_here(self):
        lease = lease_of(10)
        assert lease.hold(10, 0.0)
        assert not lease.hold(1, 0.0)
        assert (lease.available, lease.held, lease.outstanding) == (0, 10, 10)

    def test_what_is_not_here_changes_nothing(self):
        lease = lease_of(9)
        assert not lease.hold(10, 0.0)
        assert (lease.available, lease.held) == (9, 0)

    @given(available=AMOUNTS, requests=st.lists(st.tuples(AMOUNTS, AMOUNTS)))
    def test_no_more_is_used_than_was_leased_but_for_what_a_request_took_beyond_its_hold(self, available, requests):
        lease = lease_of(available)
        held = [(amount, used) for amount, used in requests if lease.hold(amount, 0.0)]
        for amount, used in held:
            lease.settle(amount, used, 0.0)
        spent = sum(used for _, used in held)
        beyond = sum(max(used - amount, 0) for amount, used in held)
        assert lease.held == 0
        assert spent + lease.outstanding == available + beyond


class TestSettling:
    @pytest.mark.parametrize(("used", "available"), [(0, 10), (4, 6), (10, 0), (25, 0)])
    def test_what_was_not_used_is_here_again(self, used, available):
        lease = lease_of(10)
        lease.hold(10, 0.0)
        lease.settle(10, used, 0.0)
        assert (lease.available, lease.held) == (available, 0)

    @pytest.mark.parametrize("took_s", [0.0, 0.01, 3.0])
    def test_pace_is_that_of_the_use(self, took_s):
        """However long each request holds its amount."""
        lease = lease_of(10**9)
        for second in range(60):
            lease.hold(100, second)
            lease.settle(100, 100, second + took_s / 4)
        assert lease.pace == pytest.approx(100, rel=0.1)
        assert lease.ahead == pytest.approx(100 * AHEAD_S, rel=0.1)

    def test_pace_of_rare_use_is_low(self):
        lease = lease_of(10**9)
        for turn in range(20):
            lease.hold(100, turn * 10.0)
            lease.settle(100, 100, turn * 10.0 + 0.01)
        assert lease.pace < 100 * 0.7 / AHEAD_S * 1.5

    def test_a_clock_that_stands_is_no_fault(self):
        lease = lease_of(10)
        lease.hold(5, 2.0)
        lease.settle(5, 5, 1.0)
        assert lease.outstanding == 5


class TestGivingBack:
    def test_all_that_is_not_needed(self):
        lease = lease_of(10)
        lease.hold(4, 0.0)
        assert lease.give_back(0.0)
        assert (lease.available, lease.held) == (0, 4)
        assert not lease.give_back(0.0)

    def test_but_for_what_is_used_ahead(self):
        lease = lease_of(1_000, pace=10.0)
        assert lease.give_back(0.0)
        assert lease.available == 10 * AHEAD_S
        assert not lease.give_back(IDLE_S)
        assert lease.give_back(IDLE_S + 0.1)
        assert lease.available == 0

    def test_and_what_may_stay(self):
        lease = lease_of(10, keep=3)
        assert lease.give_back(0.0)
        assert lease.available == 3

    def test_void(self):
        lease = lease_of(10)
        lease.hold(4, 0.0)
        lease.void()
        assert lease.outstanding == 4


class TestRecall:
    def test_nothing_is_kept_ahead_for_a_while(self):
        """However much it is used in that time."""
        lease = lease_of(10**6, pace=10.0)
        lease.recall(5.0)
        lease.hold(1_000, 6.0)
        lease.settle(1_000, 1_000, 6.0)
        assert lease.ahead == 0
        lease.hold(1_000, 5.0 + RECALL_S)
        lease.settle(1_000, 1_000, 5.0 + RECALL_S)
        assert lease.ahead > 0


class TestChange:
    @pytest.mark.parametrize(
        "change",
        [
            lambda lease: lease.hold(10, 0.0),
            lambda lease: lease.settle(0, 0, 0.0),
            lambda lease: lease.give_back(0.0),
            lambda lease: lease.grant(1),
            lambda lease: lease.recall(0.0),
            lambda lease: lease.void(),
        ],
        ids=["hold", "settle", "give back", "grant", "recall", "void"],
    )
    def test_of_any_kind_is_known_to_its_owner(self, change):
        changed = set()
        lease = lease_of(10, changed=changed)
        assert changed == set()
        change(lease)
        assert changed == {lease}

    def test_what_could_not_be_done_is_none(self):
        lease = lease_of(10, pace=10.0)
        assert not lease.hold(11, 0.0)
        assert not lease.give_back(0.0)
        assert lease.changed == set()


class TestRate:
    def lease(self, available=0, per_minute=60, **more):
        return RateLease("k", RateLimit(per_minute), available, **more)

    def test_takes_what_is_here_while_it_is_good(self):
        lease = self.lease(2, drawn_at=0.0)
        assert lease.take(1, RATE_GOOD_S)
        assert not lease.take(2, 0.0)
        assert not lease.take(1, RATE_GOOD_S + 0.1)
        assert lease.available == 1

    def test_nothing_before_the_first_draw(self):
        assert not self.lease(5).take(1, 0.0)

    def test_what_was_foreseen_and_not_used_is_here_again_and_more_is_a_debt(self):
        lease = self.lease(10, drawn_at=0.0)
        lease.take(10, 0.0)
        lease.settle(10, 4)
        assert lease.available == 6
        lease.settle(0, 20)
        assert lease.available == -14

    @pytest.mark.parametrize(
        ("per_minute", "need", "workers", "wanted"),
        [(60, 1, 1, 1), (6_000, 1, 1, 50), (6_000, 1, 4, 12), (6_000, 80, 1, 80), (1, 1, 8, 1)],
    )
    def test_wants_half_a_second_ahead_of_its_share(self, per_minute, need, workers, wanted):
        assert self.lease(per_minute=per_minute).want(need, workers) == wanted

    def test_interval(self):
        assert RateLimit(60).interval_us == 1e6
