from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.plan.auto import MOST_ASKED, MOST_MODELS, SHORTLIST, AutoName, AutoPolicy, AutoRouter, auto_name, is_auto
from fairlead.plan.auto_options import TIERS, AutoOptions
from fairlead.plan.quality import Supposed
from fairlead.plan.wish import ANYTHING, Wish
from plan.rosters import ANYONE, GREETING, LADDER, PROOF, catalog_of, catalogs, model, requests

TEN = [f"acme/m{n}" for n in range(10)]
"""By rising price."""


def choose(catalog=LADDER, features=GREETING, wish=ANYTHING, key=ANYONE, options=(), outlook=None, session=0, **policy):
    router = AutoRouter(catalog, AutoPolicy(**policy))
    more = {"outlook": outlook} if outlook else {}
    return router.choose(features, wish, key, AutoOptions(**dict(options)), session=session, **more)


def first(*args, **named):
    return choose(*args, **named)[0]


def rank(model_id, catalog=LADDER):
    return list(catalog.endpoints).index(model_id)


# Names


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("auto", AutoName("openrouter/auto")),
        ("openrouter/auto", AutoName("openrouter/auto")),
        ("gaterouter/auto", AutoName("openrouter/auto")),
        ("openrouter/openrouter/auto", AutoName("openrouter/auto")),
        ("openrouter/auto-beta", AutoName("openrouter/auto")),
        ("auto:nitro:online", AutoName("openrouter/auto", ("nitro", "online"))),
        ("auto:free", AutoName("openrouter/auto", ("free",))),
        ("openrouter/free", AutoName("openrouter/free", ("free",))),
        ("openrouter/free:nitro", AutoName("openrouter/free", ("free", "nitro"))),
        ("acme/auto", None),
        ("own-auto", None),
        ("auto:large", None),
        ("autopilot", None),
        ("acme/m1", None),
        ("acme/free", None),
        ("", None),
    ],
)
def test_what_means_auto(name, meant):
    catalog = catalog_of(model("acme/auto"), model("acme/m1"), model("o/auto"), aliases=[("own/auto", "o/auto")])
    assert auto_name(catalog, name) == meant
    assert is_auto(catalog, name) == (meant is not None)


def test_another_spelling_of_a_model_is_no_auto():
    assert not is_auto(catalog_of(model("o/auto"), aliases=[("own/auto", "o/auto")]), "own/auto")


def test_variants_are_put_behind_what_is_chosen():
    assert AutoName("openrouter/auto", ("free", "nitro")).suffix == ":free:nitro"
    assert AutoName("openrouter/auto").suffix == ""


# The switch


@pytest.mark.parametrize(
    ("instance", "key", "is_on"), [(True, None, True), (False, None, False), (False, True, True), (True, False, False)]
)
def test_the_key_goes_before_the_instance(instance, key, is_on):
    router = AutoRouter(LADDER, AutoPolicy(is_on=instance))
    assert router.is_on(replace(ANYONE, is_auto_routing=key)) == is_on


# Capability


@given(catalogs, requests, st.floats(0, 10), st.sampled_from(["", *TIERS]), st.integers(0, 2**32))
@settings(max_examples=200)
def test_whoever_is_chosen_can_do_it(catalog, features, knob, tier, session):
    chosen = choose(catalog, features, session=session, cost_quality=knob, options={"tier": tier})
    assert len(chosen) == len(set(chosen)) <= MOST_MODELS
    for model_id in chosen:
        able = catalog.models[model_id]
        assert "text" in able.output_modalities
        assert features.inputs <= set(able.input_modalities)
        assert features.outputs <= set(able.output_modalities)
        assert not able.supported_parameters or features.needs <= able.supported_parameters
        assert able.context_length is None or features.prompt_tokens <= able.context_length


@given(catalogs, requests)
@settings(max_examples=100)
def test_nobody_is_chosen_only_if_nobody_can(catalog, features):
    if choose(catalog, features):
        return
    for able in catalog.models.values():
        is_maker = set(able.output_modalities) - {"text"}
        assert (
            "text" not in able.output_modalities
            or not features.inputs <= set(able.input_modalities)
            or bool(is_maker) != bool(features.outputs)
            or not features.outputs <= set(able.output_modalities)
            or (able.supported_parameters and not features.needs <= able.supported_parameters)
            or (able.context_length or 10**9) < 1.3 * features.prompt_tokens + features.output_tokens
        )


def test_what_the_wish_needs_counts_too():
    catalog = catalog_of(model("a/plain", 0.1, supported_parameters=frozenset({"tools"})), model("a/seeded", 9.0))
    assert choose(catalog, wish=Wish(needs=frozenset({"structured_outputs"}))) == ["a/seeded"]


