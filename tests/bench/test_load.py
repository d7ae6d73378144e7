"""The load client counts what really happened, however the bytes arrive."""

import asyncio
import json
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from bench.framing import BadReply, Reader
from bench.load import ClosedLoop, Paced, is_completion
from bench.request import HOLD_MODEL, build_request, chat_body
from bench.streams import Streams
from bench.upstream import EVENT, REPLY, STREAM_END, STREAM_HEAD, canned_body
from hypothesis import given
from hypothesis import strategies as st

BODY = canned_body()
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"%x;ext=1\r\n%s\r\n" % (100, BODY[:100])
    + b"%X\r\n%s\r\n" % (len(BODY) - 100, BODY[100:])
    + b"0\r\nx-trailer: 1\r\n\r\n"
)
FAILURE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"
WRONG = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


class Server(asyncio.Protocol):
    """Hands each complete request to `answer(server, number)`; all connections count together."""

    def __init__(self, answer, requests):
        self.answer = answer
        self.requests = requests
        self.waiting = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.waiting += data
        head, blank, body = self.waiting.partition(b"\r\n\r\n")
        if blank and len(body) == int(head.rpartition(b"Content-Length: ")[2]):
            self.waiting = b""
            self.requests.append(head)
            self.answer(self, len(self.requests))


@asynccontextmanager
async def serving(answer):
    """A server on a port of its own: yields the request to send there, and the heads of those that came."""
    requests = []
    server = await asyncio.get_running_loop().create_server(lambda: Server(answer, requests), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield build_request(f"http://127.0.0.1:{port}/v1/chat/completions", {"X-Test": "1"}, chat_body()), requests


def always(reply):
    return lambda server, number: server.transport.write(reply)


async def until(is_reached):
    async with asyncio.timeout(10):
        while not is_reached():
            await asyncio.sleep(0.001)


@given(reply=st.sampled_from([REPLY, CHUNKED, FAILURE]), cuts=st.lists(st.integers(1, 1500), max_size=12))
def test_every_split_of_a_reply_has_one_end_and_the_same_body(reply, cuts):
    body = []
    reader = Reader(body.append)
    at = sorted({min(cut, len(reply)) for cut in cuts} | {0, len(reply)})
    pieces = [reply[start:end] for start, end in pairwise(at)]
    for _ in range(2):  # the reader is as new after a reply
        body.clear()
        assert [reader.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        assert b"".join(body) == (b"{}" if reply is FAILURE else BODY)
        assert reader.status == (503 if reply is FAILURE else 200)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", id="no-http"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", id="no-framing"),
        pytest.param(WRONG + b"x", id="bytes-after-the-end"),
        pytest.param(CHUNKED + b"x", id="bytes-after-the-last-chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", id="chunk-size"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: " + b"x" * 70_000, id="endless-head"),
    ],
)
def test_what_would_make_a_count_wrong_is_an_error(data):
    with pytest.raises(BadReply):
        Reader().feed(data)


@pytest.mark.anyio
@pytest.mark.parametrize("reply", [pytest.param(REPLY, id="length"), pytest.param(CHUNKED, id="chunked")])
async def test_closed_loop_counts_each_answered_request(reply):
    async with serving(always(reply)) as (request, requests):
        async with ClosedLoop(request, connections=4) as load:
            await until(lambda: load.replies >= 300)
        assert len(requests) - 4 <= load.replies <= len(requests)
        assert load.errors == 0
        assert load.verified >= 300 // 64


@pytest.mark.anyio
async def test_closed_loop_waits_for_all_the_parts_of_a_reply():
    def in_two_parts(server, number):
        cut = number % (len(REPLY) - 1) + 1
        server.transport.write(REPLY[:cut])
        asyncio.get_running_loop().call_later(0.001, server.transport.write, REPLY[cut:])

    async with serving(in_two_parts) as (request, requests):
        async with ClosedLoop(request, connections=8) as load:
            await until(lambda: load.replies >= 100)
        assert len(requests) - 8 <= load.replies <= len(requests)
        assert load.errors == 0


