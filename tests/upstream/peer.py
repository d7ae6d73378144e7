"""A provider on loopback whose every byte a test decides.

The test plays both sides: it asks with our client and answers through a `Guest`. Guests are plain sockets, with TLS by
`ssl.SSLObject` over them, because a test must be able to close or reset within one turn of the loop.
"""

import asyncio
import contextlib
import socket
import ssl
import struct

import pytest

from fairlead import clock
from fairlead.catalog.model import Timeouts
from fairlead.upstream.origin import Origin

LOOPBACK = "127.0.0.1"
TIME_LIMIT_S = 20.0
"""When a test has hung. Never waited for otherwise."""
PATIENT = Timeouts(connect_s=TIME_LIMIT_S, first_byte_s=TIME_LIMIT_S, idle_s=TIME_LIMIT_S, total_s=TIME_LIMIT_S)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

UVLOOP = pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop")
ASYNCIO = pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio")
on_both_loops = pytest.mark.parametrize("anyio_backend", [UVLOOP, ASYNCIO])


def reset(sock):
    """Close `sock` by RST, now."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Guest:
    """One connection, as the provider sees it."""

    def __init__(self, sock, context):
        self.sock = sock
        self._loop = asyncio.get_running_loop()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context and context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._unread = b""

    async def handshake(self):
        """Do the server's side of TLS. Raises OSError when the client refuses."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                if not (data := await self._receive()):
                    raise ConnectionResetError("the client left during the handshake") from None
                self._incoming.write(data)
            else:
                await self._flush()
                return

    async def _receive(self):
        async with asyncio.timeout(TIME_LIMIT_S):
            return await self._loop.sock_recv(self.sock, 1 << 18)

    async def _flush(self):
        if data := self._outgoing.read():
            await self._loop.sock_sendall(self.sock, data)

    async def recv(self):
        """Return what has come; b"" at the end, however it came."""
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        try:
            if self.tls is None:
                return await self._receive()
            while True:
                with contextlib.suppress(ssl.SSLWantReadError):
                    return self.tls.read(1 << 18)
                if not (data := await self._receive()):
                    return b""
                self._incoming.write(data)
        except (ConnectionError, ssl.SSLError):
            return b""

    async def read_request(self):
        """Return one whole request; its length is told by content-length. Raises EOFError."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += await self.more()
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]) if b"content-length" in head else 0
        parts, size = [body], len(body)
        while size < length:
            parts.append(await self.more())
            size += len(parts[-1])
        body = b"".join(parts)
        self._unread = body[length:]
        return head + b"\r\n\r\n" + body[:length]

    async def more(self):
        """Return what has come. Raises EOFError at the end."""
        if not (data := await self.recv()):
            raise EOFError
        return data

    async def send(self, data):
        async with asyncio.timeout(TIME_LIMIT_S):
            if self.tls is None:
                await self._loop.sock_sendall(self.sock, data)
            else:
                self.tls.write(data)
                await self._flush()

    async def answer(self, reply=OK):
        """Read a request, send a reply, return the request."""
        request = await self.read_request()
        await self.send(reply)
        return request

    async def end(self):
        """Wait until the client has closed or reset; return what came before."""
        parts = []
        while data := await self.recv():
            parts.append(data)
        return b"".join(parts)

    async def say_goodbye(self):
        """Send TLS' close_notify."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        await self._flush()

    def close(self):
        """Send FIN, now."""
        self.sock.close()

    def reset(self):
        """Send RST, now."""
        reset(self.sock)


class Peer:
    """A listening socket, and everyone who came."""

    def __init__(self, context=None, *, host=LOOPBACK, name=None):
        self._listener = socket.create_server((host, 0))
        self._listener.setblocking(False)
        self._context = context
        self.port = self._listener.getsockname()[1]
        self.origin = Origin(context is not None, name or host, self.port)
        self.guests = []

    async def accept(self):
        """Wait for the next connection."""
        guest = await self.accept_raw()
        if self._context is not None:
            await guest.handshake()
        return guest

    async def accept_raw(self):
        """Wait for the next connection, and leave TLS to the test."""
        async with asyncio.timeout(TIME_LIMIT_S):
            sock, _ = await asyncio.get_running_loop().sock_accept(self._listener)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        guest = Guest(sock, self._context)
        self.guests.append(guest)
        return guest

    async def answer(self, reply=OK):
        """Accept a connection, answer one request on it, and return it."""
        guest = await self.accept()
        await guest.answer(reply)
        return guest

    @contextlib.asynccontextmanager
    async def serving(self, script):
        """Run `script(guest)` for everyone who comes, until the block ends."""

        async def run(guest):
            with contextlib.suppress(OSError, EOFError):
                if guest.tls is not None:
                    await guest.handshake()
                await script(guest)

        async def welcome(tasks):
            while True:
                running.append(tasks.create_task(run(await self.accept_raw())))

        running = []
        async with asyncio.TaskGroup() as tasks:
            running.append(tasks.create_task(welcome(tasks)))
            try:
                yield
            finally:
                for task in running:
                    task.cancel()

    def close(self):
        self._listener.close()
        for guest in self.guests:
            guest.close()


def head_of(origin, length, *, method=b"POST"):
    return b"%b /v1/chat HTTP/1.1\r\nhost: %b\r\ncontent-length: %d\r\n\r\n" % (
        method,
        origin.authority.encode(),
        length,
    )


async def ask(client, origin, *body, timeouts=PATIENT, total_s=TIME_LIMIT_S):
    """Send a request; return its reply, whose head is there."""
    head = head_of(origin, sum(map(len, body)))
    return await client.send(origin, head, body, timeouts, clock.monotonic() + total_s)


async def read_all(reply):
    """Return the whole body."""
    parts = []
    while data := await reply.read():
        parts.append(data)
    return b"".join(parts)


async def ask_all(client, origin, *body, **more):
    """Send a request; return status and whole body."""
    reply = await ask(client, origin, *body, **more)
    return reply.status, await read_all(reply)


async def turns(count=5):
    """Let the loop go round: what was scheduled by closing happens."""
    for _ in range(count):
        await asyncio.sleep(0)
