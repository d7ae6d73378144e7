"""Replies in one piece."""

import json
import socket

import pytest

from fairlead.catalog.model import Timeouts
from fairlead.demo.script import Script
from fairlead.health.outcome import Verdict
from fairlead.telemetry.record import CALLER_SLOW
from harness.gateway import gateway
from harness.http import ask, chat_body, request_bytes

pytestmark = pytest.mark.anyio

OPENROUTER = "/api/v1/chat/completions"


async def test_it_has_its_cost_and_its_length():
    async with gateway(Script(text="a b c")) as served:
        answer = await ask(served, chat_body())
        [record] = served.records
        assert answer.json["usage"]["cost"] * 1e9 == pytest.approx(record.cost_usd_nanos)
        assert answer.headers["content-length"] == str(len(answer.body))
        assert (record.status, record.end, record.reply_bytes) == (200, "ok", len(answer.body))


async def test_it_has_openrouters_shape_where_that_is_asked_for():
    async with gateway(Script(text="a b c")) as served:
        answer = await ask(served, chat_body(), path=OPENROUTER)
        [record] = served.records
        assert answer.json["id"] == record.id
        assert answer.json["choices"][0]["native_finish_reason"] == "stop"
        assert answer.json["usage"]["cost"] * 1e9 == pytest.approx(record.cost_usd_nanos)
        assert answer.headers["content-length"] == str(len(answer.body))


async def test_what_nobody_here_can_read_goes_on_as_it_came():
    async with gateway(Script(text="a b c", encoding="br")) as served:
        answer = await ask(served, chat_body())
        assert (answer.status, answer.headers["content-encoding"], answer.is_whole) == (200, "br", True)
        [record] = served.records
        assert (record.end, record.is_estimated) == ("ok", True)


async def test_a_large_one_is_charged_at_once():
    """It is not kept until others are settled, which takes a moment."""
    async with gateway(Script(text="word " * 8_000)) as served:
        answer = await ask(served, chat_body())
        await served.until(lambda: served._finished)
        [record] = served._finished  # `records` settles what is not
        assert len(answer.body) > 16_384
        assert record.unsettled is None
        assert answer.json["usage"]["cost"] * 1e9 == pytest.approx(record.cost_usd_nanos)


async def test_who_does_not_take_what_came_before_does_not_get_it():
    """Requests are sent all at once; of their replies nobody reads one, until no buffer has room for more."""
    limits = Timeouts(connect_s=5, first_byte_s=5, idle_s=5, total_s=0.5)
    body = json.dumps({"choices": [{"message": {"content": "x" * 250_000}, "finish_reason": "stop"}]}).encode()
    async with gateway(Script(body=body), timeouts=limits) as served:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", served.port))
        sock.sendall(request_bytes(chat_body()) * 17)
        await served.until(lambda: served.records and served.records[-1].end != "ok")
        *taken, late = served.records
        assert taken
        assert (late.end, late.error, late.attempts[0].verdict) == ("cut", CALLER_SLOW, Verdict.GONE)
        health = served.board.of(next(iter(served.relay.routes.dispatches)))
        assert (health.in_flight, served.failures_in_row(health.id)) == (0, 0)
        sock.close()
