import random
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.catalog.model import FREE, Catalog, Endpoint, Model, Provider
from fairlead.health.bearing import Bearing
from fairlead.health.board import HealthBoard
from fairlead.health.merge import Group, merge, report_probe
from fairlead.health.outcome import OK, Outcome, Verdict
from fairlead.health.record import State
from fairlead.plan.plan import MOST_WEIGHED, Planner
from fairlead.plan.score import Ask
from fairlead.plan.wish import ANYTHING, Wish

MODEL = "acme/large"
FAILURE = Outcome(Verdict.TRANSIENT, 500)
LIMITED = Outcome(Verdict.LIMIT, 429, "", 5.0)
REFUSED = Outcome(Verdict.AUTH, 401)


class World:
    """One model and its endpoints, `a`, `b`, `c`, …, each with the settings given for it; and one worker.

    Its news reach the store and are answered whenever a plan is made.
    """

    def __init__(self, *settings, seed=3):
        model = Model(MODEL, "Acme: Large")
        providers = [Provider(chr(ord("a") + n), "P", "http://x", **given) for n, given in enumerate(settings)]
        self.endpoints = tuple(Endpoint(provider, model, "m", FREE) for provider in providers)
        self.catalog = Catalog(
            MappingProxyType({MODEL: model}), MappingProxyType({MODEL: self.endpoints}), MappingProxyType({"l": MODEL})
        )
        self.now = 1000.0
        self.board = HealthBoard(rng=random.Random(seed))
        self.planner = Planner(self.board, random.Random(seed))
        self.store = {}

    def of(self, slug):
        return self.board.of(f"{slug}:{MODEL}", self.now)

    def end(self, slug, *outcomes):
        """An attempt for each, answered within half a second."""
        for outcome in outcomes:
            attempt = self.of(slug).begin(self.now - 0.5, is_stream=True)
            if outcome is OK:
                self.board.first_token(attempt, self.now)
            self.board.end(attempt, outcome, self.now)
        return self

    def eject(self, slug):
        return self.end(slug, *[FAILURE] * 5).flush()

    def load(self, slug, in_flight):
        self.of(slug).in_flight = in_flight
        return self

    def wait(self, seconds):
        self.now += seconds
        return self.flush()

    def flush(self):
        for group in self.board.groups:
            group.is_urgent = True
        for flush in self.board.flushes(self.now):
            snapshot, _ = merge(self.shared(flush.group), flush, self.now, self.board.limits)
            self.board.learn(flush, snapshot, self.now)
        for group, endpoint, epoch, result in self.board.results():
            report_probe(self.shared(group), endpoint, epoch, result, self.now, 0.0, self.board.limits)
        return self

    def shared(self, group):
        return self.store.setdefault(group, Group(group))

    def plan(self, model=MODEL):
        return self.planner.plan(self.catalog, model, lambda group: Ask(), self.now)


def slugs(candidates):
    return [one.endpoint.provider.slug for one in candidates]


def reasons(plan):
    return {endpoint.provider.slug: reason for endpoint, reason, _ in plan.skipped}


class TestModel:
    @pytest.mark.parametrize("name", ["nobody/knows", "", "Acme/Large"])
    def test_nobody_serves_it(self, name):
        assert World({}).plan(name) is None

    def test_a_model_without_endpoints(self):
        assert World().plan() is None

    @pytest.mark.parametrize("name", [MODEL, "l", f"openrouter/{MODEL}"])
    def test_the_plan_tells_the_canonical_name(self, name):
        assert World({}).plan(name).model_id == MODEL

    def test_the_request_is_asked_with_what_is_known_of_its_group(self):
        world, groups = World({}, {}), []
        plan = world.planner.plan(world.catalog, MODEL, lambda group: groups.append(group) or Ask(), world.now)
        assert groups == [plan.group] == [world.board.group(MODEL)]
        assert plan.group.asked_at == world.now


