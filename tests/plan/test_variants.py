from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.catalog.model import Catalog, Model
from fairlead.plan.variants import Named, added, find_named, latest

from .endpoints import endpoint

CREATED = {
    "anthropic/claude-sonnet-4.5": 20,
    "anthropic/claude-sonnet-4": 10,
    "anthropic/claude-3.7-sonnet": 5,
    "anthropic/claude-opus-4.6": 30,
    "openai/gpt-5.2": 7,
    "openai/gpt-5-mini": 9,
    "openai/gpt-5.10": 7,
    "acme/large:free": 1,
    "acme/large": 1,
}


@pytest.fixture
def catalog():
    models = {model_id: Model(model_id, model_id, created=created) for model_id, created in CREATED.items()}
    endpoints = {model_id: (endpoint("p", model=model_id),) for model_id in models}
    return Catalog(
        MappingProxyType(models), MappingProxyType(endpoints), MappingProxyType({"gpt-5-mini": "openai/gpt-5-mini"})
    )


@pytest.mark.parametrize(
    ("name", "model_id", "variants"),
    [
        ("openai/gpt-5.2", "openai/gpt-5.2", ()),
        ("openai/gpt-5.2:nitro", "openai/gpt-5.2", ("nitro",)),
        ("openai/gpt-5.2:free:online", "openai/gpt-5.2", ("free", "online")),
        ("openrouter/openai/gpt-5.2:floor", "openai/gpt-5.2", ("floor",)),
        ("gpt-5-mini:exacto", "openai/gpt-5-mini", ("exacto",)),
        ("acme/large:free", "acme/large:free", ()),
        ("acme/large:free:nitro", "acme/large:free", ("nitro",)),
        ("~anthropic/claude-sonnet-latest:thinking", "anthropic/claude-sonnet-4.5", ("thinking",)),
    ],
)
def test_names(catalog, name, model_id, variants):
    assert find_named(catalog, name) == Named(model_id, variants)


@pytest.mark.parametrize("name", ["openai/gpt-5.2:turbo", "nobody/knows", "nobody/knows:nitro", ":nitro", "~x", ""])
def test_no_names(catalog, name):
    assert find_named(catalog, name) is None


@pytest.mark.parametrize(
    ("alias", "newest"),
    [
        ("~anthropic/claude-sonnet-latest", "anthropic/claude-sonnet-4.5"),
        ("~anthropic/claude-opus-latest", "anthropic/claude-opus-4.6"),
        ("~openai/gpt-latest", "openai/gpt-5.10"),
        ("~openai/gpt-mini-latest", "openai/gpt-5-mini"),
        ("~openai/gpt-nano-latest", ""),
        ("~anthropic/claude-latest", ""),
        ("openai/gpt-latest", ""),
    ],
)
def test_the_newest_of_a_family(catalog, alias, newest):
    assert latest(catalog, alias) == newest


def test_what_variants_add():
    assert added(["nitro", "thinking"]) == {"reasoning_effort": b'"medium"'}
    assert added(["online"]) == {"web_search_options": b"{}"}


WORDS = [
    "anthropic/",
    "claude-sonnet-4.5",
    "~",
    "-latest",
    ":free",
    ":nitro",
    ":online",
    ":",
    "/",
    "openrouter/",
    "@",
    "acme/large",
    "-",
    "",
]


@given(st.lists(st.sampled_from(WORDS), max_size=8).map("".join) | st.text(max_size=20))
def test_whatever_a_model_is_called_it_is_served_or_not(name):
    models = {model_id: Model(model_id, model_id, created=created) for model_id, created in CREATED.items()}
    endpoints = {model_id: (endpoint("p", model=model_id),) for model_id in models}
    catalog = Catalog(MappingProxyType(models), MappingProxyType(endpoints), MappingProxyType({}))
    found = find_named(catalog, name)
    if found is not None:
        assert found.model_id in CREATED
        assert all(f":{variant}" in name for variant in found.variants)
