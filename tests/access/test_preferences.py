import json
from decimal import Decimal

import pytest

from fairlead.access.preferences import MOST_BYTES, pack_preferences


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
