"""Replies on their way: whole, slow, cut, or ended by the gateway's own end."""

import asyncio
import gc
import json

import pytest

from fairlead.catalog.model import Timeouts
from fairlead.demo.script import Script
from fairlead.health.outcome import Verdict
from fairlead.relay.deliver import Delivery
from fairlead.relay.tap import KEPT_BYTES
from fairlead.telemetry.own_words import error_of
from fairlead.telemetry.record import STREAM_ERROR
from fairlead.wire.openrouter_chunks import ChunkAdapter
from harness.gateway import MODEL, gateway
from harness.http import ask, chat_body, events, read_answer, request_bytes

pytestmark = pytest.mark.anyio

OPENROUTER = "/api/v1/chat/completions"

CUTS = [Script(cut_after=3), Script(cut_after=3, cut="reset"), Script(error_in_stream=2)]


@pytest.mark.parametrize("script", CUTS[:2])
async def test_a_stream_that_breaks_off_is_told_in_band(script):
    async with gateway(script) as served:
        answer = await ask(served, chat_body(stream=True))
        assert answer.status == 200
        last = json.loads(events(answer.body)[-1])
        assert last["error"]["code"] == 502
        assert last["error"]["metadata"]["error_type"] == "provider_unavailable"
        assert last["choices"][0]["finish_reason"] == "error"
        [record] = served.records
        assert (record.end, record.attempts[-1].verdict) == ("cut", Verdict.CUT)
        assert served.failures_in_row("sim0:acme/large") == 1


@pytest.mark.parametrize("path", ["/v1/chat/completions", OPENROUTER])
async def test_an_error_of_the_providers_in_a_stream_counts_against_it(path):
    """The caller has it as it came; it is not on record as a reply that went well."""
    async with gateway(CUTS[2]) as served:
        answer = await ask(served, chat_body(stream=True), path=path)
        assert b"failed in the middle of its answer" in answer.body
        [record] = served.records
        assert (record.end, record.attempts[-1].verdict) == ("cut", Verdict.CUT)
        assert "failed in the middle of its answer" in record.error
        assert served.failures_in_row("sim0:acme/large") == 1


@pytest.mark.parametrize("path", ["/v1/chat/completions", OPENROUTER])
async def test_a_stream_that_ends_without_a_word_that_it_is_whole_is_not_taken_for_whole(path):
    """Its framing is complete: to a client it would look like an answer that says nothing more."""
    async with gateway(Script(missing_finish=True, missing_done=True)) as served:
        answer = await ask(served, chat_body(stream=True), path=path)
        said = [event for event in events(answer.body) if event != b"[DONE]"]
        last = json.loads(said[-1])
        assert last["choices"][0]["finish_reason"] == "error"
        assert "without a finish reason or an end mark" in last["error"]["message"]
        [record] = served.records
        assert (record.end, record.attempts[-1].verdict) == ("cut", Verdict.CUT)


@pytest.mark.parametrize("path", ["/v1/chat/completions", OPENROUTER])
@pytest.mark.parametrize("left_out", ["missing_finish", "missing_done"])
async def test_one_of_both_is_word_enough(path, left_out):
    async with gateway(Script(**{left_out: True})) as served:
        answer = await ask(served, chat_body(stream=True), path=path)
        assert b"error" not in answer.body
        assert served.records[0].end == "ok"


@pytest.mark.parametrize("path", ["/v1/chat/completions", OPENROUTER])
@pytest.mark.parametrize("done", [b"", b"data: [DONE]\n\n", b"data:[DONE]\n\n"])
async def test_an_error_of_the_providers_is_its_last_word_however_the_connection_ends(path, done):
    chunk = b'data: {"choices":[{"delta":{"content":"so"},"finish_reason":null}]}\n\n'
    failed = b'data: {"error":{"message":"out of memory","code":500},"choices":[]}\n\n'
    async with gateway(Script(body=chunk * 3 + failed + done, truncate_length=9)) as served:
        answer = await ask(served, chat_body(stream=True), path=path)
        assert answer.body.count(b'"error":') == 1
        [record] = served.records
        assert (record.end, record.attempts[-1].verdict) == ("cut", Verdict.CUT)
        assert "out of memory" in record.error


