import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.wire.ending import ended_in, finish_reason, is_done, is_whole, reason_and_id, reply_id

DONE = b"data: [DONE]\n\n"


def event(**members):
    return b"data: " + json.dumps(members).encode() + b"\n\n"


def chunk(reason=None, content="x"):
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": reason, "native_finish_reason": "native"}
    return event(id="chatcmpl-1", object="chat.completion.chunk", choices=[choice], usage=None)


REPLY = {
    "id": "chatcmpl-1",
    "choices": [{"message": {"tool_calls": [{"id": "call_1"}]}, "finish_reason": "tool_calls"}],
    "usage": {},
}


class TestFinishReason:
    @pytest.mark.parametrize(
        ("tail", "reason"),
        [
            (b"", ""),
            (DONE, ""),
            (chunk() + DONE, ""),
            (chunk("stop") + DONE, "stop"),
            (chunk() + chunk("length") + chunk() + event(choices=[], usage={}) + DONE, "length"),
            (chunk("stop") + chunk("") + DONE, "stop"),
            (chunk("stop") + chunk("error") + DONE, "error"),
            (json.dumps(REPLY).encode(), "tool_calls"),
            (json.dumps(REPLY, indent=2).encode(), "tool_calls"),
            (b'{"finish_reason" :\t"stop" }', "stop"),
            (b'"finish_reason":"sto', ""),
            (b'"finish_reason":7', ""),
        ],
    )
    def test_the_last_that_is_one(self, tail, reason):
        assert finish_reason(tail) == reason

    def test_what_a_model_says_is_none(self):
        assert finish_reason(chunk(content='"finish_reason":"stop"') + DONE) == ""

    @given(st.integers(0, 400))
    def test_the_tail_may_begin_anywhere(self, cut):
        tail = chunk() + chunk("stop") + DONE
        assert finish_reason(tail[min(cut, tail.index(b'"finish_reason": "stop"')) :]) == "stop"

    @given(st.binary(max_size=60))
    def test_noise(self, noise):
        assert finish_reason(noise) == ""
        assert isinstance(finish_reason(b'"finish_reason":"' + noise + b'"'), str)


class TestReplyId:
    @pytest.mark.parametrize(
        "part",
        [
            chunk() + DONE,
            chunk()[30:] + chunk() + DONE,
            (chunk() + DONE).replace(b"\n", b"\r\n"),
            b": hello\n\n" + chunk(),
            chunk().replace(b": ", b":"),
            b'data:\t{ "id" : "chatcmpl-1"',
            json.dumps(REPLY).encode(),
            json.dumps(REPLY, indent=2).encode(),
            b"\n" * 20 + json.dumps(REPLY).encode(),
            json.dumps(REPLY).encode()[:60],
            json.dumps(dict(reversed(REPLY.items()))).encode(),
            event(choices=[{"delta": {"tool_calls": [{"id": "call_1"}]}}], id="chatcmpl-1") + DONE,
        ],
    )
    def test_of_the_reply_and_not_of_something_in_it(self, part):
        assert reply_id(part) == "chatcmpl-1"

    @pytest.mark.parametrize(
        "part",
        [b"", DONE, b"{}", b"[]", b'{"id":7}', b'{"id":null}', b'data: {"x":{"id":"a"}}\n\n', b'{"x":{"id":"a"}'],
    )
    def test_none_is_told(self, part):
        assert reply_id(part) == ""

    def test_one_with_escapes_is_read(self):
        assert reply_id(event(id='a"b')) == 'a"b'

    @given(st.binary(max_size=60))
    def test_noise(self, noise):
        assert isinstance(reply_id(noise), str)
        assert isinstance(reply_id(b'data: {"id":"' + noise), str)


class TestWhole:
    @pytest.mark.parametrize("end", [DONE, b"data:[DONE]\n\n", b"data: [DONE]\r\n\r\n", b"data: [DONE]"])
    def test_one_that_says_that_it_is_done(self, end):
        assert is_done(chunk() + end)
        assert is_whole(chunk() + end)

    def test_one_that_says_why_it_has_stopped(self):
        tail = chunk() + chunk("length", "") + event(choices=[], usage={"prompt_tokens": 1})
        assert is_whole(tail)
        assert not is_done(tail)

    @given(st.text())
    def test_not_one_that_only_speaks_of_it(self, text):
        for said in (text, "data: [DONE]", '"finish_reason":"stop"', '{"finish_reason": "stop"}'):
            assert not is_whole(chunk(content=said))

    def test_not_one_that_says_nothing(self):
        assert not is_whole(b"")
        assert not is_whole(chunk())


class TestEndedIn:
    @pytest.mark.parametrize(
        ("choices", "ended"),
        [
            ([], set()),
            ([{"index": 1, "finish_reason": None}], set()),
            ([{"index": 1, "finish_reason": ""}], set()),
            ([{"index": 1, "finish_reason": "stop"}], {1}),
            ([{"finish_reason": "stop"}], {0}),
            ([{"index": 0, "finish_reason": None}, {"index": 3, "finish_reason": "length"}], {3}),
            ([{"index": 2, "finish_reason": "stop"}, {"index": 3, "finish_reason": "stop"}], {2, 3}),
        ],
    )
    def test_the_choices_that_say_so(self, choices, ended):
        told = event(choices=choices)
        assert ended_in(told.rstrip()) == ended
        assert ended_in(b": ping\nevent: x\n" + told.replace(b": ", b":").rstrip()) == ended

    def test_what_a_model_says_is_none(self):
        assert ended_in(chunk(content='"finish_reason":"stop"')) == set()

    @given(st.binary(max_size=60))
    def test_noise(self, noise):
        assert ended_in(noise) == set()
        assert ended_in(b'data: {"finish_reason":"stop"' + noise) == set()


@pytest.mark.parametrize(
    "reply",
    [
        b'{"id":"x-1","choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}]}',
        b'{"choices":[{"finish_reason":"length"},{"finish_reason":null}],"id":"late"}',
        b'{"choices":[{"finish_reason":"length"},{"finish_reason":"stop"}]}',
        b'{"id":"x","choices":[]}',
        b"{}",
        b"no JSON",
        b'{"id":7,"choices":[{"finish_reason":"stop"}]}',
        b'{"id":"x","choices":[{"index":"0","finish_reason":"stop"}]}',
        b'{"id":"x","choices":null,"usage":{}}',
        b'{"id":"%b","choices":[{"finish_reason":"stop"}]}' % (b"x" * 300),
    ],
)
def test_of_a_whole_reply_both_are_found_in_one_go(reply):
    assert reason_and_id(reply) == (finish_reason(reply), reply_id(reply))
