import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.catalog.model import FREE, Endpoint, Model, Price, Provider
from fairlead.health.board import GroupHealth
from fairlead.health.endpoint import EndpointHealth
from fairlead.health.estimate import Estimate
from fairlead.plan.candidate import Candidate
from fairlead.plan.pick import Looks, order, panic_order
from fairlead.plan.score import AFFINITY_TOKENS, CACHE_HIT, PREFILL_TOKENS_PER_S, Ask, Weights

MODEL = Model("acme/large", "Acme: Large")
NOW = 1000.0
SURE = Weights(sigma=0.0)
FIRST_TOKEN_ONLY = Ask(alpha=0.0, gamma=0.0)
CHI_SQUARE_LIMITS = {1: 15.1, 2: 18.4, 3: 21.1, 4: 23.5, 9: 33.7}
"""What one in ten thousand fair samples exceeds, by degrees of freedom. The draws are seeded: it is none here."""


def candidate(slug="a", first_token_s=0.5, *, weight=1.0, price=FREE, **known):
    """One that is well known, idle, and as fast as that."""
    endpoint = Endpoint(Provider(slug, slug, "http://x", weight=weight), MODEL, "m", price)
    health = EndpointHealth(endpoint.id, NOW)
    known = {"usual_s": first_token_s, "token_s": 0.01, "doubt": 0.0, **known}
    health.estimate = Estimate(first_token_s=first_token_s, **known)
    return Candidate(endpoint, health)


def no_looks():
    return Looks(per_request=0.0, per_second=0.0, tokens=0.0)


def group_of(fleet=1):
    group = GroupHealth(MODEL.id)
    group.fleet = fleet
    return group


def ordered(found, ask=FIRST_TOKEN_ONLY, *, looks=None, weights=SURE, now=NOW, fleet=1, rng=None):
    """A copy of each, so that the next order begins anew."""
    found = [Candidate(one.endpoint, one.health) for one in found]
    return order(found, group_of(fleet), ask, looks or no_looks(), weights, now, rng or random.Random(1))


def slugs(candidates):
    return [one.endpoint.provider.slug for one in candidates]


def firsts(found, ask=FIRST_TOKEN_ONLY, rounds=6000, seed=7, **given):
    rng = random.Random(seed)
    return Counter(slugs(ordered(found, ask, rng=rng, **given))[0] for _ in range(rounds))


def assert_shares(seen, expected):
    """Chi-square against shares that are proportional to `expected`."""
    rounds, total = sum(seen.values()), sum(expected.values())
    square = sum((seen[slug] - rounds * part / total) ** 2 / (rounds * part / total) for slug, part in expected.items())
    assert square < CHI_SQUARE_LIMITS[len(expected) - 1], (dict(seen), expected)


class TestShares:
    @pytest.mark.parametrize("count", [2, 3, 10])
    @pytest.mark.parametrize("weights", [SURE, Weights()], ids=["sure", "in doubt"])
    def test_equals_share_evenly(self, count, weights):
        found = [candidate(chr(ord("a") + n), doubt=0.3) for n in range(count)]
        assert_shares(firsts(found, weights=weights), dict.fromkeys(slugs(found), 1.0))

    @pytest.mark.parametrize("theta", [5.0, 20.0])
    def test_shares_follow_the_power_law(self, theta):
        """∝ J^(-θ)."""
        times = {"a": 0.5, "b": 0.52, "c": 0.55, "d": 0.58}
        found = [candidate(*one) for one in times.items()]
        seen = firsts(found, weights=Weights(theta=theta, sigma=0.0))
        assert_shares(seen, {slug: seconds**-theta for slug, seconds in times.items()})

    def test_all_of_the_request_counts(self):
        """Twice as long to the first token, but the last one comes at the same time."""
        ask = Ask(output_tokens=100.0, alpha=1.0, gamma=0.0)
        found = [candidate("a", 0.5, token_s=0.010), candidate("b", 1.0, token_s=0.005)]
        assert_shares(firsts(found, ask), {"a": 1.0, "b": 1.0})

    def test_what_may_fail_gets_less(self):
        found = [candidate("a", 0.5), candidate("b", 0.5, risk_s=0.025)]
        assert_shares(firsts(found), {"a": 1.0, "b": 1.05**-20})

    @pytest.mark.parametrize("weights", [(1.0, 3.0), (1.0, 2.0, 7.0), (0.5, 20.0)])
    def test_among_equals_the_operators_weights_are_the_shares(self, weights):
        found = [candidate(chr(ord("a") + n), weight=weight) for n, weight in enumerate(weights)]
        assert_shares(firsts(found), dict(zip(slugs(found), weights, strict=True)))

    def test_the_order_behind_the_first_is_drawn_as_well(self):
        found = [candidate("a"), candidate("b"), candidate("c")]
        rng = random.Random(2)
        seen = Counter("".join(slugs(ordered(found, rng=rng))) for _ in range(3000))
        assert len(seen) == 6
        assert min(seen.values()) > 400

    def test_far_apart_the_faster_gets_all(self):
        assert firsts([candidate("a", 0.5), candidate("b", 1.0)]) == {"a": 6000}

    def test_who_is_overloaded_is_left_alone(self):
        """The ramp and the waiting, together with what just began here."""
        busy = candidate("a", 0.5, in_flight=40.0, in_flight_limit=10.0, waiting=20.0, waiting_limit=5.0)
        assert firsts([busy, candidate("b", 1.0)], rounds=500) == {"b": 500}

    @given(st.lists(st.floats(0.01, 100.0), min_size=1, max_size=12), st.integers(0, 2**32))
    def test_each_comes_once_and_by_score(self, times, seed):
        found = [candidate(f"p{n}", seconds) for n, seconds in enumerate(times)]
        result = ordered(found, rng=random.Random(seed), weights=Weights())
        assert sorted(slugs(result)) == sorted(slugs(found))
        if len(result) > 1:
            scores = [one.terms.score for one in result]
            assert scores == sorted(scores)

    def test_a_single_one_is_not_scored(self):
        (only,) = ordered([candidate()])
        assert only.terms is None

    def test_the_same_seed_gives_the_same_order(self):
        found = [candidate(chr(ord("a") + n)) for n in range(5)]
        orders = [slugs(ordered(found, rng=random.Random(seed))) for seed in (1, 1, 2)]
        assert orders[0] == orders[1] != orders[2]


