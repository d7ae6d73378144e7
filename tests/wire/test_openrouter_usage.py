import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from fairlead.catalog.pricing import Bill, Usage
from fairlead.wire.openrouter_usage import canonical_usage, priced, usage_json
from fairlead.wire.utf8 import repaired
from harness.jsontext import damaged


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


@given(
    st.dictionaries(
        st.sampled_from([*PLAIN, "cost", "cost_details", "is_byok", "x"]).map(str.encode),
        damaged() | st.integers(-5, 10**12).map(lambda n: b"%d" % n) | st.sampled_from([b"1e400", b"12.0", b'"12"']),
        max_size=5,
    )
)
def test_whatever_comes_is_usage_or_none(members):
    body = b"{%b}" % b",".join(b'"%b":%b' % member for member in members.items())
    found = canonical_usage(Raw(repaired(body)))
    if found is not None:
        text, usage = found
        counts = json.loads(priced(text, lambda _: Bill(10, 4, 6)))
        assert counts["prompt_tokens"] == usage.prompt_tokens >= 0
        assert counts["total_tokens"] == usage.prompt_tokens + usage.completion_tokens