@pytest.mark.parametrize("path", ["/v1/chat/completions", OPENROUTER])
async def test_what_happens_after_done_does_not_matter(path):
    async with gateway(Script(truncate_length=9)) as served:
        answer = await ask(served, chat_body(stream=True), path=path)
        assert answer.body.endswith(b"data: [DONE]\n\n")
        assert b"error" not in answer.body
        [record] = served.records
        assert (record.end, record.attempts[-1].verdict) == ("ok", Verdict.OK)


async def test_a_stream_cut_inside_an_event_ends_with_its_connection():
    """Half an event cannot be taken back; a client that was given an end to it would take it for a broken reply."""
    async with gateway(Script(text="a b c", cut_after=3, cut_inside="event")) as served:
        answer = await ask(served, chat_body(stream=True))
        assert not answer.is_whole
        assert served.records[0].end == "cut"


async def test_an_unstreamed_reply_that_breaks_off_is_asked_for_elsewhere():
    async with gateway(Script(truncate_length=10), Script(text="whole")) as served:
        answer = await ask(served, chat_body())
        assert answer.json["choices"][0]["message"]["content"] == "whole"
        assert [attempt.verdict for attempt in served.records[0].attempts] == [Verdict.TRANSIENT, Verdict.OK]


async def test_a_reply_too_large_to_hold_that_breaks_off_is_never_whole():
    async with gateway(Script(body=b'{"a":"' + b"x" * 400_000 + b'"}', truncate_length=100)) as served:
        answer = await ask(served, chat_body())
        assert (answer.status, answer.is_whole) == (200, False)
        assert served.records[0].end == "cut"


async def test_a_slow_caller_slows_the_provider_down_and_costs_no_memory():
    async with gateway(Script(flood_bytes=200_000_000)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=4096)
        writer.write(request_bytes(chat_body(stream=True)))
        await reader.readuntil(b"\r\n\r\n")
        simulator = served.simulators[0]
        await simulator.wait_for(lambda sim: sim.record.paused == 1)  # nobody reads: the provider has to wait
        assert simulator.record.bytes_sent < 24_000_000  # socket buffers included
        size = 0
        async with asyncio.timeout(60):
            while data := await reader.read(1 << 20):
                size += len(data)
                if data.endswith(b"0\r\n\r\n"):
                    break
        assert size >= 200_000_000
        assert served.records[0].end == "ok"
        writer.close()


async def test_a_caller_who_never_reads_is_let_go_at_the_total_limit():
    """Otherwise it would hold a place of the endpoint's for as long as it likes."""
    limits = Timeouts(connect_s=5, first_byte_s=5, idle_s=5, total_s=0.3)
    async with gateway(Script(flood_bytes=200_000_000), timeouts=limits) as served:
        _, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=4096)
        writer.write(request_bytes(chat_body(stream=True)))
        await served.until(lambda: served.records)
        [record] = served.records
        assert (record.end, record.error) == ("cut", "the caller did not take the reply in time")
        assert record.attempts[0].verdict is Verdict.GONE
        health = served.board.of(next(iter(served.relay.routes.dispatches)))
        assert (health.in_flight, served.failures_in_row(health.id)) == (0, 0)
        writer.close()


class TestTheEndOfTheGateway:
    async def test_ends_open_streams_with_an_error_in_band(self):
        async with gateway(Script(text="a b c", stall_after=2)) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(request_bytes(chat_body(stream=True)))
            head = await reader.readuntil(b"\r\n\r\n")
            await served.simulators[0].wait_for(lambda sim: sim.record.in_flight == 1)
            served.drain.begin()
            served.drain.expire()
            async with asyncio.timeout(5):
                rest = await reader.readuntil(b"0\r\n\r\n")
            assert b"200 OK" in head
            assert b'"code":503' in rest
            assert b"[DONE]" not in rest
            assert served.records[0].end == "drained"
            writer.close()

    async def test_answers_those_who_have_nothing_yet_with_503(self):
        async with gateway(Script(hang=True)) as served:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(request_bytes(chat_body()))
            await served.simulators[0].wait_for(lambda sim: sim.record.seen == 1)
            served.drain.expire()
            async with asyncio.timeout(5):
                answer = await read_answer(reader)
            assert answer.status == 503
            assert answer.headers["x-should-retry"] == "true"
            writer.close()