class TestPrice:
    def priced(self, *prices, **known):
        return [candidate(chr(ord("a") + n), price=price, **known) for n, price in enumerate(prices)]

    def price_terms(self, found, ask):
        """Relative to the dearest."""
        terms = {one.endpoint.provider.slug: one.terms.price for one in ordered(found, ask)}
        dearest = max(terms.values())
        return {slug: pytest.approx(term - dearest) for slug, term in terms.items()}

    def test_shares_follow_its_power(self):
        """∝ price^(-γθ)."""
        found = self.priced(Price(1_000_000, 0), Price(2_000_000, 0), Price(3_000_000, 0))
        assert_shares(firsts(found, Ask(alpha=0.0, gamma=0.05)), {"a": 1.0, "b": 2.0**-1, "c": 3.0**-1})

    def test_the_inverse_square_is_a_special_case(self):
        found = self.priced(Price(1_000_000, 0), Price(3_000_000, 0))
        seen = firsts(found, Ask(alpha=0.0, gamma=2.0), weights=Weights(theta=1.0, sigma=0.0))
        assert_shares(seen, {"a": 9.0, "b": 1.0})

    def test_half_the_price_makes_up_for_more_time(self):
        found = [
            candidate("a", 1.0, price=Price(1_000_000, 0)),
            candidate("b", 1.0 / math.sqrt(2.0), price=Price(2_000_000, 0)),
        ]
        assert_shares(firsts(found, Ask(alpha=0.0, gamma=0.5)), {"a": 1.0, "b": 1.0})

    def test_it_is_the_price_of_this_request(self):
        found = self.priced(Price(10, 0), Price(0, 10), Price(0, 0, request=10))
        ask = Ask(prompt_tokens=4_000_000, output_tokens=2_000_000, gamma=1.0)
        terms = self.price_terms(found, ask)
        assert terms == {"a": 0.0, "b": math.log(0.5), "c": math.log(0.25)}

    def test_only_the_ratio_counts(self):
        small, large = self.priced(Price(10, 20), Price(20, 30)), self.priced(Price(1000, 2000), Price(2000, 3000))
        assert self.price_terms(small, Ask()) == self.price_terms(large, Ask())

    def test_it_may_not_matter(self):
        found = self.priced(Price(1, 1), Price(10**9, 10**9), None)
        assert_shares(firsts(found), {"a": 1.0, "b": 1.0, "c": 1.0})

    def test_one_that_nobody_knows_counts_as_the_dearest(self):
        terms = self.price_terms(self.priced(Price(10, 10), Price(40, 40), None), Ask(gamma=1.0))
        assert terms == {"a": math.log(0.25), "b": 0.0, "c": 0.0}

    def test_free_is_a_hundredth_of_the_dearest(self):
        terms = self.price_terms(self.priced(FREE, Price(40, 40), Price(0, 1)), Ask(gamma=1.0))
        assert terms == {"a": math.log(0.01), "b": 0.0, "c": math.log(0.01)}

    @pytest.mark.parametrize("prices", [(FREE, FREE), (None, None), (FREE, None)])
    def test_where_all_are_free_or_unknown_it_tells_nothing(self, prices):
        assert_shares(firsts(self.priced(*prices), Ask(alpha=0.0)), {"a": 1.0, "b": 1.0})


