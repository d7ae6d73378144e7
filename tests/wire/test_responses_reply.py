import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response

from fairlead.catalog.pricing import Bill, Usage
from fairlead.errors import ApiError
from fairlead.wire.openrouter_reply import adapted_reply
from fairlead.wire.openrouter_shape import Identity
from fairlead.wire.responses_input import messages_of
from fairlead.wire.responses_reply import response_object
from fairlead.wire.responses_request import chat_request
from harness.jsontext import values

IDENTITY = Identity("gen-1", "Acme", "acme/large", 5)
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


def asked(**members):
    return chat_request(json.dumps({"model": "a/b", "input": "hi", **members}).encode())[1]


def chat(message, finish_reason="stop", **more):
    """A provider's reply, as the gateway tells it."""
    choice = {"index": 0, "message": message, "finish_reason": finish_reason, **more.pop("choice", {})}
    body = json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], "usage": USAGE, **more}).encode()
    return adapted_reply(body, IDENTITY, lambda _: Bill(10, 4, 6), lambda: Usage(7, 8))[0]


def response(message, finish_reason="stop", *, request=None, **more):
    told = response_object(chat(message, finish_reason, **more), request or asked(), 5, 9)
    Response.model_validate_json(told, strict=True)
    return json.loads(told)


def test_a_whole_one():
    tools = [{"type": "function", "name": "f", "parameters": {}, "strict": None}]
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": "Hi", "reasoning": "hm", "tool_calls": [call]}
    assert response(message, "tool_calls", request=asked(tools=tools, user="u"), service_tier="default") == {
        "id": "gen-1", "object": "response", "created_at": 5, "completed_at": 9, "status": "completed", "error": None,
        "incomplete_details": None, "model": "acme/large",
        "output": [
            {
                "id": "rs_gen-1_0", "type": "reasoning", "status": "completed", "summary": [],
                "content": [{"type": "reasoning_text", "text": "hm"}],
            },
            {
                "id": "msg_gen-1_1", "type": "message", "status": "completed", "role": "assistant",
                "content": [{"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}],
            },
            {
                "id": "fc_gen-1_2", "type": "function_call", "status": "completed", "call_id": "call_1", "name": "f",
                "arguments": "{}",
            },
        ],
        "output_text": "Hi",
        "service_tier": "default",
        "usage": {
            "input_tokens": 12, "output_tokens": 3, "total_tokens": 15, "cost": 1e-08, "is_byok": False,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
            "cost_details": {
                "upstream_inference_cost": None, "upstream_inference_input_cost": 4e-09,
                "upstream_inference_output_cost": 6e-09,
            },
        },
        "background": False, "frequency_penalty": None, "instructions": None, "max_output_tokens": None,
        "max_tool_calls": None, "metadata": {}, "parallel_tool_calls": True, "presence_penalty": None,
        "previous_response_id": None, "prompt_cache_key": None, "reasoning": None, "safety_identifier": None,
        "store": False, "temperature": None, "text": {"format": {"type": "text"}}, "tool_choice": "auto",
        "tools": tools, "top_logprobs": 0, "top_p": None, "truncation": "disabled", "user": "u",
    }  # fmt: skip


class TestEnds:
    @pytest.mark.parametrize(
        ("finish_reason", "status", "reason", "of_item"),
        [
            ("stop", "completed", None, "completed"),
            ("tool_calls", "completed", None, "completed"),
            (None, "completed", None, "completed"),
            ("length", "incomplete", "max_output_tokens", "incomplete"),
            ("content_filter", "incomplete", "content_filter", "incomplete"),
            ("error", "failed", None, "incomplete"),
        ],
        ids=str,
    )
    def test_as_the_finish_reason_says(self, finish_reason, status, reason, of_item):
        found = response({"content": "Hi"}, finish_reason)
        assert found["status"] == status
        assert (found["incomplete_details"] or {}).get("reason") == reason
        assert found["completed_at"] == (9 if status == "completed" else None)
        assert (found["error"] is None) is (status != "failed")
        [item] = found["output"]
        assert item["status"] == of_item

    def test_a_choice_that_failed(self):
        error = {"code": 429, "message": "Wait", "metadata": {"error_type": "rate_limit_exceeded"}}
        found = response({"content": "Hal"}, "error", choice={"error": error})
        assert (found["status"], found["error_type"]) == ("failed", "rate_limit_exceeded")
        assert (found["error"]["code"], found["error"]["message"]) == ("rate_limit_exceeded", "Wait")
        assert found["output_text"] == "Hal"


class TestMembers:
    def test_metadata_of_the_router_is_passed_on(self):
        body = chat({"content": "Hi"})[:-1] + b',"openrouter_metadata":{"attempt":1}}'
        assert json.loads(response_object(body, asked(), 5, 9))["openrouter_metadata"] == {"attempt": 1}

    def test_the_tier_that_served_counts_before_the_one_asked_for(self):
        assert response({"content": "x"}, request=asked(service_tier="flex"))["service_tier"] == "flex"
        assert response({"content": "x"}, request=asked(service_tier="flex"), service_tier="default")[
            "service_tier"
        ] == ("default")

    def test_log_probabilities(self):
        one = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}
        found = response({"content": "Hi"}, choice={"logprobs": {"content": [one], "refusal": None}})
        assert found["output"][0]["content"][0]["logprobs"] == [one]

    def test_a_custom_tool(self):
        call = {"id": "c", "type": "function", "function": {"name": "patch", "arguments": '{"input":"x"}'}}
        found = response({"tool_calls": [call]}, request=asked(tools=[{"type": "custom", "name": "patch"}]))
        assert found["output"] == [{
            "id": "fc_gen-1_0", "type": "custom_tool_call", "status": "completed", "call_id": "c", "name": "patch",
            "input": "x",
        }]  # fmt: skip


def test_its_output_can_be_the_next_input():
    """The round of every agent: what comes of the items is the message that they were made of."""
    details = [
        {"type": "reasoning.text", "text": "hm", "signature": "sig", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "xx", "id": "rs_theirs", "index": 1},
    ]
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"content": "Hi", "reasoning": "hm", "reasoning_details": details, "tool_calls": [call]}
    output = response(message, "tool_calls")["output"]
    [found] = json.loads(messages_of(json.dumps(output).encode(), None))
    assert found == {"role": "assistant", **message}


class TestNoReply:
    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"", "no chat completion"),
            (b"<html>", "no chat completion"),
            (b'{"choices":7}', "no chat completion"),
            (b'{"choices":[]}', "ended its reply with an error"),
            (b'{"error":{"message":"Broken","code":500}}', "Broken"),
        ],
    )
    def test_there_is_nothing_to_make_a_response_of(self, body, message):
        with pytest.raises(ApiError, match=message) as caught:
            response_object(body, asked(), 5, 9)
        assert caught.value.status == 502

    @given(values)
    def test_nothing_else_is_raised(self, message):
        try:
            told = response_object(chat(message if isinstance(message, dict) else {"content": message}), asked(), 5, 9)
        except ApiError:
            return
        assert json.loads(told)["object"] == "response"

    @given(st.binary(max_size=40))
    def test_nor_for_any_bytes(self, body):
        with pytest.raises(ApiError):
            response_object(body, asked(), 5, 9)