class TestOpenRoutersShape:
    async def test_of_a_stream(self):
        async with gateway(Script(text="a b c", chunk_bytes=50)) as served:
            answer = await ask(served, chat_body(stream=True), path=OPENROUTER)
            *said, usage, done = events(answer.body)
            assert (done, answer.is_whole) == (b"[DONE]", True)
            [record] = served.records
            for one in map(json.loads, [*said, usage]):
                assert (one["id"], one["provider"], one["model"]) == (record.id, "Sim 0", MODEL)
                assert "usage" not in one or one["choices"] == []
            told = json.loads(usage)["usage"]
            assert told["cost"] * 1e9 == pytest.approx(record.cost_usd_nanos)
            assert told["completion_tokens"] == record.usage.completion_tokens
            assert answer.headers["x-generation-id"] == record.id

    @pytest.mark.parametrize("stream", [True, False])
    async def test_what_is_noted_is_what_the_provider_has_sent(self, stream):
        """Sizes, names and reasons: estimates of one base serve the others."""
        async with gateway(Script(text="a b c")) as served:
            for path in (OPENROUTER, "/v1/chat/completions"):
                await ask(served, chat_body(stream=stream), path=path)
            adapted, plain = served.records
            assert adapted.upstream_id.startswith("chatcmpl-demo-")
            assert adapted.finish_reason == plain.finish_reason == "stop"
            difference = plain.reply_bytes - adapted.reply_bytes
            assert 0 < difference < 250  # the cost, which the adapter does not count

    async def test_of_a_reply_too_large_to_be_held_for_another_attempt(self):
        async with gateway(Script(flood_bytes=3_000_000)) as served:
            answer = await ask(served, chat_body(), path=OPENROUTER)
            assert (answer.json["id"], answer.is_whole) == (served.records[0].id, True)
            assert served.records[0].end == "ok"

    async def test_one_that_breaks_off_has_a_status_of_its_own(self):
        script = Script(body=b'{"a":"' + b"x" * 400_000 + b'"}', truncate_length=100)
        async with gateway(script) as served:
            answer = await ask(served, chat_body(), path=OPENROUTER)
            assert (answer.status, answer.json["error"]["metadata"]["error_type"]) == (502, "provider_unavailable")
            [record] = served.records
            assert (record.end, record.cost_usd_nanos) == ("error", None)

    async def test_a_stream_that_breaks_off_inside_an_event_is_told_in_band(self):
        async with gateway(Script(text="a b c", cut_after=3, cut_inside="event")) as served:
            answer = await ask(served, chat_body(stream=True), path=OPENROUTER)
            *said, fault, done = events(answer.body)
            assert (len(said), json.loads(fault)["error"]["code"], done) == (3, 502, b"[DONE]")
            assert answer.is_whole
            assert served.records[0].end == "cut"

    @pytest.mark.parametrize("stream", [True, False])
    async def test_usage_is_told_even_where_the_provider_tells_none(self, stream):
        async with gateway(Script(text="a b c", usage={})) as served:
            answer = await ask(served, chat_body(stream=stream), path=OPENROUTER)
            told = json.loads(events(answer.body)[-2]) if stream else answer.json
            [record] = served.records
            assert record.is_estimated
            assert told["usage"]["cost"] * 1e9 == pytest.approx(record.cost_usd_nanos)

    @pytest.mark.parametrize("stream", [True, False])
    async def test_routing_is_told_to_who_asks(self, stream):
        async with gateway(Script(status=503), Script(text="a b c")) as served:
            wanted = [("x-openrouter-metadata", "enabled")]
            answer = await ask(served, chat_body(stream=stream), path=OPENROUTER, headers=wanted)
            told = json.loads(events(answer.body)[-2]) if stream else answer.json
            metadata = told["openrouter_metadata"]
            assert (metadata["attempt"], metadata["summary"]) == (2, "available=2, selected=Sim 1")
            assert [one["status"] for one in metadata["attempts"]] == [503, 200]
            answer = await ask(served, chat_body(), headers=wanted)
            assert "openrouter_metadata" not in answer.json

    async def test_and_beside_an_error(self):
        async with gateway(Script(status=503)) as served:
            wanted = [("x-openrouter-metadata", "enabled")]
            answer = await ask(served, chat_body(), path=OPENROUTER, headers=wanted)
            assert answer.json["openrouter_metadata"]["attempts"][0]["status"] == 503
            assert answer.json["error"]["code"] == 503

    async def test_the_cycle_collector_has_nothing_to_do(self):
        async with gateway(Script(text="a b c")) as served:
            bodies = [chat_body(stream=stream) for stream in (True, False)]
            wanted = [("x-openrouter-metadata", "enabled")]
            for body in bodies:
                await ask(served, body, path=OPENROUTER, headers=wanted)
            gc.collect()
            gc.disable()
            try:
                before = alive()
                for body in bodies * 5:
                    await ask(served, body, path=OPENROUTER, headers=wanted)
                assert alive() == before
            finally:
                gc.enable()


