import math
from dataclasses import astuple, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.health import sums
from fairlead.health import sums as ix
from fairlead.health.breaker import BreakerLimits
from fairlead.health.estimate import Estimate, Prior, estimate, prior_of
from harness.fleet import Fleet

LN2 = math.log(2.0)
PRIOR = Prior(first_token_s=0.4, token_s=0.01)
NEVER = BreakerLimits(in_a_row=1e9, share=2.0, slow_factor=1e9, jitter=0.0)
"""So that what is measured is what the estimate does, not what the breaker does."""


USUAL = (120, ix.U120, ix.N120)


def of(known=(), **named):
    vector = sums.zeros()
    for index, value in {**dict(known), **{getattr(ix, name): value for name, value in named.items()}}.items():
        vector[index] = value
    return vector


def steady(first_token_s, rate):
    """Sums of an endpoint that has been at this pace for ever."""
    windows = ((1, ix.E1, ix.N1), (5, ix.E5, ix.N5), (20, ix.E20, ix.N20), (120, ix.E120, ix.N120), USUAL)
    return of({came: rate * h / LN2 for h, _, came in windows} | {
        waited: rate * h / LN2 * first_token_s for h, waited, _ in windows
    })  # fmt: skip


class TestNothingKnown:
    def test_it_is_as_the_group_is(self):
        known = estimate(sums.zeros(), PRIOR)
        assert (known.first_token_s, known.usual_s, known.token_s) == pytest.approx((0.4, 0.4, 0.01))
        assert (known.failure, known.cut) == pytest.approx((0.005, 0.001))
        assert (known.elasticity, known.reference_load) == (0.2, 1.0)
        assert (known.in_flight, known.waiting, known.attempt_rate) == (0.0, 0.0, 0.0)

    def test_the_defaults_are_what_is_estimated_of_nothing(self):
        known = estimate(sums.zeros(), Prior())
        known = replace(known, risk_s=0.0, elasticity=0.0, in_flight_limit=2.0, waiting_limit=2.0)
        assert astuple(known) == pytest.approx(astuple(Estimate()), rel=1e-3)

    def test_of_a_group_too(self):
        assert prior_of([]) == Prior()
        assert prior_of([sums.zeros()]) == Prior()


class TestPrior:
    def test_it_is_what_the_endpoints_have_in_common(self):
        prior = prior_of([of(E120=30.0, N120=100.0, G=20.0, K=1_000.0), of(E120=90.0, N120=100.0, G=2.0, K=1_000.0)])
        assert prior.first_token_s == pytest.approx(0.6, rel=0.01)
        assert prior.token_s == pytest.approx(0.011, rel=0.05)


class TestFirstToken:
    def test_a_few_are_weighed_against_the_prior(self):
        known = estimate(of(E120=8.0, U120=4.0, N120=2.0), PRIOR)
        assert known.usual_s == pytest.approx((3 * 0.4 + 4.0) / 5.0)
        longest_s = (3 * 0.4 + 8.0) / 5.0
        assert known.first_token_s == pytest.approx(longest_s)

    @pytest.mark.parametrize("pace", [0.05, 0.4, 3.0])
    def test_steady(self, pace):
        known = estimate(steady(pace, 30.0), PRIOR)
        assert known.first_token_s == pytest.approx(pace, rel=0.05)
        assert known.first_token_s == known.usual_s

    def test_the_shortest_window_that_differs_counts(self):
        """And what is above the usual counts half again."""
        s = steady(0.5, 30.0)
        s[ix.E1] *= 4.0
        t = (3 * estimate(s, PRIOR).usual_s + s[ix.E1]) / (3 + s[ix.N1])
        usual_s = estimate(s, PRIOR).usual_s
        assert estimate(s, PRIOR).first_token_s == pytest.approx(t + 0.5 * (t - 1.1 * usual_s))

    def test_one_that_has_become_faster(self):
        s = steady(0.5, 30.0)
        s[ix.E5] /= 4.0
        s[ix.E1] /= 4.0
        assert estimate(s, PRIOR).first_token_s < 0.2

    def test_a_difference_that_chance_explains_is_not_believed(self):
        s = steady(0.5, 2.0)
        s[ix.E1] *= 1.5
        known = estimate(s, PRIOR)
        assert known.first_token_s == known.usual_s


