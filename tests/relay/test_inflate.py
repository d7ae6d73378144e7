"""Replies that come compressed though nobody asked for that: the caller gets them as any other."""

import gzip
import json
import re
import zlib

import brotli
import pytest

from fairlead.demo.script import Script
from fairlead.health.outcome import Verdict
from harness.gateway import gateway
from harness.http import ask, chat_body, events

pytestmark = pytest.mark.anyio

PATHS = ["/v1/chat/completions", "/api/v1/chat/completions", "/v1/responses"]
CHAT = PATHS[:2]
WORDS = [f"word{n} " for n in range(2_000)]
STREAM = ("content-type", "text/event-stream")


def event(**members):
    return b"data: %b\n\n" % json.dumps({"id": "chatcmpl-n", "object": "chat.completion.chunk", **members}).encode()


def said(text="", finish=None):
    return event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": finish}])


USAGE = event(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 4})
WHOLE = [*map(said, WORDS), said(finish="stop"), USAGE, b"data: [DONE]\n\n"]
ENCODINGS = {
    "gzip": ("gzip", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "bare": ("deflate", lambda body: zlib.compress(body)[2:-4]),
    "members": ("x-gzip", lambda body: gzip.compress(body[:7_000]) + gzip.compress(body[7_000:])),
}


def packed(how, body, *headers, **more):
    encoding, pack = ENCODINGS[how]
    return Script(body=pack(body), headers=(*headers, ("content-encoding", encoding)), **more)


def body_for(path, *, stream):
    if not path.endswith("responses"):
        return chat_body(stream=stream)
    return json.dumps({"model": "acme/large", "input": "hi", "stream": stream}).encode()


def text_of(answer):
    """The text of a stream of either API."""
    told = [json.loads(one) for one in events(answer.body) if one != b"[DONE]"]
    deltas = [one.get("delta") for one in told if one.get("type") == "response.output_text.delta"]
    choices = [choice for one in told for choice in one.get("choices", [])]
    return "".join([*deltas, *(choice["delta"].get("content") or "" for choice in choices)])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("how", ENCODINGS)
async def test_a_stream_is_read_and_passed_on_plain_with_its_cost(path, how):
    async with gateway(packed(how, b"".join(WHOLE), STREAM, chunk_bytes=97)) as served:
        answer = await ask(served, body_for(path, stream=True), path=path)
        assert "content-encoding" not in answer.headers
        assert text_of(answer) == "".join(WORDS)
        assert b'"cost":' in answer.body
        [record] = served.records
        assert (record.end, record.finish_reason, record.is_estimated) == ("ok", "stop", False)


@pytest.mark.parametrize("path", CHAT)
async def test_one_that_has_an_end_of_framing_and_none_of_its_own_is_not_taken_for_whole(path):
    async with gateway(packed("gzip", b"".join(WHOLE[:-3]), STREAM)) as served:
        answer = await ask(served, chat_body(stream=True), path=path)
        assert b'"finish_reason":"error"' in answer.body
        assert (served.records[0].end, served.records[0].attempts[0].verdict) == ("cut", Verdict.CUT)


@pytest.mark.parametrize("path", CHAT)
async def test_one_that_breaks_off_is_told_in_band(path):
    whole = packed("gzip", b"".join(WHOLE), STREAM)
    cut = Script(body=whole.body[: len(whole.body) // 2], headers=whole.headers, token_delay_s=0.001)
    async with gateway(cut) as served:
        answer = await ask(served, chat_body(stream=True), path=path)
        assert answer.status == 200
        passed = re.findall(r"word[0-9]+ ", answer.body.decode())
        assert (passed, bool(passed)) == (WORDS[: len(passed)], True)
        assert answer.is_whole is (b'"error"' in answer.body)  # inside an event the connection breaks
        assert (served.records[0].end, served.failures_in_row("sim0:acme/large")) == ("cut", 1)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", PATHS)
async def test_what_cannot_be_unpacked_at_all_is_asked_for_elsewhere(path, stream):
    garbage = Script(body=b"\x1f\x8b\x08no, it is not" * 9, headers=(STREAM, ("content-encoding", "gzip")))
    async with gateway(garbage, Script(text="here")) as served:
        answer = await ask(served, body_for(path, stream=stream), path=path)
        assert b"here" in answer.body
        assert [one.verdict for one in served.records[0].attempts] == [Verdict.PROTOCOL, Verdict.OK]


@pytest.mark.parametrize("path", PATHS)
async def test_a_stream_in_an_encoding_that_nobody_here_can_read_is_asked_for_elsewhere(path):
    """Where it ends, and how, could not be told."""
    odd = Script(body=brotli.compress(b"".join(WHOLE)), headers=(STREAM, ("content-encoding", "br")))
    async with gateway(odd, Script(text="here")) as served:
        assert "here" in text_of(await ask(served, body_for(path, stream=True), path=path))
        first = served.records[0].attempts[0]
        assert (first.verdict, "encoded (br)" in first.message) == (Verdict.PROTOCOL, True)
        assert served.failures_in_row("sim0:acme/large") == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_alone_it_is_an_error_where_the_reply_has_to_be_changed(stream):
    async with gateway(Script(body=b"whatever", headers=(STREAM, ("content-encoding", "zstd")))) as served:
        for path in PATHS[1:]:
            answer = await ask(served, body_for(path, stream=stream), path=path)
            assert (answer.status, "sent something that is no reply" in answer.json["error"]["message"]) == (502, True)


@pytest.mark.parametrize("size", [10_000, 3_000_000])
async def test_a_reply_that_is_no_stream_passes_plain_however_long_it_is(size):
    message = {"role": "assistant", "content": "x" * size}
    whole = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": {}}
    async with gateway(packed("gzip", json.dumps(whole).encode())) as served:
        for path in CHAT:
            answer = await ask(served, chat_body(), path=path)
            assert answer.is_whole
            assert answer.json["choices"][0]["message"]["content"] == "x" * size
            assert "content-encoding" not in answer.headers


async def test_a_bomb_in_a_stream_goes_off_at_the_callers_pace():
    """A kilobyte that becomes a megabyte is unpacked as it is taken, and none of it is lost."""
    body = b"".join([said("x" * 4_000_000), *WHOLE])
    async with gateway(packed("gzip", body, STREAM)) as served:
        answer = await ask(served, chat_body(stream=True))
        assert text_of(answer) == "x" * 4_000_000 + "".join(WORDS)
        assert max(map(len, answer.parts)) <= 1_000_000
        assert served.records[0].end == "ok"


async def test_it_can_be_gone_on_with_when_it_breaks_off():
    half = packed("gzip", b"".join(WHOLE), STREAM)
    cut = Script(body=half.body[: len(half.body) // 2], headers=half.headers)
    async with gateway(cut, packed("zlib", b"".join(WHOLE), STREAM), resume_tokens=100_000) as served:
        answer = await ask(served, chat_body(stream=True, temperature=0), path=CHAT[1])
        assert text_of(answer) == "".join(WORDS)
        assert [one.verdict for one in served.records[0].attempts] == [Verdict.CUT, Verdict.OK]
