from dataclasses import replace

import pytest
from hypothesis import given

from fairlead.catalog.load import builtin
from fairlead.catalog.model import FREE
from fairlead.plan.quality import Supposed, abilities, blended, chance
from fairlead.wire.features import Features
from plan.rosters import GREETING, PROOF, catalogs, model, requests, usd

SUPPOSED = Supposed()
YEAR_S = 31_557_600


def test_half_of_the_answers_are_good_where_ability_is_what_is_demanded():
    assert chance(1.0, 1.0) == 0.5
    assert chance(2.0, 1.0) > 0.8 > 0.2 > chance(0.0, 1.0)


@pytest.mark.parametrize(
    "more",
    [
        {"user_tokens": 5_000},
        {"has_code": True},
        {"reasoning_words": 1},
        {"reasoning_words": 4},
        {"needs": frozenset({"tools"})},
        {"needs": frozenset({"structured_outputs"})},
        {"inputs": frozenset({"image"})},
        {"script": "han"},
        {"prompt_tokens": 50_000},
        {"turns": 9},
        {"effort": "high"},
    ],
    ids=str,
)
def test_what_makes_a_request_demanding(more):
    assert SUPPOSED.demand(replace(GREETING, **more)) > SUPPOSED.demand(GREETING)


def test_a_greeting_demands_little_and_a_proof_much():
    assert SUPPOSED.demand(GREETING) < -2.0
    assert SUPPOSED.demand(PROOF) > 1.0
    assert SUPPOSED.demand(replace(PROOF, effort="none")) < SUPPOSED.demand(PROOF)


@given(requests)
def test_no_request_demands_more_than_the_scale_has_room_for(features):
    assert -4.0 < SUPPOSED.demand(features) < 8.0


@given(catalogs)
def test_every_model_has_an_ability(catalog):
    found = abilities(catalog.models.values())
    assert found.keys() == catalog.models.keys()
    assert all(-3.0 <= ability <= 3.0 for ability in found.values())


def test_what_costs_more_is_supposed_to_be_better():
    found = abilities([model("a/cheap", 0.1), model("a/dear", 5.0)])
    assert found["a/cheap"] < found["a/dear"]


def test_what_is_old_was_dear_for_what_it_can():
    found = abilities([model("a/old", 5.0, created=YEAR_S), model("a/new", 1.0, created=4 * YEAR_S)])
    assert found["a/old"] < found["a/new"]


def test_without_a_price_the_size_in_the_name_tells():
    names = ["a/llama-8b", "a/qwen-32b-fp8", "a/llama-70b-instruct", "a/qwen3.8-2.4t-a95b"]
    found = abilities([model(name, None) for name in names])
    assert sorted(found, key=found.__getitem__) == names
    assert abilities([model("a/x", None), model("b/8bit", 0.0)]) == {"a/x": 0.0, "b/8bit": 0.0}


def test_a_small_context_counts_against_a_model():
    found = abilities([model("a/small", context_length=8_000), model("a/large", context_length=1_000_000)])
    assert found["a/small"] < found["a/large"]


def test_the_built_in_models_stand_in_an_order_that_makes_sense():
    found = abilities(builtin().models.values())
    order = [
        "meta-llama/llama-3.2-1b-instruct", "meta-llama/llama-3.1-8b-instruct", "openai/gpt-4o-mini", "openai/gpt-4o",
        "openai/gpt-5", "anthropic/claude-opus-4.6", "openai/gpt-5.5-pro",
    ]  # fmt: skip
    assert sorted(order, key=found.__getitem__) == order
    assert found["openai/gpt-4"] < found["openai/gpt-5"]  # which costs a tenth of it


def test_a_usual_request_has_three_prompt_tokens_for_one_of_the_completion():
    assert blended(usd(1.0, 5.0)) == 2e6
    assert blended(FREE) == blended(None) == 0.0


def test_features_have_defaults_that_demand_little():
    assert SUPPOSED.demand(Features()) == -2.5
