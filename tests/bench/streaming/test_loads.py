"""Floods and short streams are counted as they were, and what is cut is an error."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from bench.request import FLOOD_MODEL, build_request, chat_body
from bench.streaming.loads import Flood, PacedStreams, is_stream
from bench.upstream import EVENT, EVENT_BYTES, LARGE_BYTES, LARGE_REPLY, STREAM_END, STREAM_HEAD, Pacer, Provider

EVENTS = 5_000


@asynccontextmanager
async def serving(protocol):
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat/completions"


def provider():
    return Provider(Pacer(50), Pacer(5))


class Scripted(asyncio.Protocol):
    """Answers whatever comes with the same pieces, or as `transport` is told."""

    def __init__(self, *pieces):
        self.pieces = pieces
        self.requests = 0

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.requests += 1
        for piece in self.pieces:
            self.transport.write(piece)


async def until(is_reached):
    async with asyncio.timeout(20):
        while not is_reached():
            await asyncio.sleep(0.001)


@pytest.mark.anyio
@pytest.mark.parametrize("rate", [pytest.param(None, id="fast"), pytest.param(20e6, id="slow")])
async def test_a_flood_comes_whole_however_fast_it_is_read(rate):
    async with serving(provider) as url:
        request = build_request(url, {}, chat_body(model=FLOOD_MODEL, stream_events=EVENTS))
        async with Flood(request, EVENTS * EVENT_BYTES, floods=2, rate_bytes_s=rate) as load:
            await until(lambda: load.replies == 2 or load.errors)
        assert (load.replies, load.first_error) == (2, None)
        assert load.taken_bytes > 2 * EVENTS * EVENT_BYTES
        assert len(load.first_s) == 2


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        pytest.param((STREAM_HEAD + EVENT + STREAM_END,), "bytes came of", id="short"),
        pytest.param((STREAM_HEAD + EVENT * 10, b"0\r\n\r\n"), "ended without [DONE]", id="no-end"),
        pytest.param((b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}",), "status 503", id="refused"),
    ],
)
async def test_a_flood_that_is_not_whole_is_an_error(pieces, told):
    async with serving(lambda: Scripted(*pieces)) as url:
        async with Flood(build_request(url, {}, chat_body(stream_events=9)), 8 * EVENT_BYTES) as load:
            await until(lambda: load.errors)
        assert told in load.first_error
        assert load.replies == 0


@pytest.mark.anyio
async def test_a_stream_begins_once_with_its_first_event():
    """The head alone is no event; what follows the first one does not count again."""
    server = Scripted()
    async with serving(lambda: server) as url:
        request = build_request(url, {}, chat_body(stream_events=2))
        async with PacedStreams(request, connections=1, rate_hz=500) as load:
            for number in (1, 2, 3):
                await until(lambda number=number: server.requests == number)
                server.transport.write(STREAM_HEAD)
                await until(lambda: load.open_connections and all(one.reader.status for one in load.open_connections))
                assert len(load.first_s) == number - 1
                server.transport.write(EVENT)
                await until(lambda number=number: len(load.first_s) == number)
                assert load.replies == number - 1
                server.transport.write(EVENT + STREAM_END)
                await until(lambda number=number: load.replies == number or load.errors)
                assert (len(load.first_s), load.first_error) == (number, None)
            assert all(first < whole for first, whole in zip(load.first_s, load.latencies_s, strict=True))


def test_what_is_a_stream():
    body = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n'
    assert is_stream(body)
    assert not is_stream(body.replace(b"[DONE]", b"{}"))
    assert not is_stream(b'{"choices":[]}')
    assert len(LARGE_REPLY.partition(b"\r\n\r\n")[2]) == LARGE_BYTES
