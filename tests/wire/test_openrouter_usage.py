import json

import pytest
from msgspec import Raw

from fairlead.catalog.pricing import Bill, Usage
from fairlead.wire.openrouter_usage import canonical_usage, priced, usage_json


def told(usage):
    found = canonical_usage(Raw(usage if isinstance(usage, bytes) else json.dumps(usage).encode()))
    return found and json.loads(found[0])


PLAIN = {
    "prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0},
}  # fmt: skip


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
        {"prompt_tokens": 12, "completion_tokens": 3},
        {"prompt_tokens": "12", "completion_tokens": 3.0, "prompt_tokens_details": None},
        {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": None}},
        {"prompt_tokens": 12, "completion_tokens": 3, "completion_tokens_details": [], "cost": None},
    ],
)
def test_the_counts_are_there_and_none_is_null(usage):
    assert told(usage) == PLAIN


def test_other_names_are_brought_under_the_usual_ones_and_stay_beside_them():
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "prompt_cache_hit_tokens": 8}
    assert told(usage) == {**PLAIN, "prompt_tokens_details": {"cached_tokens": 8}, "prompt_cache_hit_tokens": 8}


def test_reasoning_counts_as_completion():
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 20,
             "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 0}}  # fmt: skip
    found = told(usage)
    assert (found["completion_tokens"], found["total_tokens"]) == (8, 20)
    assert found["completion_tokens_details"] == {"reasoning_tokens": 5, "audio_tokens": 0}


def test_written_tokens_are_told_where_there_are_any():
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "cache_creation_input_tokens": 4}
    assert told(usage)["prompt_tokens_details"] == {"cached_tokens": 0, "cache_write_tokens": 4}


def test_long_numbers_survive():
    found = canonical_usage(Raw(b'{"prompt_tokens":1,"x":12345678901234567890123,"prompt_tokens_details":{"y":1e99}}'))
    assert b'"x":12345678901234567890123' in found[0]
    assert b'"y":1e99' in found[0]


@pytest.mark.parametrize("usage", [b"null", b"[]", b"{}", b'{"total_tokens":9}', b'"usage"'])
def test_what_tells_nothing_is_none(usage):
    assert told(usage) is None


def test_with_what_it_costs():
    assert json.loads(priced(usage_json(Usage(12, 3)), lambda _: Bill(10)))["cost"] == 1e-8
    assert priced(usage_json(Usage(12, 3)), lambda _: None) == usage_json(Usage(12, 3))


def test_of_our_own_reckoning():
    assert json.loads(usage_json(Usage(12, 3))) == PLAIN
