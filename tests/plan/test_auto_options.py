import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.plan.auto_options import MOST_WILD, NO_OPTIONS, AutoOptions, auto_options, is_wild


def of(*plugins):
    return auto_options(json.dumps(plugins).encode())


def said(**members):
    return of({"id": "web"}, {"id": "auto-router", **members})


def test_without_the_plugin_there_are_none():
    for plugins in (None, b"", b"null", b"[]", b'[{"id":"web"}]', b'[{"id":"pareto-router","max_price":1}]'):
        assert auto_options(plugins) == NO_OPTIONS
    assert said() == NO_OPTIONS


def test_all_that_can_be_said():
    assert said(
        allowed_models=["OpenAI/*"], excluded_models=["*-pro"], cost_tier="high", pin_model=True
    ) == AutoOptions(("openai/*",), ("*-pro",), "high")
    assert of({"id": "auto-beta-router", "cost_tier": "low"}).tier == "low"


@pytest.mark.parametrize(("theirs", "ours"), [(10, 0.0), (0, 10.0), (7.5, 2.5), (5, 5.0)])
def test_their_scale_is_turned_round(theirs, ours):
    assert said(cost_quality_tradeoff=theirs).cost_quality == ours


def test_the_tier_has_replaced_the_scale():
    assert said(cost_quality_tradeoff=10, cost_tier="max") == AutoOptions(tier="max")


def test_a_plugin_can_be_switched_off():
    assert said(enabled=False, cost_tier="max") == NO_OPTIONS


@pytest.mark.parametrize(
    "members",
    [
        {"cost_tier": "best"},
        {"cost_quality_tradeoff": 11},
        {"cost_quality_tradeoff": "5"},
        {"allowed_models": "openai/*"},
        {"allowed_models": ["x" * 201]},
        {"allowed_models": ["x"] * 1_025},
        {"allowed_models": ["*x"] * (MOST_WILD + 1)},
        {"enabled": "no"},
    ],
    ids=str,
)
def test_what_is_wrong_is_told(members):
    with pytest.raises(ValueError, match=r"."):
        said(**members)


@given(st.binary(max_size=60))
def test_nothing_but_value_errors(junk):
    for text in (junk, b'[{"id":"auto-router",%b}]' % junk, b'[{"id":%b},"-router"]' % junk):
        with contextlib.suppress(ValueError):
            auto_options(text)


def test_wildcards_at_the_end_are_cheap():
    assert not is_wild("openai/*")
    assert not is_wild("openai/gpt-5")
    assert is_wild("*/gpt-5")
    assert is_wild("openai/gpt-?")
    assert is_wild("openai/**")
