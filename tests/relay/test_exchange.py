"""Whole exchanges through real sockets: what the caller gets, what the provider saw, what was recorded."""

import asyncio
import gc
import json

import pytest

from fairlead.catalog.model import Timeouts
from fairlead.demo.script import Script
from fairlead.health.outcome import Verdict
from harness.gateway import MODEL, gateway
from harness.http import ask, chat_body, events, request_bytes

pytestmark = pytest.mark.anyio

USAGE = {"prompt_tokens": 7, "completion_tokens": 3}


async def test_a_reply_passes_through_byte_for_byte_but_for_what_it_costs():
    body = b'{"choices": [ ],  "n":123456789012345678901234567890, "usage":{"prompt_tokens":7,"completion_tokens":3}}\n'
    cost = (
        b'"cost":0.000013,"is_byok":false,"cost_details":{"upstream_inference_cost":null,'
        b'"upstream_inference_prompt_cost":0.000007,"upstream_inference_completions_cost":0.000006},'
    )
    async with gateway(Script(body=body)) as served:
        answer = await ask(served, chat_body())
        assert (answer.status, answer.body) == (200, body.replace(b'"usage":{', b'"usage":{' + cost))
        assert answer.headers["content-length"] == str(len(answer.body))
        assert answer.headers["x-fairlead-provider"] == "sim0"
        assert answer.headers["x-fairlead-model"] == MODEL
        [record] = served.records
        assert (record.end, record.status, record.usage.prompt_tokens, record.usage.completion_tokens) == (
            "ok",
            200,
            7,
            3,
        )
        assert record.cost_usd_nanos == 7 * 1000 + 3 * 2000
        assert answer.headers["x-generation-id"] == record.id


async def test_the_request_arrives_as_sent_but_for_the_model():
    sent = (
        b'{ "messages" : [{"role":"user","content":"h\\u00e9 \xc3\xa9 \\"model\\":\\"x\\""}],\n\t'
        b'"seed":12345678901234567890123,'
        b'"model" :"acme/large","temperature":1.0E+0, "x":{"model":"acme/large"} }'
    )
    async with gateway(Script()) as served:
        answer = await ask(served, sent)
        assert answer.status == 200
        [received] = served.simulators[0].requests
        assert received.body == sent.replace(b'"model" :"acme/large"', b'"model" :"large-v1"', 1)
        assert received.header("authorization") == "Bearer up-0"
        assert received.header("content-length") == str(len(received.body))


async def test_only_what_is_allowed_goes_up():
    headers = [
        ("cookie", "a=b"), ("x-forwarded-for", "1.2.3.4"), ("openai-organization", "org"),
        ("traceparent", "00-ab-cd-01"), ("x-request-id", "mine-1"), ("x-api-key", "other"), ("user-agent", "me"),
    ]  # fmt: skip
    async with gateway(Script()) as served:
        answer = await ask(served, chat_body(), headers=headers)
        [received] = served.simulators[0].requests
        names = {name.decode() for name, _ in received.headers}
        assert names == {
            "host", "content-type", "user-agent", "authorization", "x-request-id", "traceparent", "accept",
            "accept-encoding", "content-length",
        }  # fmt: skip
        assert received.header("user-agent").startswith("fairlead/")
        assert received.header("x-request-id") == answer.headers["x-request-id"] == "mine-1"


async def test_a_stream_is_asked_for_usage_and_metered():
    async with gateway(Script(text="a b c", usage=USAGE)) as served:
        answer = await ask(served, chat_body(stream=True))
        assert answer.is_whole
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["x-accel-buffering"] == "no"
        assert events(answer.body)[-1] == b"[DONE]"
        [received] = served.simulators[0].requests
        assert json.loads(received.body)["stream_options"] == {"include_usage": True}
        [record] = served.records
        assert (record.usage.prompt_tokens, record.usage.completion_tokens) == (7, 3)
        assert record.first_content_at > record.started_at