def test_of_whom_nothing_is_known_comes_after_those_who_can():
    unknown, able = model("a/unknown", 0.01, supported_parameters=frozenset()), model("a/able", 5.0)
    needs = replace(GREETING, needs=frozenset({"tools"}))
    assert choose(catalog_of(unknown, able), needs) == ["a/able"]
    assert choose(catalog_of(unknown), needs) == ["a/unknown"]
    assert first(catalog_of(unknown, able)) == "a/unknown"


# Cost and quality


def test_a_greeting_goes_to_a_cheaper_model_than_a_proof():
    assert rank(first(features=GREETING)) < rank(first(features=PROOF))


def test_the_ends_of_the_scale():
    for features in (GREETING, PROOF):
        assert choose(features=features, cost_quality=0.0) == TEN[:3]
    assert first(features=PROOF, cost_quality=10.0) == TEN[-1]


@given(requests, st.floats(0, 10), st.floats(0, 10))
@settings(max_examples=50)
def test_more_for_quality_is_never_cheaper(features, one, other):
    features = replace(features, inputs=frozenset(), outputs=frozenset(), prompt_tokens=100, output_tokens=0)
    less, more = sorted((one, other))
    assert rank(first(features=features, cost_quality=less)) <= rank(first(features=features, cost_quality=more))


def test_a_request_may_differ_from_the_setting():
    assert first(features=PROOF, options={"cost_quality": 0.0}) == TEN[0]


class Demands:
    """A quality model that has its mind made up."""

    def __init__(self, demand):
        self.demand = lambda features: demand


@pytest.mark.parametrize("demand", [float("nan"), float("inf"), -float("inf"), 1e300])
def test_a_quality_model_may_say_anything(demand):
    assert AutoRouter(LADDER, quality=Demands(demand)).choose(GREETING, ANYTHING, ANYONE)


def test_the_quality_model_decides():
    easy, hard = (AutoRouter(LADDER, quality=Demands(d)).choose(GREETING, ANYTHING, ANYONE)[0] for d in (-3.0, 2.0))
    assert rank(easy) < rank(hard)


# Tiers


@pytest.mark.parametrize(("tier", "band"), [("low", TEN[:2]), ("medium", TEN[2:4]), ("max", TEN[8:])])
def test_a_tier_is_a_fifth_of_them_by_price(tier, band):
    for knob in (0.0, 5.0, 10.0):
        assert sorted(choose(options={"tier": tier}, cost_quality=knob)) == band


@pytest.mark.parametrize("tier", TIERS)
def test_a_tier_is_never_empty(tier):
    assert choose(catalog_of(model("a/only")), options={"tier": tier}) == ["a/only"]


def test_a_tier_that_the_wish_leaves_empty_is_left():
    assert first(wish=Wish(max_prompt=60_000), options={"tier": "max"}) == TEN[0]


def test_keywords_lift_to_their_tier():
    triggers = (("translate", "low"), ("证明", "max"), ("prove", "high"))
    assert first(features=replace(PROOF, hits=("translate",)), triggers=triggers) in TEN[:2]
    assert first(features=replace(GREETING, hits=("证明",)), triggers=triggers) in TEN[8:]
    assert first(features=replace(GREETING, hits=("prove", "证明", "translate")), triggers=triggers) in TEN[8:]


def test_the_request_goes_before_the_keywords():
    hit = replace(GREETING, hits=("prove",))
    assert first(features=hit, triggers=(("prove", "max"),), options={"tier": "low"}) in TEN[:2]


def test_the_keywords_are_those_to_be_looked_for():
    assert AutoRouter(LADDER, AutoPolicy(triggers=(("证明", "max"),))).keywords.words == ("证明",)


# Latency and availability


def test_of_equals_the_faster_is_taken():
    seconds = {"a/slow": 9.0, "b/fast": 1.0}
    catalog = catalog_of(model("a/slow"), model("b/fast"))
    assert choose(catalog, outlook=lambda model_id: (seconds[model_id], 1.0)) == ["b/fast", "a/slow"]


def test_who_cannot_answer_is_not_asked_while_another_can():
    assert first(outlook=lambda model_id: (1.0, 0.0 if model_id in TEN[:9] else 0.9), cost_quality=0.0) == TEN[9]


def test_where_all_are_out_the_best_of_them_are_asked():
    assert choose(outlook=lambda model_id: (0.0, 0.0), cost_quality=0.0) == TEN[:3]


def test_who_often_fails_loses_to_the_next_best():
    assert first(outlook=lambda model_id: (1.0, 0.4 if model_id == TEN[0] else 1.0), cost_quality=0.0) == TEN[1]


@pytest.mark.parametrize(("availability", "most"), [(1.0, SHORTLIST), (0.0, MOST_ASKED)])
def test_health_is_asked_of_few(availability, most):
    asked = []

    def outlook(model_id):
        asked.append(model_id)
        return 1.0, availability

    choose(catalog_of(*(model(f"a/m{n:03}", 1.0 + n) for n in range(300))), outlook=outlook)
    assert len(asked) == most


