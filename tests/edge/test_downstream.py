"""The caller of a request over a real connection, as the handler has it."""

import asyncio
import contextlib

import pytest

from fairlead.edge.downstream import HttpDownstream
from harness.listener import get, listening

pytestmark = pytest.mark.anyio

LENGTH_2 = [(b"content-length", b"2")]


class Handled:
    """A handler that waits until it is cancelled, or let go on; then it does what `then` says."""

    def __init__(self, then=None):
        self.downstream = None
        self.cancellations = 0
        self.go_on = asyncio.Event()
        self.ended = asyncio.Event()
        self._then = then

    async def __call__(self, scope, receive, send):
        self.downstream = downstream = HttpDownstream(scope)
        while not self.go_on.is_set():
            try:
                await self.go_on.wait()
            except asyncio.CancelledError:
                self.cancellations += 1
                if self._then is not None:
                    break
        if self._then is not None:
            self._then(downstream)
        downstream.close()
        self.ended.set()


@contextlib.asynccontextmanager
async def handling(then=None):
    """Yields a handler at work for a client, and that client."""
    async with listening() as listener:
        handler = listener.app.handle = Handled(then)
        client = await listener.connect()
        await client.send(get("/handle"))
        await until(lambda: handler.downstream is not None)
        yield handler, client


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def answer(downstream):
    downstream.start(200, LENGTH_2)
    downstream.write(b"o", is_last=False)
    downstream.write(b"k", is_last=True)


@pytest.mark.parametrize("leave", ["half_close", "reset"])
async def test_a_caller_that_leaves_cancels_the_handler_once(leave):
    async with handling() as (handler, client):
        getattr(client, leave)()
        await until(lambda: handler.cancellations)
        assert (handler.downstream.is_gone, handler.downstream.is_expired) == (True, False)
        handler.go_on.set()
        await handler.ended.wait()
    assert handler.cancellations == 1


async def test_what_is_written_to_a_caller_that_left_goes_nowhere_silently(caplog):
    async with handling(answer) as (handler, client):
        client.reset()
        await handler.ended.wait()
        assert handler.downstream.is_gone
        handler.downstream.abort()
    assert not caplog.records


async def test_a_caller_that_had_left_before_is_noticed_at_once():
    """The handler of a request that waited behind another may begin as its caller leaves."""
    async with listening() as listener:
        seen = []

        async def handle(scope, receive, send):
            await until(lambda: scope["extensions"]["fairlead.connection"].is_gone)
            downstream = HttpDownstream(scope)
            seen.append(downstream.is_gone)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")

        listener.app.handle = handle
        client = await listener.connect()
        await client.send(get("/handle"))
        await until(lambda: listener.app.begun)
        client.reset()
        await until(lambda: len(seen) == 2)
        assert seen == [True, "cancelled"]


async def test_a_handler_that_has_closed_is_not_cancelled():
    async with handling() as (handler, client):
        handler.downstream.close()
        client.reset()
        await until(lambda: handler.downstream._connection.is_gone)
        handler.go_on.set()
        await handler.ended.wait()
        assert not handler.downstream.is_gone
    assert handler.cancellations == 0


async def test_the_end_of_the_time_cancels_once_and_a_reply_is_still_possible():
    async with handling(answer) as (handler, client):
        handler.downstream.expire()
        handler.downstream.expire()
        (response,) = await client.responses(1)
        assert (response.status, response.body) == (200, b"ok")
        assert (handler.downstream.is_gone, handler.downstream.is_expired) == (False, True)
    assert handler.cancellations == 1


async def test_head_and_content_reach_the_caller():
    def stream(downstream):
        assert not downstream.is_started
        downstream.start(201, [(b"x-a", b"1")])
        assert downstream.is_started
        downstream.write(b"one ", is_last=False)
        downstream.write(b"two", is_last=True)

    async with handling(stream) as (handler, client):
        handler.go_on.set()
        (response,) = await client.responses(1)
        assert (response.status, response.headers["x-a"], response.body) == (201, "1", b"one two")
        assert response.headers["transfer-encoding"] == "chunked"


async def test_an_abort_leaves_the_reply_unfinished():
    def break_off(downstream):
        downstream.start(200, [])
        downstream.write(b"one", is_last=False)
        downstream.abort()

    async with handling(break_off) as (handler, client):
        handler.go_on.set()
        (response,) = await client.responses()
        assert (response.body, response.is_complete) == (b"one", False)


async def test_a_caller_that_does_not_read_is_slow_until_it_does():
    async with handling() as (handler, client), asyncio.TaskGroup() as group:
        downstream = handler.downstream
        assert not downstream.is_slow
        downstream.start(200, [])
        downstream.write(bytes(20_000_000), is_last=False)
        await until(lambda: downstream.is_slow)
        caught_up = group.create_task(drained(downstream))
        await asyncio.sleep(0)
        assert not caught_up.done()
        while not caught_up.done():
            await client.reader.read(1_000_000)
        assert not downstream.is_slow
        downstream.write(b"", is_last=True)
        handler.go_on.set()


async def drained(downstream):
    await downstream.drained()