@pytest.mark.parametrize("size", [1, 7, 50])
async def test_a_stream_comes_as_the_provider_sent_it_however_it_was_cut_up(size):
    async with gateway(Script(text="déjà vu 漢字", chunk_bytes=size)) as served:
        answer = await ask(served, chat_body(stream=True))
        *told, done = events(answer.body)
        choices = [choice for event in told for choice in json.loads(event)["choices"]]
        assert "".join(choice["delta"].get("content") or "" for choice in choices) == "déjà vu 漢字"
        assert (done, answer.is_whole) == (b"[DONE]", True)
        assert served.records[0].reply_bytes == len(answer.body)


async def test_content_is_passed_on_when_it_comes_not_when_more_has():
    """The first events are at the caller's while the provider still holds the rest back."""
    async with gateway(Script(text="a b c", stall_after=2)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request_bytes(chat_body(stream=True)))
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"200 OK" in head
            seen = b""
            while seen.count(b"data: ") < 2:
                seen += await reader.read(65536)
        assert b"[DONE]" not in seen
        assert served.simulators[0].record.in_flight == 1
        writer.close()


async def test_an_encoded_reply_that_we_can_read_is_sent_plain_with_its_cost():
    """No provider is asked for one, and some send it all the same."""
    async with gateway(Script(encoding="gzip", usage=USAGE)) as served:
        answer = await ask(served, chat_body(), headers=[("accept-encoding", "gzip, br")])
        assert "content-encoding" not in answer.headers
        assert answer.json["usage"]["cost"] == 13e-6
        assert served.simulators[0].requests[0].header("accept-encoding") == "identity"
        assert not served.records[0].is_estimated


async def test_one_that_we_cannot_read_passes_as_it_is():
    async with gateway(Script(encoding="br", usage=USAGE)) as served:
        answer = await ask(served, chat_body(), headers=[("accept-encoding", "gzip, br")])
        assert answer.headers["content-encoding"] == "br"
        assert not answer.body.startswith(b"{")
        [record] = served.records
        assert record.is_estimated
        assert record.cost_usd_nanos > 0


async def test_the_usage_of_a_stream_says_what_it_cost():
    async with gateway(Script(text="a b c", usage=USAGE)) as served:
        answer = await ask(served, chat_body(stream=True))
        *_, last, done = events(answer.body)
        assert done == b"[DONE]"
        assert json.loads(last)["usage"] == {
            "cost": 13e-6,
            "is_byok": False,
            "cost_details": {
                "upstream_inference_cost": None,
                "upstream_inference_prompt_cost": 7e-6,
                "upstream_inference_completions_cost": 6e-6,
            },
            **json.loads(last)["usage"],
        }
        assert served.records[0].cost_usd_nanos == 13_000
        assert served.records[0].finish_reason == "stop"


async def test_a_large_reply_without_length_is_passed_on_whole():
    async with gateway(Script(flood_bytes=3_000_000)) as served:
        answer = await ask(served, chat_body())
        assert answer.is_whole
        assert len(answer.body) >= 3_000_000
        assert served.records[0].end == "ok"


