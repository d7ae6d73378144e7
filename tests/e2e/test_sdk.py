"""What users of OpenAI's SDK get."""

import asyncio
import json

import pytest
from openai import AsyncOpenAI, OpenAI

from .caller import HELLO
from .conftest import CLIENT_KEY

BASES = ("/v1", "/api/v1", "/openai/v1")
TEXT = "Grüße, 世界 — 👩‍🚀 “quoted” \\ \u2028 \t and an é"


@pytest.mark.parametrize("base", BASES)
class TestOnEachBase:
    def test_sync(self, shared, solo, model, base):
        solo.does(text=TEXT)
        with OpenAI(base_url=shared.url + base, api_key=CLIENT_KEY) as client:
            completion = client.chat.completions.create(model=model, messages=HELLO)
            assert completion.choices[0].message.content == TEXT
            assert completion.choices[0].finish_reason == "stop"
            assert completion.usage.completion_tokens > 0
            with client.chat.completions.create(model=model, messages=HELLO, stream=True) as stream:
                assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == TEXT

    @pytest.mark.anyio
    async def test_async(self, shared, solo, model, base):
        solo.does(text=TEXT)
        async with AsyncOpenAI(base_url=shared.url + base, api_key=CLIENT_KEY) as client:
            completion = await client.chat.completions.create(model=model, messages=HELLO)
            assert completion.choices[0].message.content == TEXT
            assert await streamed(client, model) == TEXT

    def test_models(self, shared, base, model):
        with OpenAI(base_url=shared.url + base, api_key=CLIENT_KEY) as client:
            listed = {listed.id: listed for listed in client.models.list()}
            assert listed[model].owned_by == "solo"
            assert client.models.retrieve(model) == listed[model]


async def streamed(client, model):
    async with await client.chat.completions.create(model=model, messages=HELLO, stream=True) as stream:
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


@pytest.mark.parametrize("is_stream", [False, True])
def test_headers_tell_where_the_reply_comes_from(client, solo, model, is_stream):
    create = client.chat.completions.with_raw_response.create
    raw = create(model=model, messages=HELLO, stream=is_stream, extra_headers={"x-request-id": "mine-1"})
    assert raw.headers["x-request-id"] == "mine-1"
    assert raw.headers["x-generation-id"].startswith("gen-")
    assert raw.headers["x-fairlead-provider"] == "solo"
    assert raw.headers["content-type"].startswith("text/event-stream" if is_stream else "application/json")
    raw.parse()
    raw.http_response.close()


def test_what_is_sent_arrives_but_for_the_name_of_the_model(client, solo, model):
    tools = [
        {
            "type": "function",
            "function": {
                "name": "look_up",
                "description": TEXT,
                "parameters": {"type": "object", "properties": {"größe": {"type": "integer", "maximum": 2**63}}},
            },
        }
    ]
    sent = {
        "messages": [{"role": "user", "content": TEXT}, {"role": "assistant", "content": None, "tool_calls": []}],
        "tools": tools,
        "tool_choice": {"type": "function", "function": {"name": "look_up"}},
        "temperature": 0.1,
        "seed": 12345678901234567890,
    }
    client.chat.completions.create(model=model, **sent)
    [request] = solo.requests
    arrived = request.json()
    assert arrived.pop("model") == f"solo-{model.replace('/m', '-')}"
    assert arrived == sent
    assert request.header("authorization") == "Bearer sk-e2e-upstream-of-solo"
    assert CLIENT_KEY.encode() not in request.head


def test_a_prompt_of_a_megabyte(client, solo, model):
    prompt = TEXT * (1_000_000 // len(TEXT))
    completion = client.chat.completions.create(model=model, messages=[{"role": "user", "content": prompt}])
    assert completion.choices[0].finish_reason == "stop"
    assert json.loads(solo.requests[0].body)["messages"][0]["content"] == prompt


@pytest.mark.anyio
async def test_a_hundred_streams_at_once(shared, solo, model):
    solo.does(text="all of it " * 20, token_delay_s=0.01)
    async with AsyncOpenAI(base_url=shared.base_url, api_key=CLIENT_KEY) as client:
        create = client.chat.completions.create
        streams = await asyncio.gather(*(create(model=model, messages=HELLO, stream=True) for _ in range(100)))

        async def read(stream):
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

        texts = await asyncio.gather(*map(read, reversed(streams)))
    assert texts == ["all of it " * 20] * 100
    assert len(solo.requests) == 100
