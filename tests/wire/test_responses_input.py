import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from fairlead.errors import ApiError
from fairlead.wire.responses_input import messages_of
from harness.jsontext import values

USER = {"role": "user", "content": "hi"}


def raw(value):
    return Raw(json.dumps(value).encode())


def messages(*items, instructions=None):
    return json.loads(messages_of(raw(items), raw(instructions) if instructions is not None else None))


def refusal(items):
    with pytest.raises(ApiError) as caught:
        messages_of(raw(items), None)
    assert caught.value.status == 400
    return caught.value.param, caught.value.message


def call(call_id, name="f", **more):
    return {"type": "function_call", "id": "fc_1", "call_id": call_id, "name": name, "arguments": "{}", **more}


def result(call_id, output="done"):
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def said(text):
    return {
        "type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }  # fmt: skip


def thought(**members):
    return {"type": "reasoning", "id": "rs_gen-1_0", "summary": [], **members}


def chat_call(call_id, name="f", arguments="{}"):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def tool(call_id, content="done"):
    return {"role": "tool", "tool_call_id": call_id, "content": content}


class TestMessages:
    def test_text_is_the_users(self):
        assert json.loads(messages_of(Raw(b'"hi"'), None)) == [USER]

    def test_instructions_come_first(self):
        system = {"role": "system", "content": "Be brief."}
        assert messages(USER, instructions="Be brief.") == [system, USER]
        assert json.loads(messages_of(Raw(b'"hi"'), raw("Be brief."))) == [system, USER]

    def test_roles_with_and_without_a_type(self):
        items = [{"role": role, "content": "a"} for role in ("system", "developer", "user", "assistant")]
        expected = [{"role": role, "content": "a"} for role in ("system", "system", "user", "assistant")]
        assert messages(*items) == messages(*({"type": "message", **item} for item in items)) == expected

    def test_content_in_parts(self):
        picture = {"type": "input_image", "image_url": "https://x/a.png"}
        assert messages({"role": "user", "content": [{"type": "input_text", "text": "What?"}, picture]}) == [{
            "role": "user", "content": [
                {"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": "https://x/a.png"}},
            ],
        }]  # fmt: skip

    def test_an_assistants_parts_are_one_text(self):
        parts = [{"type": "output_text", "text": "a"}, {"type": "output_text", "text": "b"}]
        assert messages({"role": "assistant", "content": parts}) == [{"role": "assistant", "content": "ab"}]

    def test_refusals(self):
        told = {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}
        assert messages(told) == [{"role": "assistant", "content": None, "refusal": "no"}]

    def test_of_two_messages_each_stays(self):
        assert messages(said("a"), said("b")) == [
            {"role": "assistant", "content": "a"},
            {"role": "assistant", "content": "b"},
        ]

    def test_an_assistant_that_said_nothing(self):
        assert messages({"role": "assistant", "content": []}) == [{"role": "assistant", "content": ""}]


class TestCalls:
    def test_in_a_row_they_are_of_one_message_with_the_text_before(self):
        assert messages(
            USER, said("Let me see."), call("a"), call("b", "g"), result("a"), result("b"), said("So.")
        ) == [
            USER,
            {"role": "assistant", "content": "Let me see.", "tool_calls": [chat_call("a"), chat_call("b", "g")]},
            tool("a"),
            tool("b"),
            {"role": "assistant", "content": "So."},
        ]

    def test_one_after_the_other_they_are_not(self):
        assert messages(call("a"), result("a"), call("b"), result("b")) == [
            {"role": "assistant", "content": None, "tool_calls": [chat_call("a")]},
            tool("a"),
            {"role": "assistant", "content": None, "tool_calls": [chat_call("b")]},
            tool("b"),
        ]

    def test_what_is_said_or_thought_between_call_and_result_does_not_part_them(self):
        content = [{"type": "reasoning_text", "text": "hm"}]
        assert messages(said("One."), call("a"), said("Two."), thought(content=content), call("b"), result("a")) == [
            {
                "role": "assistant", "content": "One.\n\nTwo.", "reasoning": "hm",
                "tool_calls": [chat_call("a"), chat_call("b")],
            },
            tool("a"),
        ]  # fmt: skip

    def test_arguments_keep_their_bytes(self):
        told = b'[{"type":"function_call","call_id":"a","name":"f","arguments":"{\\"n\\":\\u0031}"}]'
        assert b'"arguments":"{\\"n\\":\\u0031}"' in messages_of(Raw(told), None)

    def test_of_a_namespace_they_have_the_name_that_the_tool_has(self):
        [message] = messages(call("a", namespace="mcp__git"))
        assert message["tool_calls"] == [chat_call("a", "mcp__git__f")]

    def test_custom_ones_are_functions_of_their_input(self):
        patch = 'say "é"\n'
        [message, output] = messages(
            {"type": "custom_tool_call", "call_id": "a", "name": "apply_patch", "input": patch},
            {"type": "custom_tool_call_output", "call_id": "a", "output": "ok"},
        )
        [one] = message["tool_calls"]
        assert one["function"]["name"] == "apply_patch"
        assert json.loads(one["function"]["arguments"]) == {"input": patch}
        assert output == tool("a", "ok")

    def test_results_in_parts(self):
        assert messages(result("a", [{"type": "input_text", "text": "x"}])) == [tool("a", "x")]
        picture = {"type": "input_image", "image_url": "data:image/png;base64,AA"}
        [output] = messages(result("a", [{"type": "input_text", "text": "x"}, picture]))
        assert [part["type"] for part in output["content"]] == ["text", "image_url"]


