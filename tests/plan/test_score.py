import math
import random
from dataclasses import replace
from statistics import fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from fairlead.catalog.model import Endpoint, Model, Provider
from fairlead.health.endpoint import Attempt, EndpointHealth
from fairlead.health.estimate import Estimate
from fairlead.plan.candidate import Candidate
from fairlead.plan.score import Ask, Crowd, Weights, expected_s, score

CALM = Crowd(echo=1.0, slack=2.0, waiting_slack=2.0)
SURE = Weights(sigma=0.0)
ROUNDS = 4000


def health(begun=0, sent=0, **known):
    """`begun` are under way here, of whom the fleet was told of `sent`."""
    found = EndpointHealth("a:acme/large", 0.0)
    found.estimate = Estimate(**known)
    found.in_flight, found.sent_in_flight = begun, sent
    return found


def terms(found=None, seconds=0.5, *, price=1.0, weight=1.0, gamma=0.0, crowd=CALM, weights=SURE, rng=None):
    endpoint = Endpoint(Provider("a", "A", "http://x", weight=weight), Model("acme/large", "Acme: Large"), "m", None)
    one = Candidate(endpoint, found or health())
    score([one], [seconds], [price], gamma, crowd, weights, rng or random.Random(1))
    return one.terms


def load(found, **given):
    return terms(found, **given).load


def test_streams_that_end_hide_nobody_who_waits():
    """Ten have ended here since the fleet was told, and ten more wait for their first tokens."""
    found = health(begun=10, sent=20, in_flight=20.0, in_flight_limit=100.0, waiting=5.0, waiting_limit=6.0)
    calm = load(found)
    for number in range(10):
        found.waiting[Attempt(found, float(number), True, 0.0)] = None
    assert load(found) > calm == 0.0


class TestExpected:
    def test_it_is_the_wait_the_generation_and_the_risk(self):
        known = health(first_token_s=0.4, token_s=0.02, risk_s=0.1)
        assert expected_s(known.estimate, Ask(output_tokens=100, alpha=0.25)) == pytest.approx(
            0.4 + 0.25 * 100 * 0.02 + 0.1
        )

    def test_a_caller_may_care_for_one_of_them_only(self):
        known = health(first_token_s=0.4, token_s=0.02)
        assert expected_s(known.estimate, Ask(output_tokens=100, alpha=0.0)) == pytest.approx(0.4)
        assert expected_s(known.estimate, Ask(output_tokens=100, alpha=1.0, first_token=0.1)) == pytest.approx(2.04)


class TestTerms:
    @given(
        st.floats(0.001, 600.0),
        st.floats(0.0, 1.0),
        st.floats(0.0, 0.8),
        st.floats(0.01, 1.0),
        st.floats(0.001, 1000.0),
        st.integers(0, 200),
        st.floats(0.0, 100.0),
    )
    def test_they_add_up(self, seconds, doubt, elasticity, price, weight, begun, waiting):
        known = health(begun, 3, doubt=doubt, elasticity=elasticity, waiting=waiting, in_flight=5.0)
        found = terms(known, seconds, price=price, weight=weight, gamma=0.5, weights=Weights())
        parts = (math.log(found.seconds), found.price, found.weight, found.load, found.draw)
        assert all(math.isfinite(part) for part in parts)
        assert found.score == pytest.approx(sum(parts), abs=1e-9)

    def test_price(self):
        assert terms(gamma=0.5, price=0.25).price == pytest.approx(0.5 * math.log(0.25))
        assert terms(gamma=0.0, price=0.25).price == 0.0

    def test_weight(self):
        assert terms(weight=3.0).weight == pytest.approx(-math.log(3.0) / SURE.theta)
        assert terms(weight=1.0).weight == 0.0


class TestLoad:
    def test_there_is_none_on_an_idle_endpoint(self):
        assert load(health()) == 0.0

    def test_one_that_does_not_feel_load_has_none_within_its_limits(self):
        assert load(health(in_flight=10.0, in_flight_limit=10.0, waiting=4.0, waiting_limit=4.0)) == 0.0

    def test_where_first_tokens_get_slower_with_load_the_delay_of_the_others_counts(self):
        known = health(in_flight=7.0, in_flight_limit=99.0, elasticity=0.5, reference_load=4.0)
        assert load(known) == pytest.approx(4.0 * 0.5 * math.log(8.0 / 4.0) - math.log(0.5))

    def test_a_negative_load_is_none(self):
        """More have ended here since the last snapshot than it counted in the fleet."""
        known = health(0, 40, in_flight=7.0, in_flight_limit=99.0, elasticity=0.5, reference_load=1.0)
        assert load(known) == pytest.approx(-math.log(0.5))

    def test_ramp(self):
        known = health(in_flight=18.0, in_flight_limit=8.0)
        assert load(known) == pytest.approx(4.0 * math.log(20.0 / 10.0))
        assert load(known, weights=replace(SURE, ramp=0.0)) == 0.0

    def test_waiting(self):
        known = health(waiting=18.0, waiting_limit=8.0)
        assert load(known) == pytest.approx(2.0 * math.log(20.0 / 10.0))
        assert load(known, weights=replace(SURE, waiting=0.0)) == 0.0

    def test_what_began_here_since_the_snapshot_counts_as_often_as_others_act_alike(self):
        known = health(9, 4, in_flight=3.0, in_flight_limit=8.0, waiting_limit=99.0)
        assert load(known) == 0.0
        assert load(known, crowd=structs.replace(CALM, echo=3.0)) == pytest.approx(4.0 * math.log(20.0 / 10.0))

    @given(st.integers(0, 50), st.floats(0.0, 0.8), st.floats(1.0, 3.0))
    def test_more_load_is_never_better(self, begun, elasticity, echo):
        busy = [health(n, in_flight=5.0, elasticity=elasticity) for n in (begun, begun + 1)]
        one, more = (load(found, crowd=structs.replace(CALM, echo=echo)) for found in busy)
        assert one <= more


class TestDraw:
    def draws(self, weights, **known):
        rng = random.Random(3)
        found = health(**known)
        return [terms(found, weights=weights, rng=rng).draw for _ in range(ROUNDS)]

    def test_it_is_gumbel_of_a_width_that_theta_says(self):
        """Mean and deviation of -g/θ: -0.5772/θ and π/(√6·θ)."""
        draws = self.draws(SURE)
        assert fmean(draws) == pytest.approx(-0.5772 / 20.0, abs=0.005)
        assert pstdev(draws) == pytest.approx(math.pi / math.sqrt(6.0) / 20.0, rel=0.05)

    def test_elasticity_widens_it(self):
        assert pstdev(self.draws(SURE, elasticity=0.5)) == pytest.approx(2.5 * pstdev(self.draws(SURE)), rel=0.05)

    @pytest.mark.parametrize("count", [0, 1, 10, 100])
    def test_doubt_shrinks_with_the_evidence(self, count):
        """The part of Thompson's sampling alone: σ/√(N + 1.5)."""
        doubt = 1.0 / math.sqrt(count + 1.5)
        assert pstdev(self.draws(Weights(theta=1e9), doubt=doubt)) == pytest.approx(0.25 * doubt, rel=0.05)

    def test_the_same_seed_draws_the_same(self):
        one, same, other = (terms(rng=random.Random(seed), weights=Weights()) for seed in (4, 4, 5))
        assert one == same != other