class TestDynamics:
    """On real traffic, at sixty streams a second. The figures are those of routing-reference, 1.3."""

    def paces(self, fleet, seconds, first_token_s):
        """Each tick's estimate, mean over the workers."""
        for at in fleet.drive("p:m", seconds, 60.0, first_token_s):
            known = [worker.health("p:m").estimate.first_token_s for worker in fleet.workers]
            yield at, sum(known) / len(known)

    def test_calm_traffic_moves_it_by_little(self):
        found = [seconds for at, seconds in self.paces(Fleet(2, NEVER), 90.0, lambda _: 0.5) if at > 30.0]
        mean = sum(found) / len(found)
        assert mean == pytest.approx(0.5, rel=0.05)
        assert math.sqrt(sum((seconds - mean) ** 2 for seconds in found) / len(found)) < 0.04 * mean

    @pytest.mark.parametrize("seed", range(3))
    def test_a_sixfold_slow_down_is_followed_in_about_a_second(self, seed):
        """And its end within about as long after the last slow one has come."""
        found = dict(self.paces(Fleet(2, NEVER, seed), 60.0, lambda at: 1.8 if 40.0 <= at < 50.0 else 0.3))
        assert max(seconds for at, seconds in found.items() if 30.0 < at < 40.0) < 0.4
        assert min(seconds for at, seconds in found.items() if 41.4 < at < 50.0) > 3 * 0.3
        assert min(seconds for at, seconds in found.items() if 42.2 < at < 50.0) > 1.5
        assert max(seconds for at, seconds in found.items() if at > 52.5) < 3 * 0.3
        assert max(seconds for at, seconds in found.items() if at > 54.0) < 0.6

    def test_a_black_hole_is_seen_by_those_who_wait(self):
        """Nothing completes, and no time-out has run out yet."""
        found = dict(self.paces(Fleet(2, NEVER), 43.0, lambda at: 0.3 if at < 40.0 else math.inf))
        assert max(seconds for at, seconds in found.items() if 30.0 < at < 40.4) < 0.4
        assert min(seconds for at, seconds in found.items() if at > 41.3) > 3 * 0.3
        assert found[max(found)] > 10.0

    def test_more_load_alone_is_no_slowness(self):
        """New waiters come before their tokens do."""
        fleet = Fleet(2, NEVER)
        for _ in fleet.drive("p:m", 40.0, 5.0, lambda _: 1.0):
            pass
        health = fleet.workers[0].health("p:m")
        assert max(health.estimate.first_token_s for _ in fleet.drive("p:m", 10.0, 100.0, lambda _: 1.0)) < 1.6


class TestFailures:
    def test_many_attempts_tell_their_share(self):
        assert estimate(of(A20=1_000.0, F20=100.0), PRIOR).failure == pytest.approx(0.1, rel=0.01)

    def test_an_outage_shows_at_once(self):
        known = estimate(of(A20=1_000.0, F20=20.0, A2=100.0, F2=15.0), PRIOR)
        assert known.failure == pytest.approx(0.145, rel=0.05)

    def test_a_little_more_than_usual_does_not(self):
        assert estimate(of(A20=1_000.0, F20=20.0, A2=100.0, F2=4.0), PRIOR).failure == pytest.approx(0.02, rel=0.05)

    def test_broken_replies_likewise(self):
        assert estimate(of(S60=980.0, M60=98.0), PRIOR).cut == pytest.approx(0.1, rel=0.03)
        assert estimate(of(S60=980.0, M60=0.0, S3=46.0, M3=23.0), PRIOR).cut > 0.4

    def test_what_they_cost(self):
        """A failure a second wait, a broken reply ten seconds of its reader's."""
        known = estimate(of(A20=1_000.0, F20=500.0), PRIOR)
        p = known.failure
        assert known.risk_s == pytest.approx(p / (1.0 - p) * (0.4 + 0.5) + 10.0 * known.cut)

    def test_nothing_is_certain_to_fail(self):
        """Or the cost would be infinite, and all the dead would be equally bad."""
        assert estimate(of(A20=1e9, F20=1e9), PRIOR).failure == 0.95


class TestSpeed:
    def test_a_single_reply_tells_it(self):
        assert estimate(of(G=8.0, K=200.0), PRIOR).token_s == pytest.approx(0.04, rel=0.01)


