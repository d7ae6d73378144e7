"""What replies say, over a socket: the API itself, and the scripts that change the content."""

import gzip

import brotli
import pytest

from fairlead.demo import DEMO_PROVIDERS, Personality
from fairlead.demo import answer as module

pytestmark = pytest.mark.anyio


async def test_a_completion(ask, peer):
    reply = await ask(messages=[{"role": "user", "content": "why is it so?"}])
    assert (reply.status, reply.header("content-type")) == (200, "application/json")
    assert reply.header("x-demo-provider") == "demo"
    completion = reply.json()
    (choice,) = completion["choices"]
    text = choice["message"]["content"]
    assert (completion["object"], completion["model"], choice["finish_reason"]) == (
        "chat.completion",
        "demo/chat",
        "stop",
    )
    assert text.startswith("[DEMO] This is simulated text from demo provider demo;")
    assert "“why is it so?”" in text
    assert completion["usage"]["completion_tokens"] == len(text.split())
    await peer.post(messages=[{"role": "user", "content": "why is it so?"}])
    again = (await peer.reply()).json()
    assert again["choices"] == completion["choices"]
    assert again["id"] != completion["id"]


async def test_a_stream(ask):
    reply = await ask(stream=True)
    assert reply.header("content-type") == "text/event-stream"
    assert reply.events()[-1] == "[DONE]"
    assert [chunk.count(b"\n\n") for chunk in reply.chunks] == [1] * len(reply.chunks)
    first, *words, last = reply.chunks_of_chat()
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert all(chunk["choices"][0]["delta"].keys() == {"content"} for chunk in words)
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "stop")


async def test_stream_and_completion_say_the_same_words(ask):
    stream = await ask({"text": "  two\n\nwords "}, stream=True)
    whole = await ask({"text": "  two\n\nwords "})
    streamed = [chunk["choices"][0]["delta"].get("content", "") for chunk in stream.chunks_of_chat()]
    assert "".join(streamed) == whole.json()["choices"][0]["message"]["content"] == "  two\n\nwords "


async def test_usage_is_streamed_when_it_is_asked_for(ask):
    reply = await ask({"tokens": 5}, stream=True, stream_options={"include_usage": True})
    *others, last = reply.chunks_of_chat()
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 5
    assert {chunk["usage"] for chunk in others} == {None}
    silent = await ask({"tokens": 5}, stream=True)
    assert not any("usage" in chunk for chunk in silent.chunks_of_chat())


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
async def test_a_limit_cuts_the_words(ask, limit):
    reply = (await ask(**{limit: 3})).json()
    assert reply["choices"][0]["message"]["content"] == "[DEMO] This is"[: len("[DEMO] This is")] + " "
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] == 3


async def test_any_prefix_of_the_path_will_do(peer):
    for target in ("/chat/completions", "/api/v1/chat/completions?x=1"):
        await peer.post(target=target)
        assert (await peer.reply()).status == 200
    await peer.get("/openai/v1/models")
    assert (await peer.reply()).json() == {"object": "list", "data": []}


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/v1/embeddings", 404, "unknown_url"),
    ],
)
async def test_what_is_not_served(peer, method, target, status, code):
    await peer.post(target=target, method=method)
    reply = await peer.reply()
    assert (reply.status, reply.json()["error"]["code"]) == (status, code)


async def test_head_requests_get_no_body(peer):
    await peer.get("/v1/models", method="HEAD")
    reply = await peer.reply()
    assert (reply.status, reply.body) == (405, b"")


async def test_a_body_that_is_not_json(peer):
    await peer.post(b"{nope")
    reply = await peer.reply()
    assert reply.status == 400
    assert reply.json()["error"]["type"] == "invalid_request_error"


async def test_a_model_that_is_not_sold(start, dial):
    peer = await dial(await start(DEMO_PROVIDERS[0].without_latency()))
    await peer.post(model="demo/reasoner")
    reply = await peer.reply()
    assert (reply.status, reply.json()["error"]["code"]) == (404, "model_not_found")
    await peer.get("/v1/models")
    assert [item["id"] for item in (await peer.reply()).json()["data"]] == ["demo/chat", "demo/chat-mini"]


async def test_a_personality_that_fails(start, dial):
    peer = await dial(await start(Personality(name="broken", failure_share=1.0)))
    await peer.post()
    reply = await peer.reply()
    assert (reply.status, reply.json()["error"]["code"]) == (503, "overloaded")
    assert reply.header("x-demo-provider") == "broken"
    await peer.get("/v1/models")
    assert (await peer.reply()).status == 200


