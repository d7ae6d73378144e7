"""Signs of life, and what is told to a caller who has had one."""

import asyncio
import json

import pytest

from fairlead.catalog.model import Timeouts
from fairlead.demo.script import Script
from fairlead.errors import ApiError
from fairlead.health.outcome import Verdict
from fairlead.relay.keepalive import COMMENT, KeepAlive, Wait
from fairlead.relay.manner import OPENAI, OPENROUTER
from fairlead.relay.tap import Tap
from fairlead.telemetry.record import ExchangeRecord
from harness.gateway import gateway
from harness.http import ask, chat_body, events, read_answer, request_bytes

pytestmark = pytest.mark.anyio

INTERVAL_S = 0.02
IMPATIENT = Timeouts(connect_s=5, first_byte_s=0.2, idle_s=5, total_s=30)
BASES = ["/v1", "/api/v1"]


def path(base):
    return f"{base}/chat/completions"


async def begun(served, base="/v1", **members):
    """Send a request for a stream; return its connection when a comment has come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(request_bytes(chat_body(stream=True, **members), path=path(base)))
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(COMMENT)
    assert head.startswith(b"HTTP/1.1 200 ")
    return reader, writer


@pytest.mark.parametrize("base", BASES)
async def test_who_waits_gets_comments_and_then_the_reply_of_whoever_answers(base):
    scripts = Script(hang=True), Script(text="a b c")
    async with gateway(*scripts, timeouts=IMPATIENT, keep_alive=KeepAlive(INTERVAL_S)) as served:
        answer = await ask(served, chat_body(stream=True), path=path(base))
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["x-generation-id"] == served.records[0].id
        assert answer.body.startswith(COMMENT)
        *said, done = events(answer.body)
        text = "".join(choice["delta"].get("content") or "" for one in said for choice in json.loads(one)["choices"])
        assert (text, done, answer.is_whole) == ("a b c", b"[DONE]", True)
        [record] = served.records
        assert (record.end, [one.verdict for one in record.attempts]) == ("ok", [Verdict.TIMEOUT, Verdict.OK])


@pytest.mark.parametrize("base", BASES)
async def test_a_failure_is_told_in_band_once_the_stream_has_begun(base):
    async with gateway(Script(hang=True), timeouts=IMPATIENT, keep_alive=KeepAlive(INTERVAL_S)) as served:
        answer = await ask(served, chat_body(stream=True), path=path(base))
        assert (answer.status, answer.is_whole) == (200, True)
        fault, *done = events(answer.body)
        told = json.loads(fault)
        assert (told["error"]["code"], told["choices"][0]["finish_reason"]) == (504, "error")
        assert done == ([b"[DONE]"] if base.startswith("/api/") else [])
        [record] = served.records
        assert (record.status, record.end, record.cost_usd_nanos) == (200, "error", None)
        assert record.error == told["error"]["message"]


async def test_before_that_it_has_a_status_of_its_own():
    async with gateway(Script(status=429), keep_alive=KeepAlive(INTERVAL_S)) as served:
        answer = await ask(served, chat_body(stream=True))
        assert answer.status == 429


@pytest.mark.parametrize(("base", "stream"), [("/openai/v1", True), ("/v1", False), ("/api/v1", False)])
async def test_who_gets_none_gets_a_status(base, stream):
    async with gateway(Script(hang=True), timeouts=IMPATIENT, keep_alive=KeepAlive(INTERVAL_S)) as served:
        answer = await ask(served, chat_body(stream=stream), path=path(base))
        assert (answer.status, answer.json["error"]["code"]) == (504, 504)


@pytest.mark.parametrize("base", BASES)
async def test_a_gap_in_the_middle_gets_them_too(base):
    async with gateway(Script(text="a b c", stall_after=2), keep_alive=KeepAlive(INTERVAL_S)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request_bytes(chat_body(stream=True), path=path(base)))
        async with asyncio.timeout(5):
            seen = await reader.readuntil(COMMENT)
            await reader.readuntil(COMMENT)
        assert seen.count(b"data: {") == 2
        writer.close()


async def test_a_caller_who_leaves_while_it_waits_is_nobodys_failure():
    async with gateway(Script(hang=True), keep_alive=KeepAlive(INTERVAL_S)) as served:
        _, writer = await begun(served)
        writer.close()
        await served.until(lambda: served.records)
        [record] = served.records
        assert (record.status, record.end, record.attempts[0].verdict) == (200, "gone", Verdict.GONE)


@pytest.mark.parametrize("base", BASES)
async def test_the_end_of_the_gateway_is_told_in_band(base):
    async with gateway(Script(hang=True), keep_alive=KeepAlive(INTERVAL_S)) as served:
        reader, writer = await begun(served, base)
        served.drain.expire()
        async with asyncio.timeout(5):
            rest = await reader.readuntil(b"0\r\n\r\n")
        assert b'"code":503' in rest
        assert (b"[DONE]" in rest) == base.startswith("/api/")
        assert served.records[0].end == "drained"
        writer.close()


async def test_what_is_no_stream_cannot_follow_a_comment():
    """Under /v1, where nothing is changed; under /api/v1 a stream is made of it."""
    body = b'{"choices":[{"message":{"content":"late"},"finish_reason":"stop"}]}'
    scripts = Script(hang=True), Script(body=body)
    async with gateway(*scripts, timeouts=IMPATIENT, keep_alive=KeepAlive(INTERVAL_S)) as served:
        (fault,) = events((await ask(served, chat_body(stream=True))).body)
        assert json.loads(fault)["error"]["code"] == 502
        assert served.records[0].cost_usd_nanos is None
    async with gateway(*scripts, timeouts=IMPATIENT, keep_alive=KeepAlive(INTERVAL_S)) as served:
        said, _, done = events((await ask(served, chat_body(stream=True), path=path("/api/v1"))).body)
        assert (json.loads(said)["choices"][0]["delta"]["content"], done) == ("late", b"[DONE]")


async def test_the_next_request_of_the_connection_is_not_disturbed():
    async with gateway(Script(hang=True), timeouts=IMPATIENT, keep_alive=KeepAlive(INTERVAL_S)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        for stream in (True, False):
            writer.write(request_bytes(chat_body(stream=stream)))
            async with asyncio.timeout(5):
                answer = await read_answer(reader)
            assert answer.status == (200 if stream else 504)
            assert answer.is_whole
        writer.close()


class Caller:
    """The part of `Downstream` that a wait uses."""

    def __init__(self):
        self.is_slow = self.is_gone = self.is_expired = False
        self.head, self.sent = None, b""

    @property
    def is_started(self):
        return self.head is not None

    def start(self, status, headers):
        assert not self.is_started
        self.head = (status, dict(headers))

    def write(self, data, *, is_last):
        self.sent += data


class Answer:
    """The part of a `Reply` that a wait uses."""

    def __init__(self, **headers):
        self._headers = {name.replace("_", "-").encode(): value for name, value in headers.items()}

    def header(self, name):
        return self._headers.get(name, b"")


def waiting(manner=OPENAI, limits=None):
    caller, record = Caller(), ExchangeRecord("gen-1", "gen-1", 5.0, 0.0)
    return Wait(KeepAlive(10.0), caller, record, manner, limits, None, 100.0), caller, record


class TestWhen:
    def test_after_each_interval_of_silence(self):
        wait, caller, record = waiting(limits=lambda: [(b"x-ratelimit-limit", b"5")])
        wait.look(109.9, 10.0)
        assert (caller.head, caller.sent) == (None, b"")
        wait.look(110.0, 10.0)
        assert caller.head[0] == record.status == 200
        assert caller.head[1][b"x-ratelimit-limit"] == b"5"
        wait.look(119.9, 10.0)
        assert caller.sent == COMMENT
        wait.look(120.0, 10.0)
        assert caller.sent == COMMENT * 2

    def answered(self, said, manner=OPENAI, **headers):
        wait, caller, record = waiting(manner)
        record.tap = Tap()
        record.tap.feed(said)
        caller.start(200, [])
        wait.reply = Answer(**({"content_type": b"text/event-stream; charset=utf-8"} | headers))
        wait.look(200.0, 10.0)
        return wait, caller

    def test_content_counts_as_life(self):
        wait, caller = self.answered(b"data: 1\n\n")
        wait.look(209.9, 10.0)
        assert caller.sent == b""
        wait.look(210.0, 10.0)
        assert caller.sent == COMMENT

    @pytest.mark.parametrize(
        ("said", "headers"),
        [
            (b"data: 1\n\ndata: ", {}),
            (b"data: 1\n", {}),
            (b"data: 1\n\n", {"content_encoding": b"gzip"}),
            (b"{\n\n", {"content_type": b"application/json"}),
        ],
        ids=["event", "line", "encoded", "no stream"],
    )
    def test_never_inside_something(self, said, headers):
        wait, caller = self.answered(said, **headers)
        wait.look(300.0, 10.0)
        assert caller.sent == b""

    def test_what_is_adapted_goes_out_by_whole_events(self):
        wait, caller = self.answered(b"data: 1\n\ndata: ", OPENROUTER)
        wait.look(300.0, 10.0)
        assert caller.sent == COMMENT

    def test_not_to_a_caller_who_has_not_taken_the_last_of_them(self):
        wait, caller, _ = waiting()
        caller.is_slow = True
        wait.look(200.0, 10.0)
        assert caller.head is None

    def test_not_before_a_reply_that_is_about_to_begin(self):
        wait, caller, _ = waiting()
        wait.reply = Answer()
        wait.look(200.0, 10.0)
        assert caller.head is None


class TestTheTimer:
    async def test_runs_only_while_somebody_waits(self):
        wait, _, _ = waiting()
        keep_alive = KeepAlive(0.004)
        keep_alive.add(wait)
        keep_alive.discard(wait)
        loop = asyncio.get_running_loop()
        seen = loop.create_future()
        loop.call_later(0.02, seen.set_result, None)
        await seen
        assert keep_alive._timer is None
        keep_alive.add(wait)
        assert keep_alive._timer is not None
        keep_alive.discard(wait)

    async def test_a_fault_passes_through_a_wait_that_has_not_begun(self):
        wait, caller, _ = waiting()
        with pytest.raises(ApiError), wait:
            raise ApiError(503, "no")
        assert caller.sent == b""
