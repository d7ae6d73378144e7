"""Readers and providers that are slow, or stop: memory stays small, and nothing is lost."""

import asyncio
import contextlib
import gc
import os
import tracemalloc
import zlib

import pytest

from fairlead.catalog.model import Timeouts
from fairlead.errors import Truncated, UpstreamTimeout
from upstream.peer import OK, ask, ask_all, on_both_loops, read_all, turns

pytestmark = pytest.mark.anyio

BLOCK = os.urandom(1_000_000)
BLOCKS = 200
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
CLOSING = b"HTTP/1.1 200 OK\r\nconnection: close\r\n"


class Flood:
    """A provider that sends 200 MB as fast as it is let."""

    def __init__(self, peer, is_chunked):
        self._peer = peer
        self._is_chunked = is_chunked
        self.sent_bytes = 0

    async def run(self):
        guest = await self._peer.accept()
        await guest.read_request()
        size = len(BLOCK) * BLOCKS
        await guest.send(CHUNKED if self._is_chunked else b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        block = b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK) if self._is_chunked else BLOCK
        for _ in range(BLOCKS):
            for at in range(0, len(block), 1 << 16):
                await guest.send(block[at : at + (1 << 16)])
                self.sent_bytes += 1 << 16
        if self._is_chunked:
            await guest.send(b"0\r\n\r\n")

    async def stalled(self):
        """Wait until nothing more goes out."""
        before = -1
        while before != self.sent_bytes:
            before = self.sent_bytes
            await asyncio.sleep(0.05)


@contextlib.contextmanager
def memory_bound(limit_bytes):
    """At no time does the block hold more than `limit_bytes` above what was held before."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield
        assert tracemalloc.get_traced_memory()[1] - before < limit_bytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunks"])
async def test_a_stalled_reader_stalls_the_provider(client, any_peer, is_chunked):
    flood = Flood(any_peer, is_chunked)
    flooding = asyncio.gather(flood.run())
    with memory_bound(8_000_000):
        reply = await ask(client, any_peer.origin)
        await flood.stalled()
        assert flood.sent_bytes < 16_000_000  # what fits into the buffers of the kernel, and a little
        first = await reply.read()
        await flood.stalled()
        assert flood.sent_bytes < 16_000_000
        checksum, size = zlib.crc32(first), len(first)
        while data := await reply.read():
            checksum = zlib.crc32(data, checksum)
            size += len(data)
    await flooding
    assert size == len(BLOCK) * BLOCKS
    expected = 0
    for _ in range(BLOCKS):
        expected = zlib.crc32(BLOCK, expected)
    assert checksum == expected
    assert client.connection_count == 1


async def test_so_does_a_sink_that_has_enough(client, any_peer):
    """The same by `forward`, whose sink says no now and then."""
    flood = Flood(any_peer, is_chunked=True)
    flooding = asyncio.gather(flood.run())
    size = calls = 0

    def sink(data):
        nonlocal size, calls
        size += len(data)
        calls += 1
        return calls % 100 != 1

    with memory_bound(8_000_000):
        reply = await ask(client, any_peer.origin)
        sink(await reply.read())
        await reply.forward(sink)
        await flood.stalled()
        assert flood.sent_bytes - size < 16_000_000
        while not reply.is_drained:
            sink(await reply.forward(sink))
    await flooding
    assert size == len(BLOCK) * BLOCKS


@on_both_loops
@pytest.mark.parametrize(
    "head", [CLOSING + b"content-length: 400000\r\n\r\n", CLOSING + b"\r\n"], ids=["length", "close"]
)
async def test_a_slow_reader_gets_everything_though_the_provider_has_closed(client, any_peer, head):
    async def provide():
        guest = await any_peer.accept()
        await guest.answer(head + BLOCK[:200_000])
        await turns(20)  # reading has been paused; what follows waits below
        await guest.send(BLOCK[200_000:400_000])
        if guest.tls is not None:
            await guest.say_goodbye()
        guest.close()

    reply, _ = await asyncio.gather(ask(client, any_peer.origin), provide())
    await turns(20)
    assert await read_all(reply) == BLOCK[:400_000]


async def test_tls_cut_short_is_not_an_end(client, tls_peer):
    """uvloop's layer tells a close_notify from a bare FIN; that of asyncio does not."""
    reply, guest = await asyncio.gather(ask(client, tls_peer.origin), tls_peer.answer(CLOSING + b"\r\nhello"))
    guest.close()
    assert await reply.read() == b"hello"
    with pytest.raises(Truncated, match="broke after 5 bytes"):
        await reply.read()