class TestACallerWhoLeaves:
    async def leave(self, served, writer):
        writer.close()
        await served.until(lambda: served.records)
        [record] = served.records
        assert record.end == "gone"
        assert served.drain.in_flight == 0
        return record

    async def test_while_the_provider_is_silent(self):
        async with gateway(Script(hang=True)) as served:
            _, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(request_bytes(chat_body(stream=True)))
            await served.simulators[0].wait_for(lambda sim: sim.record.seen == 1)
            record = await self.leave(served, writer)
            await served.simulators[0].wait_for(lambda sim: sim.aborted == 1)
            assert [attempt.verdict for attempt in record.attempts] == [Verdict.GONE]

    async def test_in_the_middle_of_a_stream(self):
        async with gateway(Script(text="a b c", stall_after=2)) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(request_bytes(chat_body(stream=True)))
            await reader.readuntil(b"data: ")
            record = await self.leave(served, writer)
            await served.simulators[0].wait_for(lambda sim: sim.aborted == 1)
            assert record.status == 200

    async def test_while_its_body_is_on_its_way(self):
        async with gateway(Script()) as served:
            _, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(request_bytes(chat_body())[:-10])
            await served.until(lambda: served.drain.in_flight == 1)
            record = await self.leave(served, writer)
            assert record.attempts == []
            assert not served.simulators[0].requests

    async def test_while_it_does_not_read(self):
        async with gateway(Script(flood_bytes=50_000_000)) as served:
            _, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
            writer.write(request_bytes(chat_body(stream=True)))
            await served.simulators[0].wait_for(lambda sim: sim.record.paused == 1)
            writer.transport.abort()
            await served.until(lambda: served.records)
            await served.simulators[0].wait_for(lambda sim: sim.aborted == 1)

    async def test_moves_no_breaker(self):
        async with gateway(Script(hang=True)) as served:
            for seen in range(1, 7):
                _, writer = await asyncio.open_connection("127.0.0.1", served.port)
                writer.write(request_bytes(chat_body()))
                await served.simulators[0].wait_for(lambda sim, seen=seen: sim.record.seen == seen)
                writer.close()
                await served.until(lambda seen=seen: len(served.records) == seen)
            health = served.board.of("sim0:acme/large")
            assert (served.failures_in_row(health.id), health.in_flight) == (0, 0)

    async def test_by_closing_only_its_own_side(self):
        """A FIN cannot be told from a close; so it is one."""
        async with gateway(Script(hang=True)) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(request_bytes(chat_body()))
            await served.simulators[0].wait_for(lambda sim: sim.record.seen == 1)
            writer.write_eof()
            await served.simulators[0].wait_for(lambda sim: sim.aborted == 1)
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            writer.close()


async def test_an_unknown_model_is_refused_with_a_suggestion():
    async with gateway(Script()) as served:
        answer = await ask(served, chat_body(model="acme/larg"))
        assert answer.status == 400
        assert answer.json["error"]["message"] == "acme/larg is not a valid model ID. Did you mean acme/large?"
        assert answer.json["error"]["param"] == "model"
        assert not served.simulators[0].requests


@pytest.mark.parametrize("model", ["large", "openrouter/acme/large", "fairlead/large"])
async def test_other_spellings_reach_the_model(model):
    async with gateway(Script()) as served:
        assert (await ask(served, chat_body(model=model))).status == 200
        assert served.records[0].model == MODEL


async def test_the_total_limit_is_shared_by_the_attempts():
    limits = Timeouts(connect_s=5, first_byte_s=5, idle_s=5, total_s=0.2)
    async with gateway(Script(hang=True), Script(hang=True), timeouts=limits) as served:
        answer = await ask(served, chat_body())
        assert answer.status == 504
        assert answer.json["error"]["metadata"]["error_type"] == "timeout"
        attempts = served.records[0].attempts
        assert [attempt.provider for attempt in attempts] == ["sim0", "sim1"]
        assert "first byte time limit of 0." in attempts[0].message, "less than the 5 s that it would have alone"


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("script", [Script(hang=True), Script(text="a b c", cut_after=2)])
async def test_a_failure_is_freed_without_the_cycle_collector(script, is_stream):
    """A request's body hangs on it, which may have megabytes."""
    limits = Timeouts(connect_s=5, first_byte_s=0.05, idle_s=5, total_s=5)
    async with gateway(script, timeouts=limits) as served:
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            await ask(served, chat_body(stream=is_stream))
            await served.until(lambda: served.client.connection_count == 0)
            await asyncio.sleep(0)
            gc.collect()
            garbage = {type(item).__name__ for item in gc.garbage}
            assert not garbage & {"ChatRequest", "Reply", "Connection", "Attempts"}
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
