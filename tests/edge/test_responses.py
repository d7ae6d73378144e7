"""POST responses, as a caller sees it: the official client, and the bytes."""

import json

import openai
import pytest

from fairlead.demo.script import Script
from fairlead.relay.keepalive import KeepAlive
from harness.gateway import KEY, MODEL, gateway
from harness.http import ask, chat_body

pytestmark = pytest.mark.anyio

PATHS = ["/v1/responses", "/api/v1/responses", "/openai/v1/responses"]


def body(content="hi", **members):
    return json.dumps({"model": MODEL, "input": content, **members}).encode()


def events(answer):
    """The events' data, but for `[DONE]`, which must be the last."""
    *told, last = [line.removeprefix(b"data: ") for line in answer.body.split(b"\n") if line.startswith(b"data: ")]
    assert last == b"[DONE]"
    return [json.loads(one) for one in told]


@pytest.fixture
async def client():
    async with (
        gateway(Script(text="Rain falls.")) as served,
        openai.AsyncOpenAI(api_key=KEY, base_url=served.base_url, max_retries=0) as client,
    ):
        client.served = served
        yield client


class TestOfficialClient:
    async def test_whole(self, client):
        response = await client.responses.create(model=MODEL, input="What falls?", instructions="Be brief.")
        assert (response.output_text, response.status, response.model) == ("Rain falls.", "completed", MODEL)
        assert response.instructions == "Be brief."
        assert response.usage.output_tokens > 0
        sent = json.loads(client.served.simulators[0].requests[0].body)["messages"]
        assert [message["role"] for message in sent] == ["system", "user"]

    async def test_streamed(self, client):
        async with client.responses.stream(model=MODEL, input="What falls?") as stream:
            told = [event.type async for event in stream]
            response = await stream.get_final_response()
        assert response.output_text == "Rain falls."
        assert (told[0], told[-1]) == ("response.created", "response.completed")
        assert "response.output_text.delta" in told

    async def test_a_refusal_is_an_error_of_the_clients_own_kind(self, client):
        with pytest.raises(openai.BadRequestError, match="previous_response_id"):
            await client.responses.create(model=MODEL, input="hi", previous_response_id="resp_1")
        with pytest.raises(openai.BadRequestError, match="no-such"):
            await client.responses.create(model="no-such", input="hi")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [False, True])
async def test_under_every_base(path, stream):
    async with gateway(Script(text="Rain falls.")) as served:
        answer = await ask(served, body(stream=stream), path=path)
        assert answer.status == 200
        response = events(answer)[-1]["response"] if stream else answer.json
        assert response["output"][0]["content"][0]["text"] == "Rain falls."
        assert response["usage"]["cost"] > 0
        assert answer.headers["x-generation-id"] == response["id"]
        [record] = served.records
        assert (record.api, record.end, record.usage.completion_tokens > 0) == ("responses", "ok", True)


async def test_a_failure_before_content_is_told_in_words_of_its_own():
    async with gateway(Script(status=500), Script(status=429)) as served:
        answer = await ask(served, body(stream=True), path=PATHS[0])
        assert (answer.status, answer.json["object"], answer.json["status"]) == (503, "response", "failed")
        assert answer.json["error"]["code"] == 503
        assert "No provider could answer" in answer.json["error"]["message"]


@pytest.mark.parametrize(
    "script", [Script(cut_after=4), Script(error_in_stream=4), Script(missing_finish=True, missing_done=True)]
)
async def test_a_stream_that_breaks_off_fails(script):
    async with gateway(script) as served:
        told = events(await ask(served, body(stream=True), path=PATHS[0]))
        assert told[-1]["type"] == "response.failed"
        assert told[-1]["response"]["status"] == "failed"
        assert [event["sequence_number"] for event in told] == list(range(len(told)))
        assert not {"response.completed", "response.output_item.done"} & {event["type"] for event in told}


async def test_signs_of_life_are_events():
    async with gateway(Script(text="Rain.", first_token_delay_s=0.5), keep_alive=KeepAlive(0.05)) as served:
        answer = await ask(served, body(stream=True), path=PATHS[0])
        told = [event["type"] for event in events(answer)]
        assert told[0] == "response.created"
        assert told.count("response.in_progress") > 2
        assert told[-1] == "response.completed"
        assert b": OPENROUTER" not in answer.body


async def test_what_fails_after_a_sign_of_life_is_told_in_band():
    async with gateway(Script(status=500, first_byte_delay_s=0.5), keep_alive=KeepAlive(0.05)) as served:
        told = events(await ask(served, body(stream=True), path=PATHS[0]))
        assert told[-1]["type"] == "response.failed"


async def test_a_provider_that_sends_no_reply_at_all_with_200():
    async with gateway(Script(body=b'{"object":"nonsense"}')) as served:
        answer = await ask(served, body(), path=PATHS[0])
        assert (answer.status, answer.json["status"]) == (502, "failed")


async def test_to_chat_with_a_body_of_this_api_as_cursor_sends():
    async with gateway(Script(text="Rain falls.")) as served:
        answer = await ask(served, body("What falls?", stream=False))
        assert answer.json["choices"][0]["message"]["content"] == "Rain falls."
        assert json.loads(served.simulators[0].requests[0].body)["messages"] == [
            {"role": "user", "content": "What falls?"}
        ]
        neither = await ask(served, json.dumps({"model": MODEL}).encode())
        assert (neither.status, neither.json["error"]["param"]) == (400, "messages")
        wrong = await ask(served, body(["no item"]))
        assert (wrong.status, wrong.json["error"]["param"]) == (400, "input[0]")


async def test_chat_is_as_before():
    async with gateway(Script(text="Rain falls.")) as served:
        answer = await ask(served, chat_body())
        assert answer.json["object"] == "chat.completion"
        assert served.records[0].api == "chat"
