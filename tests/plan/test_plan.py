import random
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.catalog.model import FREE, Catalog, Endpoint, Model, Provider
from fairlead.health.board import FAILURES_TO_EJECT, HealthBoard
from fairlead.health.outcome import OK, Outcome, Verdict
from fairlead.plan.plan import make_plan

MODEL = "acme/large"
NOW = 1000.0
FAILURE = Outcome(Verdict.TRANSIENT, 500)


class World:
    """One model and its endpoints, `a`, `b`, `c`, …, each with the settings given for it."""

    def __init__(self, *settings):
        model = Model(MODEL, "Acme: Large")
        providers = [Provider(chr(ord("a") + n), "P", "http://x", **given) for n, given in enumerate(settings)]
        self.endpoints = tuple(Endpoint(provider, model, "m", FREE) for provider in providers)
        self.catalog = Catalog(
            MappingProxyType({MODEL: model}), MappingProxyType({MODEL: self.endpoints}), MappingProxyType({"l": MODEL})
        )
        self.board = HealthBoard()
        self.rng = random.Random(3)

    def see(self, slug, *outcomes, now=NOW):
        for outcome in outcomes:
            self.board.observe(f"{slug}:{MODEL}", outcome, now)
        return self

    def eject(self, slug, now=NOW):
        return self.see(slug, *[FAILURE] * FAILURES_TO_EJECT, now=now)

    def load(self, slug, in_flight):
        self.board.of(f"{slug}:{MODEL}").in_flight = in_flight
        return self

    def plan(self, model=MODEL, *, now=NOW, worker_share=1.0):
        return make_plan(self.catalog, self.board.of, model, worker_share=worker_share, now=now, rng=self.rng)


def slugs(endpoints):
    return [endpoint.provider.slug for endpoint in endpoints]


def reasons(plan):
    return {endpoint.provider.slug: reason for endpoint, reason in plan.skipped}


class TestModel:
    @pytest.mark.parametrize("name", ["nobody/knows", "", "Acme/Large"])
    def test_nobody_serves_it(self, name):
        assert World({}).plan(name) is None

    def test_a_model_without_endpoints(self):
        assert World().plan() is None

    @pytest.mark.parametrize("name", [MODEL, "l"])
    def test_the_plan_tells_the_canonical_name(self, name):
        assert World({}).plan(name).model_id == MODEL


class TestFit:
    def test_all_that_are_well_are_candidates(self):
        plan = World({}, {}, {}).plan()
        assert sorted(slugs(plan.candidates)) == ["a", "b", "c"]
        assert (plan.skipped, plan.is_panic) == ([], False)

    def test_the_others_are_left_out_and_the_reason_is_kept(self):
        world = World({}, {}, {"weight": 0}, {"max_concurrency": 2}, {})
        plan = world.eject("a").see("b", Outcome(Verdict.LIMIT, 429, "", 5.0)).load("d", 2).plan()
        assert slugs(plan.candidates) == ["e"]
        assert not plan.is_panic
        assert reasons(plan) == {
            "a": "ejected for 1.0 s more",
            "b": "resting for 5.0 s more (limit)",
            "c": "weight 0: the operator has drained it",
            "d": "at its limit of 2 requests at once",
        }

    def test_an_ejected_one_comes_back_when_its_time_is_over(self):
        world = World({}, {}).eject("a")
        assert slugs(world.plan(now=NOW + 0.99).candidates) == ["b"]
        assert sorted(slugs(world.plan(now=NOW + 1.0).candidates)) == ["a", "b"]

    @given(
        st.lists(
            st.tuples(st.integers(0, 4), st.sampled_from(list(Verdict)), st.floats(min_value=0.0, max_value=2.0)),
            max_size=80,
        ),
        st.lists(st.sampled_from([0, 0.5, 1, 3]), min_size=5, max_size=5),
    )
    def test_never_an_unwell_one_while_another_is_well(self, events, weights):
        world, now = World(*({"weight": weight} for weight in weights)), NOW
        for which, kind, pause_s in events:
            now += pause_s
            world.see("abcde"[which], Outcome(kind), now=now)
            plan = world.plan(now=now)
            well = {e.provider.slug for e in world.endpoints if world.board.of(e.id).why_not(now) is None}
            open_ = {e.provider.slug for e in world.endpoints if e.provider.weight}
            assert sorted(slugs(plan.candidates)) == sorted(well & open_ or open_)
            assert plan.is_panic == (not well & open_)
            assert set(reasons(plan)) == set("abcde") - (well & open_)


