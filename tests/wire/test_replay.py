import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.wire.replay import NotRepeatable, StreamTemplate, events_of, told_again, whole_template

USAGE = {
    "prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21, "cost": 0.0000735, "is_byok": False,
    "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": None},
    "cost_details": {"upstream_inference_cost": None, "upstream_inference_prompt_cost": 3e-05}, "queue_time": 0.25,
    "service": "fast", "by_step": [1, 2.5],
}  # fmt: skip
UNUSED = {
    "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "cost": 0, "is_byok": False,
    "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": None},
    "cost_details": {"upstream_inference_cost": None, "upstream_inference_prompt_cost": 0}, "queue_time": 0,
    "service": "fast", "by_step": [0, 0],
}  # fmt: skip


def reply(content="hi", finish="stop", **members):
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 17,
        "model": "m",
        "choices": [choice],
        **members,
    }


def chunk(delta, finish=None, **members):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 17, "choices": [choice], **members}


def stream(*chunks, done=b"data: [DONE]\n\n"):
    return b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in chunks) + done


def template_of(text):
    template = StreamTemplate()
    for event in events_of(text):
        template.add(event)
    return template.built()


def retold(text):
    return told_again(template_of(text).text, "gen-2", 99)


def retold_events(text):
    *events, done = retold(text).removesuffix(b"\n\n").split(b"\n\n")
    assert done == b"data: [DONE]"
    return [json.loads(event.removeprefix(b"data: ")) for event in events]


FINISH, LAST = chunk({"content": ""}, "stop"), {"id": "chatcmpl-1", "created": 17, "choices": [], "usage": USAGE}


class TestWhole:
    def test_the_same_but_new_and_unused(self):
        template = whole_template(json.dumps(reply(usage=USAGE, system_fingerprint=None)).encode())
        assert template.finish_reason == "stop"
        told = json.loads(told_again(template.text, "gen-2", 99))
        assert told == {**reply(usage=UNUSED, system_fingerprint=None), "id": "gen-2", "created": 99}

    @given(st.text(), st.text(max_size=5))
    def test_whatever_is_in_it(self, content, name):
        value = reply(content, metadata={name: content})
        for body in (json.dumps(value).encode(), json.dumps(value, ensure_ascii=False, indent=1).encode()):
            assert json.loads(told_again(whole_template(body).text, "gen-2", 99)) == {
                **value, "id": "gen-2", "created": 99,
            }  # fmt: skip

    def test_what_the_model_says_is_not_taken_for_ours(self):
        content = '"id":"chatcmpl-1","created":17,"usage":{"cost":1},"error":{"a":1},"finish_reason":"error"'
        told = json.loads(told_again(whole_template(json.dumps(reply(content)).encode()).text, "gen-2", 99))
        assert told["choices"][0]["message"]["content"] == content

    def test_ids_of_other_things_stay(self):
        call = {"id": "chatcmpl-1", "type": "function", "function": {"name": "f", "arguments": '{"id":1}'}}
        value = reply(None, "tool_calls")
        value["choices"][0]["message"]["tool_calls"] = [call]
        template = whole_template(json.dumps(value).encode())
        assert template.finish_reason == "tool_calls"
        told = json.loads(told_again(template.text, "gen-2", 99))
        assert told["choices"] == value["choices"]

    def test_numbers_arrive_as_they_were_written(self):
        body = b'{"id":"a","data":[{"embedding":[0.10000000000000001,1e400,-0,123456789012345678901234567890]}]}'
        assert told_again(whole_template(body).text, "gen-2", 99) == body.replace(b'"a"', b'"gen-2"')

    def test_metadata_of_routing_goes(self):
        told = told_again(whole_template(json.dumps(reply(openrouter_metadata={"a": 1})).encode()).text, "gen-2", 99)
        assert b"openrouter_metadata" not in told

    def test_what_groq_says_once_more(self):
        body = json.dumps(reply(x_groq={"id": "req_1", "usage": USAGE})).encode()
        told = json.loads(told_again(whole_template(body).text, "gen-2", 99))
        assert told["x_groq"] == {"id": "req_1", "usage": UNUSED}

    def test_where_there_is_no_id_none_is_made_up(self):
        body = b'{"object":"list","data":[],"usage":{"prompt_tokens":3,"total_tokens":3}}'
        assert told_again(whole_template(body).text, "g", 9) == body.replace(b"3", b"0")
        assert told_again(whole_template(b'{"id":null,"created":null,"usage":null}').text, "g", 9) == (
            b'{"id":null,"created":null,"usage":null}'
        )

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"[]", b"null", b"{", b"<html>", b'{"id":"\x00"}', b'{"id":"a"} x', b'{"a":' + b"[" * 100_000,
            json.dumps(reply(finish=None)).encode(), json.dumps(reply(finish="error")).encode(),
            json.dumps(reply(error={"code": 502, "message": "broke off"})).encode(), b'{"error":"x"}',
            b'{"choices":[]}', b'{"id":"a","usage":{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}}",
            json.dumps({"choices": [{"finish_reason": "error"}, {"finish_reason": "stop"}]}).encode(),
        ],
    )  # fmt: skip
    def test_what_is_not_complete_is_not_repeated(self, body):
        with pytest.raises(NotRepeatable):
            whole_template(body)

    def test_an_error_that_is_none(self):
        assert whole_template(json.dumps(reply(error=None)).encode()).finish_reason == "stop"