class TestFit:
    def test_all_that_are_well_are_candidates(self):
        plan = World({}, {}, {}).plan()
        assert sorted(slugs(plan.candidates)) == ["a", "b", "c"]
        assert (plan.skipped, plan.is_panic) == ([], False)

    def test_the_others_are_left_out_and_the_reason_is_kept(self):
        world = World({}, {}, {"weight": 0}, {"max_concurrency": 2}, {}, {})
        plan = world.eject("a").end("b", LIMITED).load("d", 2).end("e", REFUSED).plan()
        assert slugs(plan.candidates) == ["f"]
        assert not plan.is_panic
        assert reasons(plan) == {
            "a": "ejected for 1.0 s more (failures in a row)",
            "b": "cooling down for 5.0 s more (limit)",
            "c": "weight 0: the operator has drained it",
            "d": "at its limit of 2 requests at once",
            "e": "its account is cooling down for 60.0 s more (auth)",
        }

    def test_a_drained_one_gets_nothing(self):
        world = World({}, {"weight": 0.0})
        assert {slugs(world.plan().candidates)[0] for _ in range(50)} == {"a"}

    @given(
        st.lists(
            st.tuples(st.integers(0, 4), st.sampled_from(list(Verdict)), st.floats(min_value=0.0, max_value=2.0)),
            max_size=80,
        ),
        st.lists(st.sampled_from([0, 0.5, 1, 3]), min_size=5, max_size=5),
    )
    def test_never_an_unwell_one_while_another_is_well(self, events, weights):
        world = World(*({"weight": weight} for weight in weights))
        for which, kind, pause_s in events:
            world.wait(pause_s).end("abcde"[which], Outcome(kind)).flush()
            plan = world.plan()
            well = {e.provider.slug for e in world.endpoints if world.of(e.provider.slug).why_not(world.now) is None}
            open_ = {e.provider.slug for e in world.endpoints if e.provider.weight}
            first = well & open_ or open_
            assert set(slugs(plan.candidates)[: len(first)]) == first
            assert len(slugs(plan.candidates)) == len(set(slugs(plan.candidates)))
            assert plan.is_panic == (not well & open_)
            assert set(reasons(plan)) == set("abcde") - (well & open_)


class TestProbe:
    def ejected(self, *settings):
        """`a` is ejected, its time is over, and this worker holds the lease."""
        world = World(*settings).eject("a").wait(1.3)
        world.plan()
        return world.end("b", OK).flush()

    def test_an_ejected_one_comes_back_by_a_probe(self):
        world = self.ejected({}, {})
        plan = world.plan()
        assert slugs(plan.candidates) == ["a", "b"]
        assert plan.candidates[0].note == "probe"

    def test_while_it_is_under_way_nobody_else_goes_there(self):
        world = self.ejected({}, {})
        attempt = world.of("a").begin(world.now, is_stream=True)
        plan = world.plan()
        assert slugs(plan.candidates) == ["b"]
        assert reasons(plan) == {"a": "being probed (failures in a row)"}
        world.wait(0.5)
        world.board.first_token(attempt, world.now)
        assert sorted(slugs(world.flush().flush().plan().candidates)) == ["a", "b"]

    def test_it_fails(self):
        world = self.ejected({}, {}).end("a", FAILURE).flush().flush()
        plan = world.plan()
        assert slugs(plan.candidates) == ["b"]
        assert reasons(plan)["a"].startswith("ejected for 2.")

    def test_behind_a_probe_there_is_always_someone(self):
        """It is a caller's request: when nobody else is well, the unwell are asked as they are in a panic."""
        world = self.ejected({}, {}, {}).end("b", LIMITED).end("c", REFUSED)
        plan = world.plan()
        assert slugs(plan.candidates) == ["a", "b", "c"]
        assert not plan.is_panic


class TestAllowance:
    def limited(self, rate):
        """`a` refused for its rate limit a while ago, at so many a second."""
        world = World({}, {})
        world.end("a", OK).flush()
        record = world.of("a").record
        record.cap_rate, record.cap_at = rate, world.now - 5.0
        world.now += 100.0
        record.cap_at = world.now
        return world

    def test_an_endpoint_gets_no_more_than_its_provider_bears(self):
        """Half a second's worth at once, then so many a second."""
        world, asked = self.limited(10.0), 0
        for _ in range(200):
            if "a" in slugs(world.plan().candidates):
                world.of("a").begin(world.now, is_stream=True)
                asked += 1
            world.now += 0.01
        assert asked == pytest.approx(0.92 * 10.0 * 2.0 + 5.0, abs=2.0)

    def test_the_reason_is_told(self):
        world = self.limited(2.0)
        world.plan()
        world.of("a").begin(world.now, is_stream=True)
        assert reasons(world.plan()) == {"a": "at the rate that its provider bears"}

    def test_rather_than_nobody_it_is_asked(self):
        world = self.limited(2.0).end("b", LIMITED)
        for _ in range(3):
            plan = world.plan()
            assert slugs(plan.candidates)[0] == "a"
            assert not plan.is_panic
            world.of("a").begin(world.now, is_stream=True)