async def test_composed_answers_are_remembered_within_limits(sim, ask, monkeypatch):
    monkeypatch.setattr(module, "MAX_REMEMBERED", 2)
    for content in "abcab":
        reply = await ask(messages=[{"role": "user", "content": content}])
        assert f"“{content}”" in reply.json()["choices"][0]["message"]["content"]
        assert len(sim._provider._remembered) <= 2


# Scripts.


async def test_status_and_retry_after(ask):
    reply = await ask({"status": 429, "retry_after": "2"}, stream=True)
    assert (reply.status, reply.header("retry-after")) == (429, "2")
    assert reply.json()["error"]["code"] == "rate_limit_exceeded"
    assert (await ask({"status": 201})).json()["choices"]


@pytest.mark.parametrize("status", [204, 304])
async def test_statuses_without_a_body(ask, status):
    reply = await ask({"status": status})
    assert (reply.status, reply.body, reply.header("content-length")) == (status, b"", None)
    assert (await ask()).status == 200


async def test_headers_are_added_and_replace_ours(ask):
    scripted = (("Set-Cookie", "a=b"), ("Set-Cookie", "c=d"), ("Content-Type", "text/x"))
    reply = await ask({"headers": scripted})
    assert [pair for pair in reply.headers if pair[0].lower() in ("set-cookie", "content-type")] == [*scripted]


async def test_a_body_as_it_is(ask):
    reply = await ask({"body": b"\xff\x00", "status": 500}, stream=True)
    assert (reply.status, reply.body) == (500, b"\xff\x00")


async def test_a_web_page(ask):
    reply = await ask({"html": True})
    assert (reply.status, reply.header("content-type")) == (200, "text/html; charset=utf-8")
    assert reply.body.startswith(b"<!doctype html>")


async def test_nothing(ask):
    reply = await ask({"empty": True}, stream=True)
    assert (reply.status, reply.header("content-length"), reply.body) == (200, "0", b"")


async def test_the_number_of_words(ask):
    reply = await ask({"tokens": 7})
    assert len(reply.json()["choices"][0]["message"]["content"].split()) == 7


async def test_other_usage(ask):
    usage = {"prompt_tokens": 10**12, "odd": None}
    assert (await ask({"usage": usage})).json()["usage"] == usage
    stream = await ask({"usage": usage}, stream=True, stream_options={"include_usage": True})
    assert stream.chunks_of_chat()[-1]["usage"] == usage


async def test_an_error_in_the_stream(ask):
    reply = await ask({"error_in_stream": 3}, stream=True)
    *chunks, last = reply.chunks_of_chat()
    assert len(chunks) == 3
    assert last["error"]["type"] == "server_error"
    assert reply.events()[-1] != "[DONE]"


async def test_missing_events(ask):
    without_done = await ask({"tokens": 2, "missing_done": True}, stream=True)
    assert without_done.chunks_of_chat()[-1]["choices"][0]["finish_reason"] == "stop"
    assert "[DONE]" not in without_done.events()
    without_finish = await ask({"tokens": 2, "missing_finish": True}, stream=True)
    assert {chunk["choices"][0]["finish_reason"] for chunk in without_finish.chunks_of_chat()} == {None}
    assert without_finish.events()[-1] == "[DONE]"


async def test_a_malformed_event(ask):
    reply = await ask({"malformed_event": 1}, stream=True)
    good, bad, *_ = reply.events()
    assert good.endswith("}]}")
    assert bad.endswith('"content":"')


@pytest.mark.parametrize(("encoding", "unpack"), [("gzip", gzip.decompress), ("br", brotli.decompress)])
async def test_encodings(ask, encoding, unpack):
    plain = await ask({"text": "hi"})
    packed = await ask({"text": "hi", "encoding": encoding})
    assert packed.header("content-encoding") == encoding
    assert len(unpack(packed.body)) == len(plain.body)
    assert unpack((await ask({"status": 500, "encoding": encoding})).body).startswith(b'{"error"')
    assert (await ask({"encoding": encoding}, stream=True)).header("content-encoding") is None


@pytest.mark.parametrize("is_stream", [True, False])
async def test_a_flood_is_well_formed(ask, is_stream):
    reply = await ask({"flood_bytes": 1_000_000}, stream=is_stream)
    assert len(reply.body) == 1_000_000
    if is_stream:
        assert reply.events()[-1] == "[DONE]"
        assert all(chunk["choices"] for chunk in reply.chunks_of_chat())
    else:
        assert reply.json()["choices"]


async def test_scripts_compose(ask):
    script = {"text": "a b", "usage": {"x": 1}, "missing_done": True, "headers": (("x-a", "1"),), "chunk_bytes": 5}
    reply = await ask(script, stream=True, stream_options={"include_usage": True})
    assert reply.header("x-a") == "1"
    assert len(reply.events()) == 5
