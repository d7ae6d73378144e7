import dataclasses
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access.keys import ApiKey, Reset
from fairlead.store.key_fields import fields_of, key_of, set_and_gone

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
