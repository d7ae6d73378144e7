import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from fairlead.wire.openrouter_calls import CallParts, whole_calls
from fairlead.wire.openrouter_shape import UNREADABLE, encode
from harness.jsontext import damaged


def raw(value):
    return Raw(json.dumps(value).encode())


def plain(calls):
    return json.loads(encode(calls))


class TestWhole:
    def test_a_complete_one_stays(self):
        call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"x": 1}}
        assert plain(whole_calls(raw([call]))) == [call]

    def test_what_is_missing_is_added(self):
        assert plain(whole_calls(raw([{"id": "a", "index": None, "function": {"name": "f"}}]))) == [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
        ]

    def test_arguments_are_json_in_a_string(self):
        [call] = plain(whole_calls(raw([{"id": "a", "function": {"name": "f", "arguments": {"b": "c"}}}])))
        assert json.loads(call["function"]["arguments"]) == {"b": "c"}

    def test_of_another_kind_it_stays(self):
        call = {"id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}}
        assert plain(whole_calls(raw([call]))) == [call]


class TestParts:
    def test_are_numbered_where_the_provider_does_not(self):
        parts = CallParts()
        said = [
            [{"id": "a", "function": {"name": "f", "arguments": ""}}],
            [{"id": None, "type": None, "function": {"name": None, "arguments": "{}"}}],
            [{"id": "", "function": None}, {"id": "a"}],
            [{"id": "b"}, {"id": "c"}],
        ]
        assert [plain(parts.adapted(raw(one))) for one in said] == [
            [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}, "type": "function"}],
            [{"index": 0, "function": {"arguments": "{}"}}],
            [{"index": 0}, {"index": 0, "id": "a"}],
            [{"index": 1, "id": "b", "type": "function"}, {"index": 2, "id": "c", "type": "function"}],
        ]
        assert parts.begun == 3

    def test_keep_the_providers_numbers(self):
        assert plain(CallParts().adapted(raw([{"index": 3, "id": "a", "type": "function"}])))[0]["index"] == 3


@pytest.mark.parametrize("told", [{}, "x", [1], [{"function": 7}]])
def test_what_are_no_calls_raises(told):
    with pytest.raises(UNREADABLE):
        whole_calls(raw(told))
    with pytest.raises(UNREADABLE):
        CallParts().adapted(raw(told))


parts = st.dictionaries(
    st.sampled_from([b"id", b"index", b"type", b"function", b"x"]),
    damaged() | st.sampled_from([b"null", b'""', b'"a"', b'{"name":"f","arguments":{}}', b'{"arguments":"{"}']),
    max_size=4,
).map(lambda found: b"{%b}" % b",".join(b'"%b":%b' % member for member in found.items()))


@given(st.lists(parts, max_size=4))
def test_whatever_comes_is_calls_or_unreadable(told):
    calls = CallParts()
    try:
        whole = plain(whole_calls(Raw(b"[%b]" % b",".join(told))))
        numbered = [one for part in told for one in plain(calls.adapted(Raw(b"[%b]" % part)))]
    except UNREADABLE:
        return
    assert len(whole) == len(numbered) == len(told)
    assert all(None not in (call.get("id", 0), call.get("function", 0)) for call in (*whole, *numbered))