class TestReasoning:
    def test_plain_text_is_told_as_text_only(self):
        content = [{"type": "reasoning_text", "text": "a"}, {"type": "reasoning_text", "text": "b"}]
        assert messages(thought(content=content), said("x")) == [
            {"role": "assistant", "content": "x", "reasoning": "ab"}
        ]

    def test_what_is_signed_or_encrypted_goes_back_in_order(self):
        items = [
            thought(
                id="rs_theirs",
                content=[{"type": "reasoning_text", "text": "a"}],
                signature="sig",
                format="anthropic-claude-v1",
            ),
            thought(summary=[{"type": "summary_text", "text": "s"}], encrypted_content="data"),
        ]
        form = {"format": "anthropic-claude-v1", "id": "rs_theirs"}
        assert messages(*items, call("c")) == [{
            "role": "assistant", "content": None, "tool_calls": [chat_call("c")], "reasoning": "a\n\ns",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "a", "signature": "sig", "index": 0, **form},
                {"type": "reasoning.summary", "summary": "s", "index": 1},
                {"type": "reasoning.encrypted", "data": "data", "index": 2},
            ],
        }]  # fmt: skip

    def test_a_signature_alone(self):
        [message] = messages(thought(signature="sig"), said("x"))
        assert message["reasoning_details"] == [{"type": "reasoning.text", "signature": "sig", "index": 0}]

    def test_after_an_answer_it_belongs_to_the_next(self):
        items = [said("a"), thought(content=[{"type": "reasoning_text", "text": "hm"}]), said("b")]
        assert messages(*items) == [
            {"role": "assistant", "content": "a"},
            {"role": "assistant", "content": "b", "reasoning": "hm"},
        ]

    @pytest.mark.parametrize("item", [thought(), thought(encrypted_content="", content=None)])
    def test_what_tells_nothing_goes(self, item):
        assert messages(item, said("x")) == [{"role": "assistant", "content": "x"}]

    def test_without_anything_after_it_goes(self):
        assert messages(thought(encrypted_content="data"), USER) == [USER]


def test_pictures_are_the_assistants():
    item = {
        "type": "image_generation_call",
        "id": "ig_1",
        "status": "completed",
        "result": "AA",
        "output_format": "webp",
    }
    assert messages(said("Here."), item, USER) == [
        {
            "role": "assistant",
            "content": "Here.",
            "images": [{"type": "image_url", "image_url": {"url": "data:image/webp;base64,AA"}}],
        },
        USER,
    ]
    assert messages({**item, "result": None}, USER) == [USER]


@pytest.mark.parametrize("kind", ["web_search_call", "openrouter:datetime"])
def test_what_tools_of_servers_did_goes(kind):
    assert messages({"type": kind, "id": "ws_1"}, USER) == [USER]


@pytest.mark.parametrize(
    ("item", "at", "named"),
    [
        ({"type": "item_reference", "id": "msg_1"}, ".type", "send the item itself"),
        ({"type": "compaction", "encrypted_content": "x"}, ".type", "send the items that it stands for"),
        ({"type": "mcp_call"}, ".type", "'mcp_call'"),
        ({"content": "a"}, "", "neither a type nor a role"),
        ({"role": "tool", "content": "a"}, ".role", "function_call_output"),
        ({"role": "critic", "content": "a"}, ".role", "'critic'"),
        ({"role": "user"}, ".content", "required"),
        ({"role": "user", "content": [{"type": "x"}]}, ".content[0].type", "'x'"),
        ({"type": "function_call", "call_id": "a", "name": "f"}, ".arguments", "required"),
        ({"type": "function_call", "call_id": "a", "name": "f", "arguments": {}}, ".arguments", "a string, not an"),
        ({"type": "function_call", "name": "f", "arguments": "{}"}, ".call_id", "required"),
        ({"type": "function_call_output", "output": "x"}, ".call_id", "required"),
        ({"type": "function_call_output", "call_id": "a", "output": {"a": 1}}, ".output", "a list, not an object"),
        ({"type": "custom_tool_call", "call_id": "a", "name": "f"}, ".input", "required"),
        ({"type": "reasoning", "summary": "x"}, ".summary", "a list, not a string"),
        ({"type": "reasoning", "encrypted_content": 7}, ".encrypted_content", "a string, not a number"),
        (7, "", "an object, not a number"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(item, at, named):
    param, text = refusal([USER, item])
    assert param == f"input[1]{at}"
    assert named in text


def test_input_is_text_or_items():
    assert refusal({"role": "user"}) == ("input", "'input' is wrong: it must be a list, not an object")


_KINDS = st.sampled_from([
    "message", "reasoning", "function_call", "function_call_output", "custom_tool_call", "image_generation_call", "x",
])  # fmt: skip
_NAMES = st.sampled_from([
    "role", "content", "summary", "signature", "format", "encrypted_content", "call_id", "name", "namespace",
    "arguments", "output", "input", "result", "output_format", "id",
])  # fmt: skip
_ROLES = st.sampled_from(["user", "assistant", "system"])


@given(
    st.lists(
        st.builds(lambda kind, item, role: {"type": kind, "role": role, **item},
        _KINDS, st.dictionaries(_NAMES, values | st.just([{"type": "output_text", "text": "x"}]), max_size=6), _ROLES),
        max_size=4,
    )
)  # fmt: skip
def test_nothing_else_is_raised(items):
    with contextlib.suppress(ApiError):
        assert isinstance(messages(*items), list)
