import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.catalog.pricing import Bill, Usage
from fairlead.wire.openrouter_reply import adapted_reply, as_events
from fairlead.wire.openrouter_shape import UNREADABLE, Identity
from harness.jsontext import damaged

IDENTITY = Identity("gen-1", "Acme", "acme/large", 5)
REPLY = {
    "id": "chatcmpl-9", "object": "chat.completion", "created": 1, "model": "large-0812",
    "choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "end_turn"}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 3},
}  # fmt: skip


def adapted(reply, metadata=None):
    body = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
    return adapted_reply(body, IDENTITY, lambda _: Bill(10, 4, 6), lambda: Usage(7, 8), metadata)


def test_has_all_that_openrouters_clients_look_for():
    body, usage = adapted(REPLY)
    assert json.loads(body) == {
        "id": "gen-1", "provider": "Acme", "model": "acme/large", "object": "chat.completion", "created": 5,
        "system_fingerprint": None,
        "choices": [{
            "index": 0, "logprobs": None, "finish_reason": "stop", "native_finish_reason": "end_turn",
            "message": {"role": "assistant", "content": "Hi", "refusal": None, "reasoning": None},
        }],
        "usage": {
            "prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0},
            "cost": 1e-8, "is_byok": False,
            "cost_details": {
                "upstream_inference_cost": None, "upstream_inference_prompt_cost": 4e-9,
                "upstream_inference_completions_cost": 6e-9,
            },
        },
    }  # fmt: skip
    assert usage == Usage(12, 3)


def test_what_nobody_knows_stays_and_long_numbers_do():
    body, _ = adapted(
        b'{"choices":[{"message":{"content":"\\u00e9","x":[1.10]},"y":{"z":12345678901234567890123}}],'
        b'"system_fingerprint":"fp","service_tier":"flex","new":{"a":1}}'
    )
    for kept in (b'"content":"\\u00e9"', b'"x":[1.10]', b'"z":12345678901234567890123', b'"system_fingerprint":"fp"'):
        assert kept in body
    assert json.loads(body)["new"] == {"a": 1}


def test_reasoning_and_calls():
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"content": None, "reasoning_content": "hm", "tool_calls": [call], "annotations": None}
    body, _ = adapted({**REPLY, "choices": [{"message": message, "finish_reason": "stop"}]})
    [choice] = json.loads(body)["choices"]
    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("tool_calls", "stop")
    assert choice["message"]["reasoning"] == choice["message"]["reasoning_content"] == "hm"
    assert choice["message"]["tool_calls"] == [call]
    assert "annotations" not in choice["message"]


def test_a_usage_that_the_provider_does_not_tell_is_reckoned():
    body, usage = adapted({"choices": []})
    assert usage is None
    assert json.loads(body)["usage"]["total_tokens"] == 15


def test_routing_is_told_to_who_asks():
    body, _ = adapted(REPLY, lambda: b'{"attempt":1}')
    assert json.loads(body)["openrouter_metadata"] == {"attempt": 1}


@pytest.mark.parametrize("cut", [b"\xe6\xbc", b"\\ud83d"])
def test_broken_text_is_repaired(cut):
    body, _ = adapted(b'{"choices":[{"message":{"content":"a%b"}}]}' % cut)
    assert json.loads(body)["choices"][0]["message"]["content"] == "a\ufffd"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"error":{"message":"no"}}', b'{"choices":{}}'])
def test_what_is_no_completion_is_returned_as_it_came(body):
    assert adapted(body)[0] == body


def test_a_whole_reply_can_be_told_as_a_stream():
    first, last = as_events(json.dumps(REPLY).encode()).removesuffix(b"\n\n").split(b"\n\n")
    assert last == b"data: [DONE]"
    assert json.loads(first.removeprefix(b"data: ")) == {
        **REPLY,
        "choices": [{"delta": {"role": "assistant", "content": "Hi"}, "finish_reason": "end_turn"}],
    }
    with pytest.raises(UNREADABLE):
        as_events(b'{"error":1}')


members = st.dictionaries(
    st.sampled_from([b"message", b"finish_reason", b"index", b"logprobs", b"x"]),
    damaged() | st.just(b"null"),
    max_size=3,
)
messages = st.dictionaries(
    st.sampled_from(
        [b"role", b"content", b"tool_calls", b"reasoning", b"reasoning_details", b"reasoning_content", b"refusal"]
    ),
    damaged()
    | st.sampled_from(
        [b"null", b"[]", b'""', b'[{"type":"text","text":"a"}]', b'[{"id":"a","function":{"name":"f"}}]']
    ),
    max_size=4,
)


def objects(of):
    return of.map(lambda found: b"{%b}" % b",".join(b'"%b":%b' % member for member in found.items()))


@given(objects(members), objects(messages), damaged())
def test_whatever_comes_is_adapted_or_passed_on(choice, message, usage):
    """What was JSON stays JSON, with the same number of choices."""
    body = b'{"id":"x","choices":[%b,{"message":%b}],"usage":%b}' % (choice, message, usage)
    shaped, _ = adapted(body)
    try:
        before = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    after = msgspec.json.decode(shaped)
    assert len(after["choices"]) == len(before["choices"])


@given(damaged() | objects(members))
def test_whatever_comes_is_a_stream_or_unreadable(body):
    try:
        stream = as_events(body)
    except UNREADABLE:
        return
    event, end = stream.split(b"\n\n", 1)
    assert end == b"data: [DONE]\n\n"
    assert b"\n" not in event
    msgspec.json.decode(event.removeprefix(b"data: "))
