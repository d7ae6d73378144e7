import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import ApiError
from fairlead.wire.middle_out import wants_compression
from fairlead.wire.request import ChatRequest
from fairlead.wire.responses_request import chat_request
from harness.jsontext import value_text, values

FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}
IN_CHAT = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": False}}


def sent(**members):
    return json.dumps({"model": "a/b", "input": "hi", **members}).encode()


def chat(**members):
    """What the request comes to, but for the model and the message."""
    found = json.loads(chat_request(sent(**members))[0])
    assert found.pop("model") == "a/b"
    assert found.pop("messages") == [{"role": "user", "content": "hi"}]
    return found


def repeated(**members):
    asked = chat_request(sent(**members))[1]
    return json.loads(b"{%b}" % asked.repeated)


def refusal(raw):
    with pytest.raises(ApiError) as caught:
        chat_request(raw)
    assert caught.value.status == 400
    return caught.value.param, caught.value.message


CODEX = {
    "model": "openai/gpt-5-codex",
    "instructions": "You are an agent.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Sandboxed."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "List the files."}]},
        {"type": "reasoning", "summary": [], "content": None, "encrypted_content": "gAAA"},
        {"type": "function_call", "name": "shell", "arguments": '{"command":["ls"]}', "call_id": "call_1"},
        {"type": "function_call_output", "call_id": "call_1", "output": "a.txt"},
    ],
    "tools": [
        {"type": "function", "name": "shell", "description": "", "strict": False, "parameters": {"type": "object"}},
        {
            "type": "custom", "name": "apply_patch", "description": "Edits.",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"},
        },
        {"type": "namespace", "name": "mcp__git__", "description": "", "tools": [FUNCTION]},
        {"type": "web_search", "external_web_access": False},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0199",
    "text": {"verbosity": "low"},
    "client_metadata": {"x-codex": "1"},
}  # fmt: skip


def test_a_request_of_codex():
    body, asked = chat_request(json.dumps(CODEX).encode())
    found = json.loads(body)
    assert found.pop("messages") == [
        {"role": "system", "content": "You are an agent."},
        {"role": "system", "content": "Sandboxed."},
        {"role": "user", "content": "List the files."},
        {
            "role": "assistant",
            "content": None,
            "reasoning_details": [{"type": "reasoning.encrypted", "data": "gAAA", "index": 0}],
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "shell", "arguments": '{"command":["ls"]}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "a.txt"},
    ]
    tools = found.pop("tools")
    assert [tool.get("function", {}).get("name", tool["type"]) for tool in tools] == [
        "shell", "apply_patch", "mcp__git__f", "web_search",
    ]  # fmt: skip
    assert found == {
        "model": "openai/gpt-5-codex",
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"effort": "medium"},
        "stream": True,
        "stream_options": {"include_usage": True},
        "prompt_cache_key": "0199",
        "verbosity": "low",
    }
    assert asked.tools.keys() == {"apply_patch", "mcp__git__f"}
    request = ChatRequest.parse(body)
    assert request.is_stream
    assert request.named("prompt_cache_key") == "0199"