class TestPanic:
    def test_the_soonest_to_recover_is_asked_first(self):
        world = World({}, {}, {}).eject("a", now=NOW - 0.1)
        world.see("b", Outcome(Verdict.LIMIT, 429, "", 0.5)).see("c", Outcome(Verdict.AUTH, 401))
        plan = world.plan()
        assert plan.is_panic
        assert slugs(plan.candidates) == ["b", "a", "c"]
        assert set(reasons(plan)) == {"a", "b", "c"}

    def test_equals_are_asked_in_the_order_of_their_declaration(self):
        assert slugs(World({}, {}, {}).eject("c").eject("a").eject("b").plan().candidates) == ["a", "b", "c"]

    def test_a_drained_one_is_not_asked_even_then(self):
        assert slugs(World({}, {"weight": 0}).eject("a").plan().candidates) == ["a"]

    def test_a_full_one_is_not_asked_even_then(self):
        """The limit is the operator's word about what the endpoint can bear; it holds for the last one too."""
        plan = World({"max_concurrency": 1}, {}).load("a", 1).eject("b").plan()
        assert slugs(plan.candidates) == ["b"]

    @pytest.mark.parametrize("settings", [{"weight": 0}, {"max_concurrency": 1}])
    def test_it_may_be_that_nobody_can_be_asked(self, settings):
        plan = World(settings).load("a", 1).plan()
        assert (plan.candidates, list(reasons(plan)), plan.is_panic) == ([], ["a"], True)


class TestConcurrency:
    @pytest.mark.parametrize(
        ("limit", "worker_share", "allowed"),
        [
            *((10, 1, 10), (1, 1, 1), (8, 1 / 4, 2), (6, 1 / 4, 1), (3, 1 / 2, 1), (2, 1 / 8, 1), (49, 1 / 49, 1)),
            *((30, 1 / 3, 10), (98, 1 / 49, 2), (147, 1 / 49, 3)),  # floats that come out a little less than whole
        ],
    )
    def test_a_worker_takes_its_share_and_at_least_one(self, limit, worker_share, allowed):
        world = World({"max_concurrency": limit}, {})
        for in_flight in range(limit + 2):
            plan = world.load("a", in_flight).plan(worker_share=worker_share)
            assert ("a" in slugs(plan.candidates)) == (in_flight < allowed)

    @given(st.integers(1, 10_000), st.integers(1, 64))
    def test_the_workers_together_stay_within_it(self, limit, workers):
        world = World({"max_concurrency": limit}, {})
        share = limit // workers
        assert "a" in slugs(world.load("a", max(share, 1) - 1).plan(worker_share=1 / workers).candidates)
        assert "a" not in slugs(world.load("a", max(share, 1)).plan(worker_share=1 / workers).candidates)

    def test_no_limit(self):
        assert slugs(World({}).load("a", 10**6).plan().candidates) == ["a"]


class TestSimulation:
    def test_an_outage(self):
        """`a` is down for a minute. It gets five requests, then one at each return, and its share again after it."""
        world = World({"weight": 3}, {"weight": 1})
        asked_in_outage = asked_after = 0
        for step in range(6000):
            now = NOW + step * 0.02
            slug = slugs(world.plan(now=now).candidates)[0]
            is_down = slug == "a" and step < 3000
            world.see(slug, FAILURE if is_down else OK, now=now)
            asked_in_outage += is_down
            asked_after += slug == "a" and step >= 4000
        assert FAILURES_TO_EJECT <= asked_in_outage <= FAILURES_TO_EJECT + 6
        assert 1350 <= asked_after <= 1650