# Conversations

NEAR = catalog_of(
    *(model(f"{author}/near", 1.0 + 0.01 * n) for n, author in enumerate("abcdef")), model("g/dear", 40.0)
)


def test_a_conversation_keeps_its_model():
    router = AutoRouter(NEAR)
    for session in range(1, 50):
        chosen = {router.choose(replace(GREETING, turns=n), ANYTHING, ANYONE, session=session)[0] for n in (1, 2, 3)}
        assert len(chosen) == 1


def test_conversations_are_spread_over_those_next_to_the_best():
    counts = dict.fromkeys(NEAR.endpoints, 0)
    router = AutoRouter(NEAR)
    for session in range(1, 601):
        counts[router.choose(GREETING, ANYTHING, ANYONE, session=session * 2654435761 % 2**32)[0]] += 1
    assert counts.pop("g/dear") == 0
    assert all(50 < count < 160 for count in counts.values()), counts


def test_when_a_model_goes_only_its_own_conversations_move():
    router = AutoRouter(NEAR)

    def homes(gone):
        def outlook(model_id):
            return 1.0, 0.0 if model_id == gone else 1.0

        return [router.choose(GREETING, ANYTHING, ANYONE, outlook=outlook, session=n)[0] for n in range(1, 200)]

    before = homes(None)
    after = homes("b/near")
    assert {one for one, other in zip(before, after, strict=True) if one != other} == {"b/near"}


@given(catalogs, requests, st.integers(1, 2**32))
@settings(max_examples=100)
def test_a_conversation_finds_the_same_model_at_any_worker(catalog, features, session):
    assert choose(catalog, features, session=session) == choose(catalog, features, session=session)


# Fallbacks


def test_the_last_fallback_is_of_another_author():
    cheap = [model(f"acme/m{n}", 1.0 + n / 100) for n in range(5)]
    assert choose(catalog_of(*cheap, model("other/x", 9.0)), cost_quality=0.0) == ["acme/m0", "acme/m1", "other/x"]
    assert choose(catalog_of(*cheap), cost_quality=0.0) == ["acme/m0", "acme/m1", "acme/m2"]


# Limits


def test_what_the_key_and_the_request_allow():
    key = replace(ANYONE, allowed_models=("acme/m[0-6]",))
    assert choose(key=key, options={"excluded": ("acme/m0",)}, cost_quality=0.0) == TEN[1:4]
    assert choose(key=key, options={"allowed": ("acme/m9",)}) == []
    assert choose(key=replace(ANYONE, allowed_providers=("nobody",))) == []


def test_what_the_operator_allows():
    assert choose(models=("acme/m3", "acme/m4")) == ["acme/m3", "acme/m4"] or choose(models=("acme/m3", "acme/m4")) == [
        "acme/m4",
        "acme/m3",
    ]


def test_the_wish_filters_endpoints():
    assert choose(wish=Wish(is_zdr=True)) == []
    assert choose(catalog_of(model("a/x"), is_zdr=True), wish=Wish(is_zdr=True)) == ["a/x"]
    assert choose(wish=Wish(is_free=True)) == []
    free = catalog_of(model("a/free", 0.0), model("a/paid", 0.1))
    assert choose(free, wish=Wish(is_free=True)) == ["a/free"]


def test_provider_limits_of_key_and_request_hold_of_one_endpoint():
    catalog = catalog_of(model("a/x"), providers=("one", "two"))
    key = replace(ANYONE, allowed_providers=("one",))
    assert choose(catalog, key=key, wish=Wish(only=frozenset({"two"}))) == []
    assert choose(catalog, key=key, wish=Wish(only=frozenset({"one"}))) == ["a/x"]


def test_an_empty_catalogue_has_nobody():
    assert choose(catalog_of()) == []


def test_candidates_are_told_with_what_they_were_weighed_by():
    weighed = AutoRouter(LADDER).weigh(PROOF, ANYTHING, ANYONE)
    assert [one.model_id for one in weighed] != []
    assert weighed == sorted(weighed)
    assert all(0.0 < one.chance < 1.0 and one.seconds == one.availability == 1.0 for one in weighed)


def test_many_kinds_of_request_are_not_all_remembered():
    router = AutoRouter(LADDER)
    for n in range(600):
        key = replace(ANYONE, allowed_models=(f"acme/m{n}", "acme/m1"))
        assert router.choose(GREETING, ANYTHING, key, AutoOptions(cost_quality=n / 60))
    assert len(router._orders) <= 256
    assert len(router._roster._allowed) <= 256


def test_the_supposed_quality_is_the_default():
    assert AutoRouter(LADDER).choose(PROOF, ANYTHING, ANYONE) == AutoRouter(LADDER, quality=Supposed()).choose(
        PROOF, ANYTHING, ANYONE
    )