class TestDoubt:
    def test_what_is_unsure_is_tried(self):
        """A newcomer that looks 10 % slower gets a part of the traffic, and one that is known to be so hardly any."""
        best = candidate("a", 0.5)
        new, known = candidate("b", 0.55, doubt=0.8), candidate("b", 0.55, doubt=0.07)
        share_of_new, share_of_known = (firsts([best, one], weights=Weights())["b"] / 6000 for one in (new, known))
        assert share_of_new > 0.25
        assert share_of_known < 0.15

    def test_a_sure_one_is_not(self):
        assert firsts([candidate("a", 0.5), candidate("b", 0.8, doubt=0.1)], weights=Weights())["b"] < 6


class TestAffinity:
    ASK = Ask(prompt_tokens=4000.0, alpha=0.0, gamma=0.0, session=1)
    SAVED_S = CACHE_HIT * ASK.prompt_tokens / PREFILL_TOKENS_PER_S

    def ask(self, session, prompt_tokens=4000.0):
        return Ask(prompt_tokens=prompt_tokens, alpha=0.0, gamma=0.0, session=session)

    def home(self, found, session, **given):
        """The one where the prompt takes no time."""
        result = ordered(found, self.ask(session), **given)
        (home,) = [one for one in result if one.terms.seconds == one.health.estimate.first_token_s]
        return home.endpoint.provider.slug

    def sessions(self, count=2000):
        return random.Random(11).sample(range(1, 2**63), count)

    def four(self, **times):
        return [candidate(slug, times.get(slug, 0.5)) for slug in "abcd"]

    def test_it_is_the_same_on_any_worker(self):
        for session in self.sessions(50):
            assert self.home(self.four(), session, rng=random.Random(1)) == self.home(
                self.four()[::-1], session, rng=random.Random(2), fleet=8
            )

    def test_a_session_is_asked_at_home(self):
        for session in self.sessions(50):
            found = self.four()
            assert slugs(ordered(found, self.ask(session)))[0] == self.home(found, session)

    def test_homes_are_spread_evenly(self):
        assert_shares(
            Counter(self.home(self.four(), session) for session in self.sessions()), dict.fromkeys("abcd", 1.0)
        )

    def test_sessions_that_are_numbered_are_spread_as_well(self):
        seen = Counter(self.home(self.four(), session) for session in range(1, 2001))
        assert min(seen.values()) > 350

    @pytest.mark.parametrize("gone", "abcd")
    def test_only_those_move_whose_home_is_gone(self, gone):
        left = [one for one in self.four() if one.endpoint.provider.slug != gone]
        for session in self.sessions(300):
            home = self.home(self.four(), session)
            assert self.home(left, session) == home or home == gone

    def test_one_that_comes_takes_its_part_and_moves_no_others(self):
        more = [*self.four(), candidate("e")]
        moved = [now for s in self.sessions() if (now := self.home(more, s)) != self.home(self.four(), s)]
        assert set(moved) == {"e"}
        assert len(moved) == pytest.approx(400, abs=80)

    def test_one_that_is_slower_by_more_than_the_cache_saves_is_no_home(self):
        found = self.four(a=0.5 + self.SAVED_S * 1.01, b=0.5 + self.SAVED_S * 0.99)
        assert {self.home(found, session) for session in self.sessions(300)} == {"b", "c", "d"}

    @pytest.mark.parametrize("ask", [Ask(prompt_tokens=4000.0), Ask(prompt_tokens=AFFINITY_TOKENS - 1, session=1)])
    def test_without_a_session_or_much_to_save_there_is_no_home(self, ask):
        assert len({one.terms.seconds for one in ordered(self.four(), ask)}) == 1

    def test_what_it_saves_grows_with_the_prompt(self):
        for tokens in (2000.0, 20_000.0):
            times = [one.terms.seconds for one in ordered(self.four(), self.ask(1, tokens))]
            assert max(times) - min(times) == pytest.approx(CACHE_HIT * tokens / PREFILL_TOKENS_PER_S)

    def test_a_home_that_is_overloaded_is_left_all_the_same(self):
        """However long the prompt: it would be waited for there."""
        ask = self.ask(5, 100_000.0)
        home = self.home(self.four(), 5)
        found = [
            candidate(slug, waiting=500.0, waiting_limit=5.0) if slug == home else candidate(slug) for slug in "abcd"
        ]
        assert slugs(ordered(found, ask))[-1] == home

    def test_where_the_first_token_counts_little_so_does_the_cache(self):
        ask = Ask(prompt_tokens=4000.0, output_tokens=200.0, alpha=1.0, gamma=0.0, first_token=0.1, session=1)
        times = [one.terms.seconds for one in ordered(self.four(), ask)]
        assert max(times) - min(times) == pytest.approx(0.1 * self.SAVED_S)


