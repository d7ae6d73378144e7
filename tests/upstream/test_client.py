"""The client against real sockets: the corpus beside aiohttp, reuse, the pool's limit, cancellation, closing."""

import asyncio
import contextlib

import aiohttp
import pytest

from fairlead import clock
from fairlead.catalog.model import Timeouts
from fairlead.errors import ConnectionsUsed, Truncated, UpstreamError
from fairlead.upstream import client as client_module
from fairlead.upstream.pool import PoolLimits
from upstream.corpus import CASES, LIMITS, Outcome
from upstream.peer import OK, ask, ask_all, on_both_loops, read_all, turns

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def playing(peer, case):
    """A provider that answers every request with the case's bytes."""

    async def script(guest):
        await guest.answer(case.wire)
        if case.is_closed:
            guest.close()
        else:
            await guest.end()

    async with peer.serving(script):
        yield


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
class TestCorpus:
    async def test_over_a_socket(self, case, make_client, peer):
        client = make_client(limits=LIMITS)
        status, headers, parts, error = 0, (), [], ""
        async with playing(peer, case):
            try:
                reply = await ask(client, peer.origin)
                status, headers = reply.status, tuple(reply.headers)
                while data := await reply.read():
                    parts.append(data)
            except UpstreamError as fault:
                error = type(fault).__name__
            await turns()
            is_kept = client.connection_count == 1
        assert Outcome(status, headers, b"".join(parts), error, is_kept) == case.outcome

    async def test_aiohttp_agrees_or_we_know_why(self, case, peer):
        async with playing(peer, case), aiohttp.ClientSession(auto_decompress=False) as session:
            try:
                async with session.post(f"http://127.0.0.1:{peer.port}/", data=b"{}") as reply:
                    headers = tuple((name.lower(), value) for name, value in reply.raw_headers)
                    theirs = reply.status, headers, await reply.read()
            except aiohttp.ClientError:
                theirs = "an error"
        ours = case.outcome
        agrees = theirs == ("an error" if ours.error else (ours.status, ours.headers, ours.body))
        assert agrees is not bool(case.differs)


