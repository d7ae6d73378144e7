import dataclasses
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.catalog.model import Price, Tier
from fairlead.catalog.overrides import ModelChange, ServedAt, parse_overrides
from fairlead.errors import ConfigError

TOML = """
[models."openai/gpt-5"]
name = "House GPT"
context_length = 200_000
max_completion_tokens = 10_000
input_modalities = ["image", "text"]
supported_parameters = ["temperature", "tools"]
price = { prompt = 1.1, completion = "9", cache_read = 0.1, tiers = [
    { above_tokens = 1000, prompt = 2, completion = 18 },
] }
created = 1754524800

[models."openai/gpt-5".endpoints]
azure = "my-deployment"
acme = { upstream_id = "gpt5", price = { prompt = 1, completion = 8 } }

[models."acme/house"]
"""
CHANGE = ModelChange(
    facts={
        "name": "House GPT",
        "context_length": 200_000,
        "max_completion_tokens": 10_000,
        "input_modalities": ("text", "image"),
        "supported_parameters": frozenset({"temperature", "tools"}),
        "price": Price(1_100_000, 9_000_000, cache_read=100_000, tiers=(Tier(1000, Price(2_000_000, 18_000_000)),)),
        "created": 1754524800,
    },
    endpoints={"azure": ServedAt("my-deployment"), "acme": ServedAt("gpt5", Price(1_000_000, 8_000_000))},
)


def test_a_toml_file():
    assert parse_overrides(TOML, "toml").models == {"openai/gpt-5": CHANGE, "acme/house": ModelChange()}


def test_a_json_file_says_the_same():
    price = {
        "prompt": 1.1,
        "completion": "9",
        "cache_read": 0.1,
        "tiers": [{"above_tokens": 1000, "prompt": 2, "completion": 18}],
    }
    tree = {
        "models": {
            "openai/gpt-5": {
                "name": "House GPT",
                "context_length": 200_000,
                "max_completion_tokens": 10_000,
                "input_modalities": ["image", "text"],
                "supported_parameters": ["temperature", "tools"],
                "price": price,
                "created": 1754524800,
                "endpoints": {
                    "azure": "my-deployment",
                    "acme": {"upstream_id": "gpt5", "price": {"prompt": 1, "completion": 8}},
                },
            },
        }
    }
    assert parse_overrides(json.dumps(tree), "json").models == {"openai/gpt-5": CHANGE}


def test_every_kind_of_token_may_have_its_price():
    every = [member.name for member in dataclasses.fields(Price) if member.name != "tiers"]
    told = {name: number for number, name in enumerate(every, start=1)}
    tier = {"above_tokens": 9, **told}
    tree = {"models": {"a/b": {"price": {**told, "tiers": [tier]}}}}
    micros = {name: number * 1_000_000 for name, number in told.items()}
    price = parse_overrides(json.dumps(tree), "json").models["a/b"].facts["price"]
    assert price == Price(**micros, tiers=(Tier(9, Price(**micros)),))


@pytest.mark.parametrize(("text", "format"), [("", "toml"), ("[models]", "toml"), ("{}", "json")])
def test_a_file_may_say_nothing(text, format):
    assert parse_overrides(text, format).models == {}


GPT = '[models."openai/gpt-5"]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models = [", "FAIRLEAD_CATALOG is not valid TOML: "),
        ("model = 1", "the file has no member 'model' (did you mean 'models'?); known are models"),
        ("models = 3", "models is 3; write a table"),
        ('[models."gpt-5"]', "models.\"gpt-5\" is 'gpt-5'; write the canonical id, author/name"),
        ('[models."OpenAI/gpt-5"]', "write the canonical id, author/name in lower case"),
        (GPT + "contextlength = 1", "has no member 'contextlength' (did you mean 'context_length'?)"),
        (GPT + "zzz = 1", "has no member 'zzz'; known are name, description, context_length"),
        (GPT + "context_length = -1", '"openai/gpt-5".context_length is -1; write a whole number of tokens above 0'),
        (GPT + "context_length = 1.5", "context_length is 1.5; write a whole number"),
        (GPT + "context_length = true", "context_length is True; write a whole number"),
        (GPT + "created = 2026-01-01", "write the release as Unix seconds"),
        (GPT + 'name = ""', "name is ''; write some text"),
        (GPT + 'input_modalities = "text"', "input_modalities is 'text'; write a list of words, such as [\"text\"]"),
        (GPT + 'input_modalities = ["txt"]', "choose from text, image, file, audio, video (did you mean 'text'?)"),
        (GPT + "supported_parameters = [1]", "supported_parameters is [1]; write a list of words"),
        (GPT + "price = 3", "price is 3; write a table"),
        (GPT + "price = { prompt = 1 }", "price has no completion; a price has at least prompt and completion"),
        (GPT + "price = { prompt = 1, complete = 2 }", "no member 'complete' (did you mean 'completion'?)"),
        (GPT + "price = { prompt = -1, completion = 2 }", "price.prompt: -1 is negative"),
        (
            GPT + 'price = { prompt = "$1", completion = 2 }',
            "price.prompt: '$1' is not a number; write USD per million",
        ),
        (GPT + "price = { prompt = [], completion = 2 }", "price.prompt is []; write USD per million tokens"),
        (GPT + "price = { prompt = 1e7, completion = 2 }", "check the unit"),
        (GPT + "price = { prompt = 1, completion = 2, tiers = 3 }", "price.tiers is 3; write a list"),
        (GPT + "price = { prompt = 1, completion = 2, tiers = [{ prompt = 1, completion = 2 }] }", "tiers[0].above_to"),
        (GPT + "endpoints = 3", "endpoints is 3; write a table"),
        (GPT + "endpoints.azure = 3", "endpoints.azure is 3; write a table"),
        (GPT + "endpoints.azure = {}", "endpoints.azure has no upstream_id; add the provider's name of the model"),
        (GPT + 'endpoints.azure = { upstreamid = "x" }', "(did you mean 'upstream_id'?)"),
    ],
    ids=lambda part: part[:60],
)
def test_a_mistake_is_named_with_its_remedy(text, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        parse_overrides(text, "toml")
    assert str(caught.value).startswith("FAIRLEAD_CATALOG")


def test_broken_json_is_named_too():
    with pytest.raises(ConfigError, match="FAIRLEAD_CATALOG is not valid JSON: "):
        parse_overrides("{", "json")


PRICE_KEYS = "prompt completion tiers above_tokens upstream_id price request zzz"
MODEL_KEYS = "name context_length input_modalities supported_parameters price endpoints created"
keys, members = st.sampled_from(PRICE_KEYS.split()), st.sampled_from(MODEL_KEYS.split())
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4))


@given(st.dictionaries(members, anything, max_size=4))
def test_whatever_is_said_is_taken_or_refused_by_name(change):
    try:
        parse_overrides(json.dumps({"models": {"a/b": change}}), "json")
    except ConfigError as error:
        message = str(error)
    else:
        return
    assert 'models."a/b"' in message