class TestProbe:
    def test_it_comes_first_however_bad(self):
        found = [candidate("a"), candidate("b", 60.0)]
        found[1].health.lend(3, NOW + 1000.0)
        first, second = ordered(found)
        assert (slugs([first, second]), first.note, second.note) == (["b", "a"], "probe", "")

    def test_of_two_the_better_comes_first(self):
        found = [candidate("a"), candidate("b", 60.0), candidate("c", 30.0)]
        for one in found[1:]:
            one.health.lend(3, NOW + 1000.0)
        assert slugs(ordered(found))[0] == "c"

    def test_it_is_made_once(self):
        found = [candidate("a"), candidate("b", 60.0)]
        found[1].health.lend(3, NOW + 1000.0)
        attempt = ordered(found)[0].health.begin(NOW, is_stream=True)
        assert attempt.probe_epoch == 3
        assert slugs(ordered(found))[0] == "a"

    def test_it_leaves_the_allowance_for_looks_alone(self):
        found, looks = [candidate("a"), candidate("b", 60.0)], Looks(tokens=2.0)
        found[1].health.lend(3, NOW + 1000.0)
        ordered(found, looks=looks, now=NOW + 500.0)
        assert looks.tokens >= 2.0


class TestLooks:
    def test_one_that_has_not_been_used_for_long_is_looked_at(self):
        found = [candidate("a"), candidate("b", 0.7)]
        first, _ = ordered(found, looks=Looks(), now=NOW + 89.0)
        assert (slugs([first]), first.note) == (["b"], "look")

    def test_not_before_it_is_due(self):
        """5 s × (its time / the best time)²."""
        found = [candidate("a"), candidate("b", 1.0)]
        assert ordered(found, looks=Looks(), now=NOW + 19.9)[0].note == ""
        assert ordered(found, looks=Looks(), now=NOW + 20.1)[0].note == "look"

    def test_in_a_fleet_each_worker_looks_less_often(self):
        found = [candidate("a"), candidate("b", 1.0)]
        assert ordered(found, looks=Looks(), now=NOW + 159.0, fleet=8)[0].note == ""
        assert ordered(found, looks=Looks(), now=NOW + 161.0, fleet=8)[0].note == "look"

    def test_however_slow_it_is_it_is_looked_at_sometimes(self):
        found = [candidate("a"), candidate("b", 500.0)]
        assert ordered(found, looks=Looks(), now=NOW + 89.0)[0].note == ""
        assert ordered(found, looks=Looks(), now=NOW + 91.0)[0].note == "look"

    def test_what_was_good_before_its_trouble_is_looked_at_soon(self):
        found = [candidate("a"), candidate("b", 30.0, usual_s=0.4)]
        assert ordered(found, looks=Looks(), now=NOW + 5.1)[0].note == "look"

    def test_not_while_one_is_under_way_there(self):
        found = [candidate("a"), candidate("b", 0.7)]
        found[1].health.in_flight = 1
        assert ordered(found, looks=Looks(), now=NOW + 500.0)[0].note == ""

    def test_the_best_needs_no_look(self):
        found, looks = [candidate("a"), candidate("b", 30.0)], Looks()
        found[1].health.looked_at = NOW + 500.0
        assert ordered(found, looks=looks, now=NOW + 500.0)[0].note == ""
        assert looks.tokens >= 1.0

    def test_what_is_not_used_does_not_pile_up(self):
        """After a night without requests, or with none but for endpoints that need no look."""
        looks = Looks()
        for n in range(2000):
            looks.earn(NOW + n * 60.0, 1)
        assert looks.tokens == 3.0

    def test_each_takes_a_token(self):
        found, looks = [candidate("a"), *(candidate(slug, 0.9) for slug in "bcd")], Looks()
        notes = [ordered(found, looks=looks, now=NOW + 500.0)[0].note for _ in range(5)]
        assert notes == ["look", "", "", "", ""]

    @pytest.mark.parametrize(("per_s", "fleet"), [(100.0, 1), (1.0, 1), (20.0, 8)])
    def test_their_part_of_the_traffic_is_bounded_and_used(self, per_s, fleet):
        """0.5 % of the requests and 0.005 a second over the fleet, and three. All are overdue all the time."""
        found = [candidate("a"), *(candidate(slug, 0.9) for slug in "bcdefghi")]
        looks, rng, requests = Looks(), random.Random(4), 20_000
        seen = 0
        for n in range(requests):
            now = NOW + 1000.0 * fleet + n / per_s
            seen += ordered(found, looks=looks, now=now, fleet=fleet, rng=rng)[0].note == "look"
        earned = 0.005 * requests + 0.005 * requests / per_s / fleet
        assert earned - 1 <= seen <= earned + 3

    def test_in_use_they_come_round_to_everyone(self):
        """Two hours of a request each second: who is twice as slow is asked every 20 s, where the tokens allow it."""
        found = [candidate("a"), *(candidate(slug, 1.0) for slug in "bcd")]
        looks, rng = Looks(), random.Random(4)
        seen = Counter()
        for n in range(7200):
            first = ordered(found, looks=looks, now=NOW + n, rng=rng)[0]
            first.health.looked_at = NOW + n
            seen[slugs([first])[0]] += 1
        assert sum(seen[slug] for slug in "bcd") == pytest.approx(72, abs=3)
        assert min(seen.values()) > 5