@on_both_loops
class TestReuse:
    async def test_one_connection_serves_request_after_request(self, client, any_peer):
        _, guest = await asyncio.gather(ask_all(client, any_peer.origin, b"{}"), any_peer.answer())
        for count in range(1, 5):
            body = b"x" * 10**count
            reply, request = await asyncio.gather(ask_all(client, any_peer.origin, body), guest.answer())
            assert reply == (200, b"ok")
            assert request.endswith(b"content-length: %d\r\n\r\n%b" % (len(body), body))
        assert client.connection_count == 1

    async def test_requests_at_once_have_a_connection_each(self, client, any_peer):
        asking = [asyncio.gather(ask_all(client, any_peer.origin)) for _ in range(3)]
        for guest in [await any_peer.accept() for _ in asking]:
            await guest.answer()
        for each in asking:
            assert await each == [(200, b"ok")]
        assert client.connection_count == 3

    async def test_a_reply_not_yet_read_does_not_hold_its_connection(self, client, any_peer):
        unread, guest = await asyncio.gather(ask(client, any_peer.origin), any_peer.answer())
        reply, _ = await asyncio.gather(ask_all(client, any_peer.origin), guest.answer(OK.replace(b"ok", b"no")))
        assert (reply, await read_all(unread)) == ((200, b"no"), b"ok")

    @pytest.mark.parametrize(
        "wire",
        [
            OK.replace(b"\r\n", b"\r\nconnection: close\r\n", 1),
            OK.replace(b"HTTP/1.1", b"HTTP/1.0"),
            OK + b"surplus",
            OK + OK,
        ],
    )
    async def test_not_after(self, client, any_peer, wire):
        reply, guest = await asyncio.gather(ask_all(client, any_peer.origin), any_peer.answer(wire))
        assert reply == (200, b"ok")
        assert await guest.end() == b""
        reply, _ = await asyncio.gather(ask_all(client, any_peer.origin), any_peer.answer())
        assert reply == (200, b"ok")

    async def test_not_after_bytes_while_idle(self, client, any_peer):
        _, guest = await asyncio.gather(ask_all(client, any_peer.origin), any_peer.answer())
        await guest.send(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
        assert await guest.end() == b""
        assert client.connection_count == 0

    async def test_not_after_an_aborted_reply(self, client, any_peer):
        reply, guest = await asyncio.gather(ask(client, any_peer.origin), any_peer.answer(OK[:-1]))
        reply.abort()
        assert await guest.end() == b""
        assert client.connection_count == 0
        assert await reply.read() == b"o"
        with pytest.raises(Truncated, match="given up"):
            await reply.read()


@on_both_loops
class TestLargeRequest:
    BODY = bytes(8_000_000)  # more than the kernel buffers
    REFUSAL = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig"

    async def test_a_reply_before_its_end(self, client, any_peer):
        async def refuse():
            guest = await any_peer.accept()
            await guest.recv()
            await guest.send(self.REFUSAL)
            return guest

        reply, guest = await asyncio.gather(ask_all(client, any_peer.origin, self.BODY), refuse())
        assert reply == (413, b"big")
        assert len(await guest.end()) < len(self.BODY)
        assert client.connection_count == 0

    async def test_a_reply_and_a_reset_before_its_end(self, client, any_peer):
        async def refuse():
            guest = await any_peer.accept()
            await guest.recv()
            await guest.send(self.REFUSAL)
            guest.close()  # with data unread: a reset

        reply, _ = await asyncio.gather(ask_all(client, any_peer.origin, self.BODY), refuse())
        assert reply == (413, b"big")

    async def test_a_reset_before_its_end(self, client, any_peer):
        async def refuse():
            guest = await any_peer.accept()
            await guest.recv()
            guest.close()

        asking = asyncio.gather(ask_all(client, any_peer.origin, self.BODY), refuse())
        with pytest.raises(Truncated, match="before the reply"):
            await asking


class TestPlaces:
    @pytest.fixture
    def client(self, make_client):
        return make_client(pool_limits=PoolLimits(max_connections=1))

    async def test_requests_take_turns(self, client, peer):
        asking = [asyncio.gather(ask_all(client, peer.origin, b"%d" % number)) for number in range(4)]
        guest = await peer.accept()
        for number in range(4):
            assert (await guest.answer()).endswith(b"\r\n\r\n%d" % number)
        for each in asking:
            assert await each == [(200, b"ok")]
        assert client.connection_count == 1

    async def test_a_place_passes_on_when_its_connection_closes(self, client, peer):
        asking = [asyncio.gather(ask_all(client, peer.origin)) for _ in range(3)]
        for each in asking:
            guest = await peer.answer(OK + b"surplus")
            assert await each == [(200, b"ok")]
            await guest.end()

    @on_both_loops
    async def test_a_connection_handed_over_may_be_stale_too(self, client, any_peer):
        first = asyncio.gather(ask_all(client, any_peer.origin))
        guest = await any_peer.accept()
        second = asyncio.gather(ask_all(client, any_peer.origin))
        await turns()
        await guest.answer()
        guest.close()  # without a word about it in the reply
        assert await first == [(200, b"ok")]
        await any_peer.answer()
        assert await second == [(200, b"ok")]

    async def test_waiting_is_limited_and_is_nobodys_fault(self, client, peer):
        """By whichever limit it ends, the provider is not late: it has heard nothing."""
        busy = await asyncio.gather(ask(client, peer.origin), peer.answer(OK[:-1]))
        for limits in ({"timeouts": Timeouts(connect_s=0.02)}, {"total_s": 0.02}, {"total_s": -1.0}):
            with pytest.raises(
                ConnectionsUsed, match=r"all 1 connections of this worker to 127\.0\.0\.1:\d+ are in use"
            ):
                await ask(client, peer.origin, **limits)
        busy[0].abort()

    async def test_places_are_counted_by_origin(self, client, peer, tls_peer):
        _, guest = await asyncio.gather(ask(client, peer.origin), peer.answer(OK[:-1]))
        reply, _ = await asyncio.gather(ask_all(client, tls_peer.origin), tls_peer.answer())
        assert reply == (200, b"ok")
        guest.close()


@on_both_loops
class TestCancelling:
    """The provider is told at once, by a close, and the place is free."""

    @pytest.fixture
    def client(self, make_client):
        return make_client(pool_limits=PoolLimits(max_connections=1))

    @staticmethod
    async def cancel(task):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    @staticmethod
    async def check(client, peer, guest):
        await guest.end()
        reply, _ = await asyncio.gather(ask_all(client, peer.origin), peer.answer())
        assert reply == (200, b"ok")
        assert client.connection_count == 1

    async def test_while_waiting_for_the_head(self, client, any_peer):
        asking = asyncio.gather(ask(client, any_peer.origin))
        guest = await any_peer.accept()
        await guest.read_request()
        await self.cancel(asking)
        await self.check(client, any_peer, guest)

    async def test_while_the_request_is_being_written(self, client, any_peer):
        asking = asyncio.gather(ask(client, any_peer.origin, bytes(8_000_000)))
        guest = await any_peer.accept()
        await guest.recv()
        await self.cancel(asking)
        await self.check(client, any_peer, guest)

    async def test_while_reading(self, client, any_peer):
        reply, guest = await asyncio.gather(ask(client, any_peer.origin), any_peer.answer(OK[:-1]))
        assert await reply.read() == b"o"
        reading = asyncio.gather(reply.read())
        await turns()
        await self.cancel(reading)
        await self.check(client, any_peer, guest)

    async def test_while_waiting_for_a_place(self, client, any_peer):
        reply, guest = await asyncio.gather(ask(client, any_peer.origin), any_peer.answer(OK[:-1]))
        waiting = asyncio.gather(ask(client, any_peer.origin))
        await turns()
        await self.cancel(waiting)
        await guest.send(OK[-1:])
        assert await read_all(reply) == b"ok"
        await asyncio.gather(ask_all(client, any_peer.origin), guest.answer())

    async def test_after_the_end_it_changes_nothing(self, client, any_peer):
        reply, guest = await asyncio.gather(ask(client, any_peer.origin), any_peer.answer())
        await turns()
        reply.abort()
        assert await read_all(reply) == b"ok"
        await asyncio.gather(ask_all(client, any_peer.origin), guest.answer())


class TestKeeping:
    async def test_a_sweep_closes_what_was_idle_for_too_long(self, make_client, any_peer, monkeypatch):
        monkeypatch.setattr(client_module, "SWEEP_S", 0.01)
        client = make_client(pool_limits=PoolLimits(keep_alive_s=0.01))
        _, guest = await asyncio.gather(ask_all(client, any_peer.origin), any_peer.answer())
        assert await guest.end() == b""
        assert client.connection_count == 0

    async def test_an_old_connection_is_not_used_again(self, client, any_peer):
        _, guest = await asyncio.gather(ask_all(client, any_peer.origin), any_peer.answer())
        [connection] = client._connections
        connection.opened_at = clock.monotonic() - PoolLimits().max_age_s
        await asyncio.gather(ask_all(client, any_peer.origin), any_peer.answer())
        assert await guest.end() == b""
        assert client.connection_count == 1

    async def test_a_provider_that_ignores_the_close_holds_no_place(self, make_client, tls_peer):
        """A farewell over TLS is waited for, half a minute long."""
        client = make_client(pool_limits=PoolLimits(max_connections=1))
        await asyncio.gather(ask_all(client, tls_peer.origin), tls_peer.answer())
        [connection] = client._connections
        connection.opened_at = clock.monotonic() - PoolLimits().max_age_s
        await asyncio.gather(ask_all(client, tls_peer.origin), tls_peer.answer())

    @on_both_loops
    async def test_closing_closes_everything(self, client, any_peer):
        _, kept = await asyncio.gather(ask_all(client, any_peer.origin), any_peer.answer())
        idle = asyncio.gather(ask(client, any_peer.origin), kept.answer(OK[:-1]))
        [reply, _] = await idle
        _, other = await asyncio.gather(ask_all(client, any_peer.origin), any_peer.answer())
        client.close()
        assert [await kept.end(), await other.end()] == [b"", b""]
        assert await reply.read() == b"o"
        with pytest.raises(Truncated):
            await reply.read()
        assert client.connection_count == 0
