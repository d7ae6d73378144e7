"""A kept connection that the provider has closed: asked again elsewhere, but only if nothing can have been acted on."""

import asyncio
import sys

import pytest

from fairlead.errors import ConnectError, Truncated
from upstream.peer import OK, ask, ask_all, on_both_loops, turns

pytestmark = [
    pytest.mark.anyio,
    on_both_loops,
    pytest.mark.skipif(sys.platform != "linux", reason="the proof is in Linux' TCP_INFO"),
]
NEW = OK.replace(b"ok", b"ne")


@pytest.fixture
async def kept(client, any_peer):
    """The provider's end of a connection that is kept, and has been for a while."""
    guest = await keep(client, any_peer)
    rest(client)
    return guest


async def keep(client, peer):
    _, guest = await asyncio.gather(ask_all(client, peer.origin), peer.answer())
    for _ in range(20):  # until the kernel delays its acknowledgements
        await asyncio.gather(ask_all(client, peer.origin), guest.answer())
    return guest


def rest(client):
    for connection in client._connections:
        connection.idle_since -= 1.0


async def ask_anew(client, peer, *body):
    """Ask; the provider sees the request once, on a new connection."""
    seen = len(peer.guests)
    asking = ask_all(client, peer.origin, *body)
    reply, guest = await asyncio.gather(asking, peer.answer(NEW))
    assert reply == (200, b"ne")
    assert peer.guests[seen:] == [guest]
    assert client.connection_count == 1


async def test_closed_and_noticed(client, any_peer, kept):
    kept.close()
    await turns()
    assert client.connection_count == 0
    await ask_anew(client, any_peer)


@pytest.mark.parametrize("body", [b"", b"{}", bytes(200_000)], ids=["none", "small", "large"])
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_closed_and_not_yet_noticed(client, any_peer, kept, how, body):
    getattr(kept, how)()
    await ask_anew(client, any_peer, body)


async def test_said_goodbye_over_tls(client, tls_peer):
    guest = await keep(client, tls_peer)
    await guest.say_goodbye()
    guest.close()
    await ask_anew(client, tls_peer)


async def test_closed_right_behind_the_reply(client, any_peer):
    guest = await keep(client, any_peer)
    guest.close()
    await ask_anew(client, any_peer, b"{}")


async def test_several_at_once(client, any_peer):
    asking = [asyncio.gather(ask_all(client, any_peer.origin)) for _ in range(3)]
    guests = [await any_peer.accept() for _ in asking]
    for guest in guests:
        await guest.answer()
    await asyncio.gather(*asking)
    assert client.connection_count == 3
    rest(client)
    for guest in guests:
        guest.close()
    await ask_anew(client, any_peer)


async def test_a_late_408_is_not_taken_for_the_reply(client, any_peer, kept):
    await kept.send(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    kept.close()
    await ask_anew(client, any_peer)


class TestNever:
    """The request is not sent a second time."""

    @staticmethod
    async def fails(client, peer, *body):
        count = len(peer.guests)
        with pytest.raises(Truncated):
            await ask(client, peer.origin, *body)
        await turns()
        assert client.connection_count == 0
        with pytest.raises(BlockingIOError):  # nobody else has come
            peer._listener.accept()
        assert len(peer.guests) == count

    @pytest.mark.parametrize("how", ["close", "reset"])
    async def test_when_it_was_read_and_not_answered(self, client, any_peer, kept, how):
        async def leave():
            await kept.read_request()
            getattr(kept, how)()

        await asyncio.gather(self.fails(client, any_peer, b"{}"), leave())

    @pytest.mark.parametrize("how", ["close", "reset"])
    async def test_when_part_of_it_was_read(self, client, any_peer, kept, how):
        async def leave():
            await kept.recv()
            getattr(kept, how)()

        await asyncio.gather(self.fails(client, any_peer, bytes(8_000_000)), leave())

    async def test_when_a_reply_had_begun(self, client, any_peer, kept):
        async def leave():
            await kept.answer(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 20")
            kept.close()

        await asyncio.gather(self.fails(client, any_peer), leave())

    @pytest.mark.parametrize("how", ["close", "reset"])
    async def test_when_the_connection_was_fresh(self, client, any_peer, how):
        async def leave():
            getattr(await any_peer.accept(), how)()

        asking = asyncio.gather(ask(client, any_peer.origin), leave())
        with pytest.raises((ConnectError, Truncated)):
            await asking
        assert len(any_peer.guests) == 1