class TestDoubt:
    def test_it_falls_with_the_evidence_but_never_to_nothing(self):
        found = [estimate(of(N120=count), PRIOR).doubt for count in (0.0, 1.0, 10.0, 200.0, 1e6)]
        assert found == sorted(found, reverse=True)
        assert found[0] == pytest.approx(0.816, abs=0.001)
        assert found[-2] == found[-1] == pytest.approx(201.5**-0.5)


class TestLoad:
    def regression(self, slope, count=500):
        """Sums of points (ln load, ln wait) on a line through loads 1 to 20."""
        points = [(math.log(1 + i % 20), math.log(0.2) + slope * math.log(1 + i % 20)) for i in range(count)]
        return of(
            R0=float(count), RX=sum(x for x, _ in points), RXX=sum(x * x for x, _ in points),
            RY=sum(y for _, y in points), RXY=sum(x * y for x, y in points),
        )  # fmt: skip

    @pytest.mark.parametrize(("slope", "expected"), [
        (0.0, 0.0), (0.04, 0.0), (0.2, 0.2), (0.6, 0.6), (2.0, 0.8), (-1.0, 0.0),
    ])  # fmt: skip
    def test_elasticity(self, slope, expected):
        known = estimate(self.regression(slope), PRIOR)
        assert known.elasticity == pytest.approx(expected, abs=0.01)
        assert known.reference_load == pytest.approx(math.exp(sum(math.log(1 + i) for i in range(20)) / 20))

    def test_a_load_that_never_changes_tells_nothing(self):
        """The prior stays: a little."""
        s = of(R0=100.0, RX=100.0, RXX=100.0, RY=50.0, RXY=50.0)
        assert estimate(s, PRIOR).elasticity == pytest.approx(0.2)

    def test_counts_are_those_of_the_fleet(self):
        s = of(C=12.0 * 0.5 / LN2, C3=10.0 * 3.0 / LN2, W=4.0 * 0.4 / LN2, A20=7.0 * 20.0 / LN2)
        known = estimate(s, PRIOR)
        assert (known.in_flight, known.waiting, known.attempt_rate) == pytest.approx((12.0, 4.0, 7.0))

    def test_the_ramp_is_flatter_where_load_may_hurt(self):
        mean = of(C3=10.0 * 3.0 / LN2)
        unknown = estimate(mean, PRIOR).in_flight_limit
        known = [a + b for a, b in zip(mean, self.regression(0.0), strict=True)]
        assert unknown == pytest.approx(1.5 * 10.0 + 1.5 * math.sqrt(11.0))
        assert estimate(known, PRIOR).in_flight_limit == pytest.approx(3.0 * 10.0 + 1.5 * math.sqrt(11.0))

    def test_as_many_may_wait_as_tokens_are_due(self):
        """And some more."""
        s = steady(0.5, 40.0)
        expected = 40.0 * 0.5
        known = estimate(s, PRIOR)
        assert known.waiting_limit == pytest.approx(1.2 * expected + 1.5 * math.sqrt(expected + 1.0), rel=0.02)


@given(
    st.lists(st.floats(0.0, 1e9), min_size=sums.COUNT, max_size=sums.COUNT),
    st.sampled_from([0.0, 0.1, 30.0, 1e3, 1.0735e3, 2.5e4, 1e5, 1e8, 1e12]),
)
def test_any_sums_of_any_age(vector, seconds):
    """Months of silence too: every member is a number, and in its bounds."""
    vector[ix.RX] = min(vector[ix.RX], 20.0 * vector[ix.R0])  # there are not that many requests
    vector = sums.decayed(vector, seconds)
    prior = prior_of([vector])
    known = estimate(vector, prior)
    assert all(math.isfinite(value) for value in astuple(known))
    assert known.first_token_s > 0.0 < known.token_s
    assert 0.0 < known.failure <= 0.95 >= known.cut > 0.0 <= known.risk_s
    assert 0.0 <= known.elasticity <= 0.8


def test_months_of_uptime():
    """Ten years of ticks, each in a thousand steps of time: nothing overflows, vanishes or grows."""
    vector = steady(0.5, 10.0)
    fresh = estimate(vector, PRIOR)
    for _ in range(1_000):
        vector = sums.decayed(vector, 3.15e5)
        vector = sums.added(vector, steady(0.5, 10.0))
    assert astuple(estimate(vector, PRIOR)) == pytest.approx(astuple(fresh))
    after = estimate(sums.decayed(vector, 1e8), PRIOR)
    assert after.first_token_s == pytest.approx(PRIOR.first_token_s)
