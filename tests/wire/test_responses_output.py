import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from fairlead.wire.responses_item import Events
from fairlead.wire.responses_output import Output
from fairlead.wire.responses_said import Said
from fairlead.wire.responses_tools import read_tools
from harness.jsontext import values
from harness.responses import Client, events_in, kinds


def output(*said, tools=(), is_cut_short=False):
    """The items that it comes to, as a client has them, and all events."""
    read = {tool.chat_name: tool for tool in read_tools(Raw(json.dumps(tools).encode()))}
    one = Output("gen-1", read, Events())
    told = b"".join([one.take(msgspec.json.decode(json.dumps(piece), type=Said)) for piece in said])
    events = events_in(told + one.end(is_cut_short=is_cut_short))
    client = Client().read(events)
    assert json.loads(b"[%b]" % one.json()) == client.items
    assert len(client.done) == len(client.items)
    return client.items, events


def types(*said, **options):
    return [item["type"] for item in output(*said, **options)[0]]


def part(index=None, call_id=None, name=None, arguments=None):
    function = {"name": name, "arguments": arguments}
    return {"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]}


def detail(kind="text", **members):
    return {"reasoning_details": [{"type": f"reasoning.{kind}", **members}]}


class TestOrder:
    def test_each_ends_when_another_begins_and_calls_at_the_end(self):
        items, events = output(
            {"reasoning": "hm", "content": ""}, {"content": "Hi"}, part(0, "a", "f", "{}"), part(1, "b", "g", "{}")
        )
        assert [item["id"] for item in items] == ["rs_gen-1_0", "msg_gen-1_1", "fc_gen-1_2", "fc_gen-1_3"]
        assert [kind for kind in kinds(events) if kind.startswith("output_item")] == [
            "output_item.added", "output_item.done", "output_item.added", "output_item.done",
            "output_item.added", "output_item.added", "output_item.done", "output_item.done",
        ]  # fmt: skip

    def test_of_one_message_reasoning_comes_first_and_calls_last(self):
        whole = {
            **part(0, "a", "f", "{}"), "content": "Hi", "reasoning": "hm",
            "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}],
        }  # fmt: skip
        assert types(whole) == ["reasoning", "message", "image_generation_call", "function_call"]

    def test_what_comes_again_is_another_item(self):
        assert types({"reasoning": "a"}, {"content": "b"}, {"reasoning": "c"}, {"content": "d"}) == [
            "reasoning", "message", "reasoning", "message",
        ]  # fmt: skip

    def test_of_nothing_there_is_nothing(self):
        assert output({}, {"content": ""}, {"content": None, "refusal": None, "reasoning": ""}) == ([], [])

    def test_cut_short_is_what_came_last(self):
        items, _ = output({"content": "a"}, part(0, "a", "f", "{}"), part(1, "b", "f", '{"x'), is_cut_short=True)
        assert [item["status"] for item in items] == ["completed", "completed", "incomplete"]

    def test_what_has_not_ended_is_incomplete(self):
        one = Output("gen-1", {}, Events())
        for said in (Said(reasoning=Raw(b'"a"')), Said(content=Raw(b'"b"'))):
            one.take(said)
        assert [item["status"] for item in json.loads(b"[%b]" % one.json())] == ["completed", "incomplete"]


class TestContent:
    def test_text_of_all_messages(self):
        one = Output("gen-1", {}, Events())
        for piece in ({"content": "a"}, {"reasoning": "x"}, {"content": "é"}, {"refusal": "no"}):
            one.take(msgspec.json.decode(json.dumps(piece), type=Said))
        assert json.loads(one.text()) == "aé"

    def test_in_parts(self):
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
        items, _ = output({"content": [{"type": "text", "text": "a"}, picture, {"type": "text", "text": "b"}]})
        assert [item["type"] for item in items] == ["message", "image_generation_call", "message"]

    def test_annotations(self):
        cited = {"url": "u", "title": "t", "start_index": 0, "end_index": 1}
        told = {"annotations": [{"type": "url_citation", "url_citation": cited}, {"type": "other"}]}
        [item], _ = output({"content": "a"}, told)
        assert item["content"][0]["annotations"] == [{"type": "url_citation", **cited}]

    def test_log_probabilities(self):
        one = Output("gen-1", {}, Events())
        told = one.take(Said(content=Raw(b'"a"')), Raw(b'{"content":[{"token":"a","logprob":-1.0}]}'))
        assert events_in(told)[-1]["logprobs"] == [{"token": "a", "logprob": -1.0}]


class TestReasoning:
    def test_each_kind_has_its_place(self):
        items, _ = output(
            detail("summary", summary="s", index=0),
            detail(text="t", index=1),
            detail(signature="sig", format="anthropic-claude-v1", index=1),
            detail("encrypted", data="d", index=2),
        )
        assert items == [{
            "id": "rs_gen-1_0", "type": "reasoning", "status": "completed",
            "summary": [{"type": "summary_text", "text": "s"}], "content": [{"type": "reasoning_text", "text": "t"}],
            "signature": "sig", "format": "anthropic-claude-v1", "encrypted_content": "d",
        }]  # fmt: skip

    def test_what_would_break_the_order_is_another_item(self):
        items, _ = output(
            detail(text="a", signature="1", index=0),
            detail(text="b", signature="2", index=1),
            detail("encrypted", data="x"),
            detail("encrypted", data="y"),
        )
        assert [(item.get("signature"), item.get("encrypted_content")) for item in items] == [
            ("1", None), ("2", "x"), (None, "y"),
        ]  # fmt: skip

    def test_its_own_id_stays_if_it_can(self):
        items, _ = output(
            detail("summary", summary="s", id="rs_theirs"),
            detail("encrypted", data="x", id="rs_theirs"),
            detail("encrypted", data="y", id="rs_theirs"),
            detail("encrypted", data="z", id='not "plain"'),
        )
        assert [item["id"] for item in items] == ["rs_theirs", "rs_gen-1_1", "rs_gen-1_2"]

    def test_text_beside_details_without_any(self):
        [item], _ = output({"reasoning": "a", **detail("encrypted", data="d")})
        assert (item["content"][0]["text"], item["encrypted_content"]) == ("a", "d")
        items, _ = output({"reasoning": "a"}, {"reasoning": "b"})
        assert items[0]["content"] == [{"type": "reasoning_text", "text": "ab"}]

    def test_text_that_is_told_twice_counts_once(self):
        [item], _ = output({"reasoning": "a", "reasoning_content": "a", **detail(text="a")})
        assert item["content"] == [{"type": "reasoning_text", "text": "a"}]


class TestCalls:
    def test_parts_by_turns(self):
        items, _ = output(
            part(0, "a", "f", ""), part(1, "b", "g", '{"x"'), part(0, None, None, "{}"), part(1, arguments=":1}")
        )
        assert [(item["call_id"], item["arguments"]) for item in items] == [("a", "{}"), ("b", '{"x":1}')]

    def test_whole_ones_without_numbers(self):
        calls = [{"id": call_id, "function": {"name": "f", "arguments": "{}"}} for call_id in "ab"]
        assert [item["call_id"] for item in output({"tool_calls": calls})[0]] == ["a", "b"]

    def test_all_numbered_0_they_are_told_apart_by_their_ids(self):
        items, _ = output(part(0, "a", "f", "{}"), part(0, "b", "f", "{"), part(0, None, None, "}"))
        assert [(item["call_id"], item["arguments"]) for item in items] == [("a", "{}"), ("b", "{}")]

    def test_a_name_that_is_repeated_or_an_id_that_changes_is_the_same_call(self):
        [item], _ = output(part(0, "a", "f", "{"), part(0, "a", "f", "}"), part(0, "x", None, " "))
        assert item["arguments"] == "{} "

    def test_a_name_that_comes_late(self):
        items, events = output(part(0, "a", None, "{"), part(0, None, "f", "}"), part(1, "b"))
        assert [(item["name"], item["arguments"]) for item in items] == [("f", "{}"), ("", "")]
        assert events[0]["item"]["name"] == "f"

    def test_without_an_id_of_its_own_it_gets_one(self):
        items, _ = output(part(0, None, "f", "{}"), part(1, "same", "f", "{}"), part(2, "same", "f", "{}"))
        assert [item["call_id"] for item in items] == ["call_gen-1_0", "same", "call_gen-1_2"]

    def test_of_tools_that_the_caller_knows_otherwise(self):
        tools = [
            {"type": "custom", "name": "patch"},
            {"type": "namespace", "name": "ns", "tools": [{"type": "function", "name": "f"}]},
        ]
        items, _ = output(part(0, "a", "patch", '{"input":"x"}'), part(1, "b", "ns__f", "{}"), tools=tools)
        assert (items[0]["type"], items[0]["input"]) == ("custom_tool_call", "x")
        assert (items[1]["namespace"], items[1]["name"]) == ("ns", "f")


_PIECES = st.sampled_from([
    {"content": "a"}, {"content": ""}, {"reasoning": "r"}, {"refusal": "n"}, part(0, "a", "f", "{}"),
    part(1, "b", "g", "x"), part(0, None, None, "y"), part(2, "c"), detail(text="t", index=1),
    detail("summary", summary="s", index=0),
    detail(signature="sig"), detail("encrypted", data="d", id="rs_x"),
    {"annotations": [{"type": "url_citation", "url": "u"}]}, {"images": [{"image_url": {"url": "https://x"}}]},
])  # fmt: skip


@given(st.lists(_PIECES, max_size=16), st.booleans())
def test_in_any_order_all_that_begins_ends(said, is_cut_short):
    items, _ = output(*said, is_cut_short=is_cut_short)
    ids = [item["id"] for item in items]
    assert len(ids) == len(set(ids))
    text = "".join(piece.get("content", "") for piece in said)
    assert text == "".join(
        part["text"] for item in items if item["type"] == "message" for part in item["content"] if "text" in part
    )


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(Said.__struct_fields__, values)), max_size=4))
def test_nothing_is_raised(said):
    output(*said)


@pytest.mark.parametrize("name", Said.__struct_fields__)
def test_of_the_wrong_type_it_says_nothing(name):
    assert output({name: 7}, {name: {}}, {name: [7]}) == ([], [])
