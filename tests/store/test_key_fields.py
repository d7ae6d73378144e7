import dataclasses
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access.keys import ApiKey, Reset
from fairlead.errors import Unreadable
from fairlead.store.key_fields import fields_of, key_of, set_and_gone
from harness.jsontext import damaged

numbers = st.integers(0, 2**53)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
lists = st.lists(texts, max_size=3).map(tuple)

keys = st.builds(
    ApiKey,
    hash=st.just("h"),
    name=texts,
    label=texts,
    created=numbers,
    is_disabled=st.booleans(),
    updated=numbers,
    expires=st.none() | numbers,
    is_management=st.booleans(),
    limit_usd_nanos=st.none() | numbers,
    limit_reset=st.none() | st.sampled_from(get_args(Reset)),
    allowed_models=lists,
    allowed_providers=lists,
    requests_per_minute=st.none() | numbers,
    tokens_per_minute=st.none() | numbers,
    max_concurrency=st.none() | numbers,
    preferences=texts,
    is_auto_routing=st.none() | st.booleans(),
    resume_tokens=st.none() | numbers,
    creator=texts,
)
ATTRIBUTES = {field.name for field in dataclasses.fields(ApiKey)}


def stored(fields):
    """As Redis gives it back."""
    return {name.encode(): value.encode() for name, value in fields.items()}


@given(keys)
def test_there_and_back(key):
    assert key_of("h", stored(fields_of(key))) == key


def test_each_attribute_has_a_field_of_its_own():
    values, gone = set_and_gone(dict.fromkeys(ATTRIBUTES - {"hash"}))
    assert values == {}
    assert len(set(gone)) == len(ATTRIBUTES) - 1


def test_a_key_of_the_first_version():
    """It had four fields."""
    old = {b"name": "für Jürgen".encode(), b"label": b"sk-fl-v1-1a2", b"created": b"17", b"disabled": b"1"}
    assert key_of("h", old) == ApiKey("h", "für Jürgen", "sk-fl-v1-1a2", 17, is_disabled=True)
    assert key_of("h", {}) == ApiKey("h", "", "")


def test_the_first_version_reads_what_it_knows():
    fields = fields_of(ApiKey("h", "n", "l", 17, is_disabled=True, limit_usd_nanos=5))
    assert {name: fields[name] for name in ("name", "label", "created", "disabled")} == {
        "name": "n",
        "label": "l",
        "created": "17",
        "disabled": "1",
    }


def test_what_newer_versions_have_added_does_no_harm():
    newer = stored(fields_of(ApiKey("h", "n", "l"))) | {b"colour": b"blue", b"limit_reset": b"yearly"}
    assert key_of("h", newer) == ApiKey("h", "n", "l")


@given(keys, keys, st.sets(st.sampled_from(sorted(ATTRIBUTES - {"hash"}))))
def test_a_change_is_only_of_what_it_names(key, other, names):
    changes = {name: getattr(other, name) for name in names}
    values, gone = set_and_gone(changes)
    fields = {name: value for name, value in (fields_of(key) | values).items() if name not in gone}
    assert key_of("h", stored(fields)) == dataclasses.replace(key, **changes)


@pytest.mark.parametrize("name", ["hash", "disabled", "limit", "nonsense"])
def test_what_is_no_attribute(name):
    with pytest.raises(KeyError):
        set_and_gone({name: "x"})


NAMES = sorted(fields_of(ApiKey("h", "n", "l", expires=1, limit_usd_nanos=1, limit_reset="daily", preferences="{}")))
NAMES += [
    "models",
    "providers",
    "requests_per_minute",
    "tokens_per_minute",
    "max_concurrency",
    "auto_routing",
    "resume_tokens",
    "creator",
]
ODD = (
    st.binary(max_size=12)
    | damaged()
    | st.sampled_from([b"", b"1", b"-1", b" 1 ", b"1_0", b"[]", b'["a"]', b"[1]", b'"ab"'])
)


@given(st.dictionaries(st.sampled_from(NAMES).map(str.encode), ODD, max_size=6))
def test_whatever_stands_there_is_a_key_or_named(found):
    try:
        key = key_of("h", found)
    except Unreadable as error:
        assert "of fl:1:key:{h} cannot be read" in str(error)  # noqa: PT017 - either is right
        return
    assert all(isinstance(word, str) for word in (*key.allowed_models, *key.allowed_providers))
    assert all(isinstance(number, int) for number in (key.created, key.updated))
    assert key_of("h", stored(fields_of(key))) == key


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"limit_usd_nanos", b"a lot"),
        (b"models", b"openai/*"),
        (b"models", b'"ab"'),
        (b"name", b"\xff"),
        (b"expires", b""),
    ],
)
def test_what_cannot_be_read_is_named(field, value):
    with pytest.raises(Unreadable, match=rf"^the field '{field.decode()}' of fl:1:key:\{{h\}} cannot be read"):
        key_of("h", {field: value})