class TestMembers:
    def test_the_least_there_can_be(self):
        assert chat() == {}

    @pytest.mark.parametrize(
        ("members", "expected"),
        [
            ({"max_output_tokens": 50}, {"max_tokens": 50}),
            ({"tools": [FUNCTION], "tool_choice": "required"}, {"tools": [IN_CHAT], "tool_choice": "required"}),
            ({"tools": [], "tool_choice": "auto", "parallel_tool_calls": True}, {}),
            ({"tool_choice": "required"}, {"tool_choice": "required"}),
            ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
            ({"reasoning": {"effort": None, "summary": "auto"}}, {}),
            ({"reasoning": {"max_tokens": 9, "enabled": True}}, {"reasoning": {"max_tokens": 9, "enabled": True}}),
            ({"top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
            ({"top_logprobs": 0}, {}),
            ({"include": ["message.output_text.logprobs"]}, {"logprobs": True}),
            ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
            ({"stream": False, "stream_options": {"include_obfuscation": True}}, {"stream": False}),
            ({"max_tool_calls": 3}, {"max_tool_calls": 3}),
            ({"store": False, "background": False, "previous_response_id": None, "conversation": None}, {}),
            ({"temperature": None, "metadata": None, "user": None, "tools": None, "text": None, "include": None}, {}),
            ({"n": 1}, {"n": 1}),
        ],
        ids=str,
    )
    def test_become_chats(self, members, expected):
        assert chat(**members) == expected

    def test_what_chat_calls_the_same_passes(self):
        same = {
            "models": ["c/d"], "provider": {"sort": "price"}, "plugins": [{"id": "web"}], "session_id": "s",
            "user": "u", "trace": {"trace_id": "t"}, "metadata": {"a": "b"}, "prompt_cache_key": "k",
            "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "frequency_penalty": 1, "presence_penalty": 1,
            "seed": 7, "stop": ["x"], "service_tier": "flex", "debug": {"echo_upstream_body": True}, "preset": "p",
            "cache_control": {"type": "ephemeral"}, "modalities": ["text", "image"], "image_config": {"size": "1K"},
            "safety_identifier": "i", "route": "fallback", "transforms": ["middle-out"], "safe_prompt": True,
            "reasoning_effort": "low", "nobody_knows": None,
        }  # fmt: skip
        assert chat(**same) == same

    def test_values_keep_their_bytes(self):
        raw = b'{"model":"a/b","input":"\\u00e9","seed":123456789012345678901234567890,"x": [ 1.10 ],"temperature":1e0}'
        body, _ = chat_request(raw)
        for kept in (b'"\\u00e9"', b'"seed":123456789012345678901234567890', b"[ 1.10 ]", b'"temperature":1e0'):
            assert kept in body


class TestTruncation:
    @pytest.mark.parametrize(
        ("members", "wants"),
        [
            ({}, None),
            ({"truncation": None}, None),
            ({"truncation": "auto"}, True),
            ({"truncation": "disabled"}, False),
            ({"truncation": "disabled", "transforms": ["middle-out"]}, True),
            ({"truncation": "auto", "plugins": [{"id": "context-compression", "enabled": False}]}, False),
            ({"truncation": "auto", "plugins": [{"id": "web"}]}, True),
        ],
        ids=str,
    )
    def test_is_context_compression(self, members, wants):
        assert wants_compression(ChatRequest.parse(chat_request(sent(**members))[0])) is wants


class TestRepeated:
    def test_what_was_not_sent_has_its_default(self):
        assert repeated() == {
            "background": False, "frequency_penalty": None, "instructions": None, "max_output_tokens": None,
            "max_tool_calls": None, "metadata": {}, "parallel_tool_calls": True, "presence_penalty": None,
            "previous_response_id": None, "prompt_cache_key": None, "reasoning": None, "safety_identifier": None,
            "store": False, "temperature": None, "text": {"format": {"type": "text"}}, "tool_choice": "auto",
            "tools": [], "top_logprobs": 0, "top_p": None, "truncation": "disabled", "user": None,
        }  # fmt: skip

    def test_what_was_sent_is_told_as_it_was(self):
        members = {
            "instructions": "Be brief.", "tools": [FUNCTION, {"type": "web_search"}], "metadata": {"a": "b"},
            "tool_choice": {"type": "function", "name": "f"}, "text": {"verbosity": "low"}, "max_output_tokens": 5,
            "reasoning": {"effort": "low", "summary": "auto"}, "temperature": 0.5, "truncation": "auto", "user": "u",
        }  # fmt: skip
        assert repeated(**members) == {**repeated(), **members}

    def test_it_stands_on_one_line(self):
        raw = b'{"model":"a/b","input":"x","tools":[\n{"type":"function",\r\n"name":"f","x":12345678901234567890}\n]}'
        asked = chat_request(raw)[1]
        assert b"\n" not in asked.repeated
        assert b'"tools":[{"type":"function","name":"f","x":12345678901234567890}]' in asked.repeated

    def test_the_service_tier(self):
        assert chat_request(sent())[1].service_tier == b"null"
        assert chat_request(sent(service_tier="flex"))[1].service_tier == b'"flex"'


class TestRefused:
    @pytest.mark.parametrize(
        ("members", "param", "named"),
        [
            ({"store": True}, "store", "responses are not kept"),
            ({"store": "yes"}, "store", "true or false, not a string"),
            ({"background": True}, "background", "answered at once"),
            ({"previous_response_id": "resp_1"}, "previous_response_id", "in 'input'"),
            ({"conversation": "conv_1"}, "conversation", "in 'input'"),
            ({"prompt": {"id": "pmpt_1"}}, "prompt", "in 'instructions'"),
            ({"messages": []}, "messages", "send 'input' only"),
            ({"input": None}, "input", "required"),
            ({"input": 7}, "input", "a list, not a number"),
            ({"instructions": [1]}, "instructions", "a string, not a list"),
            ({"max_output_tokens": 0}, "max_output_tokens", "1 or more, not 0"),
            ({"max_output_tokens": "5"}, "max_output_tokens", "a whole number, not a string"),
            ({"max_tool_calls": 0}, "max_tool_calls", "1 or more"),
            ({"truncation": "middle"}, "truncation", "'auto' or 'disabled', not 'middle'"),
            ({"text": "json"}, "text", "an object, not a string"),
            ({"text": {"format": 7}}, "text", "$.format"),
            ({"reasoning": "high"}, "reasoning", "an object, not a string"),
            ({"include": "all"}, "include", "a list, not a string"),
            ({"include": [7]}, "include[0]", "a string, not a number"),
            ({"modalities": ["text", "audio"]}, "modalities", "chat completions"),
            ({"n": 2}, "n", "one answer"),
            ({"tools": [{"type": "file_search"}]}, "tools[0].type", "'file_search'"),
            ({"input": [{"role": "user", "content": [{}]}]}, "input[0].content[0].type", "required"),
        ],
        ids=str,
    )
    def test_with_what_is_wrong_and_what_helps(self, members, param, named):
        told, text = refusal(sent(**members))
        assert told == param
        assert named in text

    @pytest.mark.parametrize(
        ("raw", "named"),
        [
            (b"", "empty"),
            (b"[]", "must be a JSON object"),
            (b'{"model":"a"', "not valid JSON"),
            (b'{"temperature":NaN}', "not valid JSON"),
            (b'{"input":"\\ud800"}', "not valid JSON"),
            (b'{"input":"\xff"}', "not valid UTF-8"),
            (b"\xef\xbb\xbf{}", "byte order mark"),
            (b'{"input":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        ],
        ids=range(8),
    )
    def test_what_cannot_be_read(self, raw, named):
        assert named in refusal(raw)[1]

    def test_what_chat_has_too_is_left_to_chat(self):
        for members in ({"model": 7}, {"stream": "yes"}, {"model": ""}):
            body, _ = chat_request(sent(**members))
            with pytest.raises(ApiError):
                ChatRequest.parse(body)


def test_long_texts_pass():
    text = "é" * 5_000_000
    body, _ = chat_request(json.dumps({"model": "a", "input": text, "instructions": text}, ensure_ascii=False).encode())
    assert json.loads(body)["messages"][1]["content"] == text


_NAMES = st.sampled_from([
    "input", "instructions", "tools", "tool_choice", "text", "reasoning", "include", "modalities", "truncation",
    "stream", "max_output_tokens", "max_tool_calls", "top_logprobs", "metadata", "store", "plugins", "n", "x",
    "stream_options",
])  # fmt: skip


@given(st.dictionaries(_NAMES, values, max_size=8) | values, st.booleans(), st.randoms(use_true_random=False))
def test_any_body_becomes_a_chat_or_is_refused(body, has_input, random):
    if isinstance(body, dict) and has_input:
        body = {**body, "model": "a/b", "input": "hi"}
    with contextlib.suppress(ApiError):
        made, asked = chat_request(value_text(body, random).encode())
        json.loads(b"{%b}" % asked.repeated)
        ChatRequest.parse(made)


@given(st.binary(max_size=60) | st.binary(max_size=40).map(lambda some: b'{"model":"a","input":"%b"}' % some))
def test_any_bytes_do(raw):
    with contextlib.suppress(ApiError):
        json.loads(chat_request(raw)[0])