@on_both_loops
async def test_tls_ended_by_its_own_means_is(client, tls_peer):
    reply, guest = await asyncio.gather(ask(client, tls_peer.origin), tls_peer.answer(CLOSING + b"\r\nhello"))
    await guest.say_goodbye()
    guest.close()
    assert await read_all(reply) == b"hello"


class TestUpload:
    BODY = BLOCK * 32

    async def test_a_provider_that_does_not_read_costs_no_memory(self, client, peer):
        with memory_bound(8_000_000):
            asking = asyncio.gather(ask_all(client, peer.origin, b"{", memoryview(self.BODY)))
            guest = await peer.accept()
            await turns(100)
        request = await guest.answer()
        assert request.endswith(self.BODY)
        assert await asking == [(200, b"ok")]

    @on_both_loops
    async def test_everything_arrives_in_the_end(self, client, any_peer):
        asking = asyncio.gather(ask_all(client, any_peer.origin, b"{", self.BODY, b"}"))
        guest = await any_peer.accept()
        await turns(100)
        assert (await guest.answer()).endswith(b"\r\n\r\n{" + self.BODY + b"}")
        assert await asking == [(200, b"ok")]
        await asyncio.gather(ask_all(client, any_peer.origin), guest.answer())

    async def test_while_it_moves_the_wait_for_the_reply_has_not_begun(self, client, any_peer):
        """Under TLS too, whose layer has encrypted everything and holds nothing back."""
        timeouts = Timeouts(first_byte_s=0.3)
        asking = asyncio.gather(ask_all(client, any_peer.origin, self.BODY, timeouts=timeouts))
        guest = await any_peer.accept()
        size = 0
        for _ in range(20):  # a second in all, and never a tenth of it without a byte
            while size < len(self.BODY) // 32:
                size += len(await guest.more())
            size = 0
            await asyncio.sleep(0.05)
        assert not asking.done()
        asking.cancel()

    @on_both_loops
    async def test_when_it_stops_the_limit_holds(self, client, any_peer):
        asking = asyncio.gather(ask_all(client, any_peer.origin, self.BODY, timeouts=Timeouts(first_byte_s=0.05)))
        guest = await any_peer.accept()
        await guest.recv()
        with pytest.raises(UpstreamTimeout, match="first byte"):
            await asking
        await guest.end()


@on_both_loops
class TestTimeouts:
    """Each limit, through a real loop; when exactly they run out is told in test_connection.py."""

    @staticmethod
    async def phase_after(client, peer, wire, **limits):
        guests = []

        async def provide():
            guests.append(await peer.answer(wire))

        async def read():
            await read_all(await ask(client, peer.origin, **limits))

        with pytest.raises(UpstreamTimeout) as caught:
            await asyncio.gather(read(), provide())
        assert await guests[0].end() == b""
        assert client.connection_count == 0
        return caught.value.phase

    async def test_first_byte(self, client, any_peer):
        for wire in (b"", CHUNKED, CHUNKED + b"5;"):
            timeouts = Timeouts(first_byte_s=0.03)
            assert await self.phase_after(client, any_peer, wire, timeouts=timeouts) == "first_byte"

    async def test_idle(self, client, any_peer):
        timeouts = Timeouts(idle_s=0.03)
        assert await self.phase_after(client, any_peer, OK[:-1], timeouts=timeouts) == "idle"

    async def test_total(self, client, any_peer):
        assert await self.phase_after(client, any_peer, OK[:-1], total_s=0.05) == "total"

    async def test_total_in_spite_of_a_drip(self, client, any_peer):
        async def drip():
            guest = await any_peer.answer(CHUNKED)
            with contextlib.suppress(OSError):
                while True:
                    await guest.send(b"1\r\na\r\n")
                    await asyncio.sleep(0.005)

        dripping = asyncio.gather(drip())
        with pytest.raises(UpstreamTimeout, match="total"):
            await read_all(await ask(client, any_peer.origin, total_s=0.05))
        await dripping
