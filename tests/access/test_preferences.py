import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access.preferences import MOST_BYTES, Preferences, pack_preferences, read_preferences
from harness.jsontext import damaged


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"order": ["groq", "together/fp8"], "allow_fallbacks": False},
        {"only": ["groq"], "ignore": [], "data_collection": "deny", "zdr": True, "require_parameters": True},
        {"sort": "throughput", "quantizations": ["fp8", "bf16"], "enforce_distillable_text": None},
        {"sort": {"by": "latency", "partition": "none"}},
        {"max_price": {"prompt": 1, "completion": "2.50", "image": 0.01}},
        {"preferred_min_throughput": 50, "preferred_max_latency": {"p50": 1.5, "p99": 4}},
        {"options": {"groq": {"anything": [1, {"goes": None}]}}},
    ],
)
def test_what_a_request_may_hold_is_kept_as_it_is(value):
    assert json.loads(pack_preferences(value)) == value


def test_no_digit_is_lost():
    value = {"max_price": {"prompt": Decimal("0.10000000000000000001")}}
    assert pack_preferences(value) == '{"max_price":{"prompt":0.10000000000000000001}}'


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ([], "Expected `object`"),
        ("price", "Expected `object`"),
        (True, "Expected `object`"),
        ({"ordre": ["groq"]}, "unknown field `ordre`"),
        ({"order": "groq"}, "$.order"),
        ({"order": [""]}, "$.order"),
        ({"sort": "cheapest"}, "'cheapest'"),
        ({"sort": {"by": "price", "desc": True}}, "unknown field `desc`"),
        ({"allow_fallbacks": 1}, "$.allow_fallbacks"),
        ({"data_collection": "perhaps"}, "'perhaps'"),
        ({"quantizations": ["fp5"]}, "'fp5'"),
        ({"max_price": {"prompt": -1}}, "$.max_price.prompt"),
        ({"max_price": {"prompt": "cheap"}}, "$.max_price.prompt"),
        ({"max_price": {"tokens": 1}}, "unknown field `tokens`"),
        ({"preferred_max_latency": Decimal("1E+400")}, "$.preferred_max_latency"),
        ({"preferred_max_latency": Decimal("NaN")}, "malformed"),
        ({"preferred_min_throughput": {"p51": 1}}, "unknown field `p51`"),
        ({"options": {"groq": 1}}, "$.options"),
        ({"options": {"groq": {"x": "x" * MOST_BYTES}}}, f"longer than {MOST_BYTES} bytes"),
    ],
)
def test_what_is_wrong_is_named(value, what):
    with pytest.raises(ValueError) as caught:
        pack_preferences(value)
    assert what in str(caught.value)


MEMBERS = st.sampled_from(sorted(Preferences.__struct_fields__))
NUMBERS = [b"1e308", b"1e400", b"-1", b"0", b'"999999999.999999999999"', b'"1e5"', b'{"prompt":1e308}', b'{"p50":0.1}']


@given(st.dictionaries(MEMBERS.map(str.encode), damaged() | st.sampled_from(NUMBERS), max_size=3) | damaged())
def test_whatever_is_sent_is_read_or_refused(given):
    text = given if isinstance(given, bytes) else b"{%b}" % b",".join(b'"%b":%b' % member for member in given.items())
    try:
        found = read_preferences(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either is right
        return
    assert read_preferences(pack_preferences(msgspec.to_builtins(found)).encode()) == found