class TestPanic:
    def panicked(self, found, now=NOW, seed=1):
        return slugs(panic_order(found, now, random.Random(seed)))

    def test_the_least_bad_comes_first(self):
        found = [candidate("a", 50.0), candidate("b", 0.5, risk_s=20.0), candidate("c", 0.5)]
        assert self.panicked(found) == ["c", "b", "a"]

    def test_equals_take_turns(self):
        seen = Counter(self.panicked([candidate("a"), candidate("b")], seed=seed)[0] for seed in range(400))
        assert min(seen[slug] for slug in "ab") > 140

    def test_those_that_cool_down_come_last_and_the_soonest_of_them_first(self):
        found = [candidate("a", 0.1), candidate("b", 0.1), candidate("c", 60.0)]
        found[0].health.cool_until, found[1].health.cool_until = NOW + 9.0, NOW + 3.0
        assert self.panicked(found) == ["c", "b", "a"]
        assert self.panicked(found, NOW + 5.0)[:2] == ["b", "c"]

    def test_so_do_those_whose_account_cools_down(self):
        found = [candidate("a", 0.1), candidate("b", 0.1), candidate("c", 60.0)]
        account = found[0].health.account = EndpointHealth("@a", NOW)
        account.cool_until, found[0].health.cool_until, found[1].health.cool_until = NOW + 60.0, NOW + 1.0, NOW + 3.0
        assert self.panicked(found) == ["c", "b", "a"]

    def test_none(self):
        assert panic_order([], NOW, random.Random(1)) == []


class TestHerd:
    FLEET = 8

    def test_workers_that_read_the_same_do_not_all_do_the_same(self):
        """Two endpoints 1 % apart, one stale snapshot, a request at each worker: hardly ever all eight go one way."""
        rngs = [random.Random(seed) for seed in range(self.FLEET)]
        together = 0
        for _ in range(500):
            found = [candidate("a", 0.500), candidate("b", 0.505)]
            firsts = {slugs(ordered(found, rng=rng, fleet=self.FLEET))[0] for rng in rngs}
            together += len(firsts) == 1
        assert together < 25

    def test_a_burst_between_two_snapshots_does_not_run_over_the_best(self):
        """Each worker sees its own attempts only, and takes each for what the others do at the same time."""
        burst = 12
        with_echo, without = (self.at_the_best(burst, fleet) for fleet in (self.FLEET, 1))
        assert without > 0.9 * self.FLEET * burst
        assert with_echo < 0.8 * without

    def at_the_best(self, burst, fleet):
        """How many of a burst at each of eight workers begin at an endpoint that is 20 % faster."""
        count = 0
        for worker in range(self.FLEET):
            known = {"in_flight": 20.0, "in_flight_limit": 30.0, "waiting_limit": 99.0}
            found = [candidate("a", 0.5, **known), candidate("b", 0.6, **known)]
            rng = random.Random(worker)
            for _ in range(burst):
                first = ordered(found, rng=rng, fleet=fleet)[0]
                first.health.begin(NOW, is_stream=True)
                count += slugs([first]) == ["a"]
        return count