@pytest.mark.anyio
async def test_failures_are_errors_and_no_replies():
    def every_third_fails(server, number):
        server.transport.write(FAILURE if number % 3 == 0 else REPLY)

    async with serving(every_third_fails) as (request, requests):
        async with ClosedLoop(request, connections=1) as load:
            await until(lambda: load.errors >= 10)
        assert load.first_error == "status 503"
        assert load.errors == pytest.approx(len(requests) / 3, abs=1)


@pytest.mark.anyio
async def test_a_reply_of_the_wrong_kind_is_an_error():
    async with serving(always(WRONG)) as (request, _), ClosedLoop(request, connections=1) as load:
        await until(lambda: load.errors)
        assert load.first_error == "not what was asked for: b'{}'"


@pytest.mark.anyio
async def test_a_connection_that_the_server_announces_to_close_is_made_anew_without_error():
    def last_one(server, number):
        server.transport.write(CLOSING)
        server.transport.close()

    async with serving(last_one) as (request, _), ClosedLoop(request, connections=2) as load:
        await until(lambda: load.replies >= 20)
        assert load.errors == 0


@pytest.mark.anyio
async def test_a_connection_lost_inside_a_reply_is_an_error():
    def cut_off(server, number):
        server.transport.write(REPLY[:-1])
        server.transport.close()

    async with serving(cut_off) as (request, _), ClosedLoop(request, connections=1) as load:
        await until(lambda: load.errors >= 3)
        assert load.replies == 0
        assert load.first_error.startswith("connection lost inside a reply")


@pytest.mark.anyio
async def test_nobody_there_is_an_error():
    async with serving(always(REPLY)) as (request, _):
        pass
    async with ClosedLoop(request, connections=1) as load:
        await until(lambda: load.errors)
        assert load.first_error.startswith("cannot connect")


@pytest.mark.anyio
async def test_paced_charges_a_stall_to_every_request_that_was_due_in_it():
    first = []

    def stall_on_the_first(server, number):
        if number == 1:
            first.append(server)
        else:
            server.transport.write(REPLY)

    async with serving(stall_on_the_first) as (request, _), Paced(request, connections=1, rate_hz=200) as load:
        await until(lambda: load.backlog >= 4)
        first[0].transport.write(REPLY)
        await until(lambda: len(load.latencies_s) >= 5)
        # Four more have come due, one every 5 ms, while the first waited, so each has waited for those after it.
        assert [latency >= (4 - place) * 0.005 for place, latency in enumerate(load.latencies_s[:5])] == [True] * 5
        assert load.errors == 0


@pytest.mark.anyio
@pytest.mark.parametrize("cut", [1, 2, len(EVENT) - 3, len(EVENT) - 1])
async def test_streams_count_events_however_they_are_cut(cut):
    def stream(server, number):
        sent = STREAM_HEAD + EVENT * 5 + STREAM_END
        place = len(STREAM_HEAD) + cut
        server.transport.write(sent[:place])
        asyncio.get_running_loop().call_later(0.001, server.transport.write, sent[place:])

    async with serving(stream) as (request, requests), Streams(request, 3) as load:
        await until(lambda: load.replies == 3)
        assert (load.opened, load.events, load.errors) == (3, 3 * 8, 0)  # the 5, the last delta, usage and [DONE]
        assert len(load.first_event_s) == 3
        assert len(requests) == 3


@pytest.mark.anyio
async def test_a_stream_that_ends_without_done_is_an_error():
    async with serving(always(STREAM_HEAD + EVENT + b"0\r\n\r\n")) as (request, _), Streams(request, 1) as load:
        await until(lambda: load.errors)
        assert load.first_error == "the stream ended without [DONE]"
        assert load.replies == 0


def test_what_is_asked_and_answered_has_the_size_that_is_promised():
    assert len(chat_body()) == len(chat_body(stream_events=100)) == len(chat_body(model=HOLD_MODEL)) == 1024
    assert len(BODY) == 600
    assert is_completion(BODY)
    assert json.loads(chat_body(stream_events=7))["max_tokens"] == 7