class TestPanic:
    def test_the_unwell_are_asked_those_that_cool_down_last(self):
        world = World({}, {}, {}, {}).eject("a").end("b", LIMITED).end("c", REFUSED).eject("d")
        plan = world.plan()
        assert plan.is_panic
        assert sorted(slugs(plan.candidates[:2])) == ["a", "d"]
        assert slugs(plan.candidates[2:]) == ["b", "c"]
        assert set(reasons(plan)) == {"a", "b", "c", "d"}

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
        world.planner.worker_share = worker_share
        for in_flight in range(limit + 2):
            plan = world.load("a", in_flight).plan()
            assert ("a" in slugs(plan.candidates)) == (in_flight < allowed)

    @given(st.integers(1, 10_000), st.integers(1, 64))
    def test_the_workers_together_stay_within_it(self, limit, workers):
        world = World({"max_concurrency": limit}, {})
        world.planner.worker_share = 1 / workers
        share = limit // workers
        assert "a" in slugs(world.load("a", max(share, 1) - 1).plan().candidates)
        assert "a" not in slugs(world.load("a", max(share, 1)).plan().candidates)

    def test_no_limit(self):
        assert slugs(World({}).load("a", 10**6).plan().candidates) == ["a"]


class TestMany:
    """A model has more endpoints than are weighed for a request."""

    MANY = 3 * MOST_WEIGHED

    def plan(self, world, **ask):
        return world.planner.plan(world.catalog, MODEL, lambda group: Ask(**ask), world.now)

    def ids(self, plan):
        return {candidate.endpoint.id for candidate in plan.candidates}

    def test_some_are_weighed_and_each_has_its_turn(self):
        world = World(*[{}] * self.MANY)
        seen = set()
        for _ in range(200):
            found = self.ids(self.plan(world))
            assert len(found) == MOST_WEIGHED
            seen |= found
        assert len(seen) == self.MANY

    @pytest.mark.parametrize("at", [0, 100, MANY - 1])
    def test_the_only_one_that_is_fit_is_found(self, at):
        settings = [{"weight": 0.0}] * self.MANY
        settings[at] = {}
        world = World(*settings)
        for _ in range(10):
            assert self.ids(self.plan(world)) == {world.endpoints[at].id}

    def test_nobody_is_sent_to_a_probe_while_others_are_well(self):
        """None of those that would be weighed is fit, but one to be tried again."""
        world = World(*[{}] * self.MANY)
        for number in range(MOST_WEIGHED):
            world.end(chr(ord("a") + number), *[FAILURE] * 5)
        world.flush()
        [probed, *_] = world.endpoints
        health = world.board.of(probed.id, world.now)
        health.lend(1, world.now + 10.0)
        plan = self.plan(world, session=self.MANY)  # of which the first ones are weighed
        well = {one.id for one in world.endpoints[MOST_WEIGHED:]}
        assert well <= self.ids(plan)

    def test_a_session_finds_its_home_among_the_same_ones(self):
        world = World(*[{}] * self.MANY)
        homes = {self.plan(world, session=77, prompt_tokens=50_000.0).candidates[0].endpoint.id for _ in range(20)}
        assert len(homes) == 1

    def test_the_one_that_a_conversation_stays_with_comes_first(self):
        world = World(*[{}] * self.MANY)
        for endpoint in world.endpoints[:: MOST_WEIGHED // 2]:
            plan = self.plan(world, pinned=endpoint.id)
            assert plan.candidates[0].endpoint is endpoint
            assert len(self.ids(plan)) == len(plan.candidates)

    def test_who_says_whom_it_wants_chooses_from_all(self):
        world = World(*[{}] * self.MANY)
        wish = Wish(sort="price")
        plan = world.planner.plan(world.catalog, MODEL, lambda group: Ask(), world.now, wish)
        assert len(plan.candidates) == self.MANY


class TestLooks:
    def test_each_group_has_an_allowance_of_its_own(self):
        world = World({}, {})
        for _ in range(10):
            world.plan()
        assert world.planner.looks[MODEL].tokens == pytest.approx(1.05)


class TestLife:
    def test_an_outage(self):
        """`a`, the faster one, is down for a minute: a few requests, one more at each probe, and its share after it."""
        world = World({}, {})
        asked = {"before": 0, "in it": 0, "after": 0}
        for step in range(9000):
            phase = "before" if step < 3000 else "in it" if step < 6000 else "after"
            world.now += 0.02
            slug = slugs(world.plan().candidates)[0]
            began_at = world.now - (0.3 if slug == "a" else 0.6)
            attempt = world.of(slug).begin(began_at, is_stream=True)
            if slug == "a" and phase == "in it":
                world.board.end(attempt, FAILURE, world.now)
            else:
                world.board.first_token(attempt, world.now)
                world.board.end(attempt, OK, world.now)
            asked[phase] += slug == "a"
            if step % 5 == 0:
                world.flush()
        assert asked["before"] > 2700
        assert 5 <= asked["in it"] <= 25
        assert asked["after"] > 2500
        assert world.of("a").state is State.HEALTHY


class TestSeveralModels:
    @pytest.fixture
    def world(self):
        """`first` is served by a and b, `second` by b and c."""
        models = {name: Model(name, name) for name in ("x/first", "x/second")}
        providers = {slug: Provider(slug, slug, "http://x") for slug in "abc"}
        served = {"x/first": "ab", "x/second": "bc"}
        endpoints = {
            name: tuple(Endpoint(providers[slug], models[name], "m", FREE) for slug in slugs)
            for name, slugs in served.items()
        }
        world = World({})
        world.catalog = Catalog(MappingProxyType(models), MappingProxyType(endpoints), MappingProxyType({}))
        return world

    def planned(self, world, *models, **wish):
        plan = world.planner.plan_all(
            world.catalog, models, lambda _: Ask(), world.now, Wish(**wish) if wish else ANYTHING
        )
        return plan, [one.endpoint.id for one in plan.candidates]

    def test_all_of_the_first_go_before_the_second(self, world):
        _, ids = self.planned(world, "x/second", "x/first")
        assert {*ids[:2]} == {"b:x/second", "c:x/second"}
        assert {*ids[2:]} == {"a:x/first", "b:x/first"}

    def test_a_model_that_nobody_serves_is_passed_over(self, world):
        plan, ids = self.planned(world, "x/none", "x/first")
        assert plan.model_id == "x/first"
        assert {*ids} == {"a:x/first", "b:x/first"}

    def test_none_is_served(self, world):
        assert world.planner.plan_all(world.catalog, ["x/none", "y"], lambda _: Ask(), world.now) is None

    def test_one_pool(self, world):
        world.board.of("c:x/second", world.now).estimate.first_token_s = 0.01
        _, ids = self.planned(world, "x/first", "x/second", sort="latency", is_pooled=True)
        assert ids[0] == "c:x/second"
        assert len(ids) == 4

    def test_a_variant_is_of_its_own_model(self, world):
        plan, ids = self.planned(world, "x/first:thinking", "x/second")
        assert [bool(one.adds) for one in plan.candidates] == [True, True, False, False]
        assert {*ids[:2]} == {"a:x/first", "b:x/first"}

    def test_a_model_without_a_fit_endpoint_is_passed_over(self, world):
        for slug in "ab":
            world.board.of(f"{slug}:x/first", world.now).cool_until = world.now + 60
        plan, ids = self.planned(world, "x/first", "x/second")
        assert {*ids} == {"b:x/second", "c:x/second"}
        assert not plan.is_panic
        assert {skipped.endpoint.id for skipped in plan.skipped} == {"a:x/first", "b:x/first"}

    def test_panic_only_when_no_model_has_one(self, world):
        for one in ("a:x/first", "b:x/first", "b:x/second", "c:x/second"):
            world.board.of(one, world.now).cool_until = world.now + 60
        plan, ids = self.planned(world, "x/first", "x/second")
        assert plan.is_panic
        assert len(ids) == 4

    def test_whoever_does_not_fit_is_told_with_the_preference(self, world):
        plan, ids = self.planned(world, "x/first", only=frozenset("b"))
        assert ids == ["b:x/first"]
        ((endpoint, reason, code),) = plan.skipped
        assert (endpoint.id, code) == ("a:x/first", "allowed_providers")
        assert "provider.only" in reason

    def test_preferences_hold_in_panic_too(self, world):
        for slug in "ab":
            world.board.of(f"{slug}:x/first", world.now).cool_until = world.now + 60
        plan, ids = self.planned(world, "x/first", only=frozenset("b"))
        assert (plan.is_panic, ids) == (True, ["b:x/first"])

    def test_nobody_fits(self, world):
        plan, ids = self.planned(world, "x/first", only=frozenset("z"))
        assert ids == []
        assert {code for *_, code in plan.skipped} == {"allowed_providers"}

    def test_in_a_pool_a_variant_is_of_its_own_model_too(self, world):
        plan, ids = self.planned(world, "x/first:thinking", "x/second", is_pooled=True)
        assert len(ids) == 4
        assert {one.endpoint.id: bool(one.adds) for one in plan.candidates} == {
            one: one.endswith("first") for one in ids
        }

    def test_without_fallbacks_nobody_is_sent_to_a_probe(self, world):
        world.board.of("a:x/first", world.now).lend(1, world.now + 5)
        for _ in range(20):
            _, ids = self.planned(world, "x/first", has_fallbacks=False)
            assert ids == ["b:x/first"]

    def test_a_model_named_twice_is_asked_once(self, world):
        _, ids = self.planned(world, "x/first", "x/first:nitro", "x/second")
        assert len(ids) == len(set(ids)) == 4


class TestBearing:
    def test_one_that_has_all_it_bears_is_left_out(self):
        world = World({}, {})
        world.of("a").bearing = Bearing(limit=2.0)
        plan = world.load("a", 2).plan()
        assert slugs(plan.candidates) == ["b"]
        assert reasons(plan) == {"a": "at the 2 requests at once that it bears"}
        assert plan.is_full