def alive():
    return sum(isinstance(one, Delivery | ChunkAdapter) for one in gc.get_objects())


@pytest.mark.parametrize("wish", [{"reasoning": {"exclude": True}}, {"include_reasoning": False}], ids=str)
@pytest.mark.parametrize("is_stream", [False, True])
async def test_reasoning_is_told_unless_the_caller_does_not_want_it(wish, is_stream):
    message = {"role": "assistant", "content": "so", "reasoning_content": "hm"}
    whole = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
    chunk = b'data: {"choices":[{"delta":%b,"finish_reason":null}]}\n\n' % json.dumps(message).encode()
    script = Script(body=chunk * 5 + b"data: [DONE]\n\n") if is_stream else Script(body=whole)
    async with gateway(script) as served:
        for members, is_told in (({}, True), (wish, False)):
            answer = await ask(served, chat_body(stream=is_stream, **members), path=OPENROUTER)
            assert (b'"hm"' in answer.body) == is_told
            assert b'"so"' in answer.body


async def test_a_caller_can_see_what_its_provider_was_sent():
    body = json.loads(chat_body(stream=True, max_tokens=5, debug={"echo_upstream_body": True}))
    async with gateway(Script(text="a b c")) as served:
        answer = await ask(served, json.dumps(body, indent=2).encode(), path=OPENROUTER)
        first, *_ = map(json.loads, events(answer.body)[:-1])
        assert first["choices"] == []
        assert first["debug"]["echo_upstream_body"] == json.loads(served.simulators[0].requests[0].body)
        plain = await ask(served, chat_body(stream=True, debug={"echo_upstream_body": False}), path=OPENROUTER)
        assert b'"debug"' not in plain.body
        wrong = await ask(served, chat_body(stream=True, debug={"echo_upstream_body": 1}), path=OPENROUTER)
        assert (wrong.status, wrong.json["error"]["param"]) == (400, "debug.echo_upstream_body")
        assert len(served.simulators[0].requests) == 2


@pytest.mark.parametrize("path", [OPENROUTER, "/v1/responses"])
@pytest.mark.parametrize("after", [0, 200])
async def test_however_long_an_error_in_a_stream_is_its_words_are_for_the_caller_only(path, after):
    """They may quote the prompt, which may be longer than what is kept of a stream, or much may follow."""
    told = "this is what you said: " + "my plan " * (KEPT_BYTES // 4)
    chunk = b'data: {"choices":[{"delta":{"content":"so"},"finish_reason":null}]}\n\n'
    error = b"data: %b\n\n" % json.dumps({"error": {"message": told}}).encode()
    body = chat_body(stream=True) if "chat" in path else json.dumps({"model": MODEL, "input": "", "stream": True})
    async with gateway(Script(body=chunk + error + chunk * after)) as served:
        answer = await ask(served, body if isinstance(body, bytes) else body.encode(), path=path)
        assert b"this is what you said" in answer.body
        [record] = served.records
        assert (record.end, record.attempts[-1].verdict) == ("cut", Verdict.CUT)
        assert error_of(record) == STREAM_ERROR
