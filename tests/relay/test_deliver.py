"""Replies on their way: whole, slow, cut, or ended by the gateway's own end."""

import asyncio
import json

import pytest

from fairlead.catalog.model import Timeouts
from fairlead.demo.script import Script
from fairlead.health.outcome import Verdict
from harness.gateway import gateway
from harness.http import ask, chat_body, events, read_answer, request_bytes

pytestmark = pytest.mark.anyio


CUTS = [Script(cut_after=3), Script(cut_after=3, cut="reset"), Script(error_in_stream=2)]


@pytest.mark.parametrize("script", CUTS[:2])
async def test_a_stream_that_breaks_off_is_told_in_band_and_never_ends_neatly(script):
    async with gateway(script) as served:
        answer = await ask(served, chat_body(stream=True))
        assert answer.status == 200
        told = events(answer.body)
        assert b"[DONE]" not in told
        last = json.loads(told[-1])
        assert last["error"]["code"] == 502
        assert last["error"]["metadata"]["error_type"] == "provider_unavailable"
        assert last["choices"][0]["finish_reason"] == "error"
        [record] = served.records
        assert (record.end, record.attempts[-1].verdict) == ("cut", Verdict.CUT)
        assert served.failures_in_row("sim0:acme/large") == 1


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