class TestStream:
    def test_the_same_but_new_and_unused(self):
        sent = [chunk({"role": "assistant", "content": ""}), chunk({"content": "hi"}), FINISH, LAST]
        assert retold_events(stream(*sent)) == [
            *({**one, "id": "gen-2", "created": 99} for one in sent[:3]),
            {**LAST, "id": "gen-2", "created": 99, "usage": UNUSED},
        ]

    def test_bytes_are_those_that_were_sent(self):
        sent = b'data: {"id":"a","choices":[{"delta":{"content":"\\u00e9\\/ 1"},"finish_reason":"stop"}]}\n\n'
        assert retold(sent) == sent.replace(b'"a"', b'"gen-2"') + b"data: [DONE]\n\n"

    @pytest.mark.parametrize("end", [b"\r\n", b"\r", b"\n"])
    def test_line_ends(self, end):
        sent = stream(chunk({"content": "hi"}), FINISH)
        assert retold(sent.replace(b"\n", end)) == retold(sent)

    def test_signs_of_life_go(self):
        sent = stream(chunk({"content": "hi"}), FINISH)
        noisy = b": OPENROUTER PROCESSING\n\n\n\n" + sent.replace(b"data: {", b": still here\ndata:{")
        assert retold(noisy) == retold(sent) == retold(b"\xef\xbb\xbf" + sent)

    def test_names_of_events_stay(self):
        assert retold(b"event: ping\nid: 7\n" + stream(FINISH)).startswith(b"event: ping\nid: 7\ndata: {")

    def test_data_on_several_lines_comes_on_one(self):
        pretty = json.dumps(FINISH, indent=2).encode()
        sent = b"data: " + pretty.replace(b"\n", b"\ndata: ") + b"\n\n"
        assert json.loads(re.match(rb"data: (.*)\n", retold(sent))[1]) == {**FINISH, "id": "gen-2", "created": 99}

    def test_metadata_of_routing_goes(self):
        assert "openrouter_metadata" not in retold_events(stream(FINISH, {**LAST, "openrouter_metadata": {}}))[-1]

    @pytest.mark.parametrize("done", [b"", b"data: [DONE]", b"data:[DONE]\n\ndata: what comes after\n\n"])
    def test_it_ends_with_done_however_it_did(self, done):
        assert retold(stream(chunk({"content": "hi"}), FINISH, done=done)) == retold(
            stream(chunk({"content": "hi"}), FINISH)
        )

    def test_the_last_reason_is_told(self):
        assert template_of(stream(chunk({}, "tool_calls"), LAST)).finish_reason == "tool_calls"

    @pytest.mark.parametrize(
        "sent",
        [
            b"", b": nothing\n\n", b"data: [DONE]\n\n", stream(chunk({"content": "hi"})),
            stream(chunk({"content": "hi"}), {"error": {"code": 502}, "choices": [{"finish_reason": "error"}]}),
            stream(FINISH, {"error": {"message": "broke off"}}), stream(chunk({}, "error")), b"data: hello\n\n",
            b"data: [1]\n\n", b'data: {"choices":[{"finish_reason":"stop"\n\n', b'data: {"a"\ndata: :}\n\n',
            json.dumps(reply()).encode(), b"data: \n\n",
        ],
    )  # fmt: skip
    def test_what_is_not_complete_is_not_repeated(self, sent):
        with pytest.raises(NotRepeatable):
            template_of(sent)
