"""A simulator, and a peer that sees every byte and how the connection ends."""

import asyncio
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import orjson
import pytest

from fairlead.demo import Script, Simulator

TIME_LIMIT_S = 10
HELLO = {"model": "demo/chat", "messages": [{"role": "user", "content": "hello"}]}


@dataclass
class Received:
    """A reply as a client that knows HTTP understands it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    trailers: list[tuple[str, str]] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)

    def header(self, name):
        return dict(self.headers).get(name)

    def json(self):
        return orjson.loads(self.body)

    def events(self):
        """The data of a stream's events, `[DONE]` as it is."""
        blocks = self.body.decode().split("\n\n")
        assert blocks.pop() == "", "the last event has no end"
        return [block.removeprefix("data: ") for block in blocks if not block.startswith(":")]

    def chunks_of_chat(self):
        return [orjson.loads(event) for event in self.events() if event != "[DONE]"]


class Peer:
    """A client on a bare socket: a stream would hide what came before a reset."""

    def __init__(self, sock):
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self.end = None
        """How the connection ended: `eof`, `reset`, or None."""

    async def send(self, data):
        async with asyncio.timeout(TIME_LIMIT_S):
            await self._loop.sock_sendall(self._socket, data)

    async def post(self, members=None, *, headers=(), target="/v1/chat/completions", method="POST", **more):
        """Send a chat request; `more` goes into its body."""
        chat = (
            {"model": "demo/chat", "messages": [{"role": "user", "content": "hello"}]} if members is None else members
        )
        body = chat if isinstance(chat, bytes) else orjson.dumps(chat | more)
        lines = [f"{method} {target} HTTP/1.1", "host: test", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        await self.send("\r\n".join([*lines, "", ""]).encode() + body)

    async def get(self, target, method="GET"):
        await self.send(f"{method} {target} HTTP/1.1\r\nhost: test\r\n\r\n".encode())

    async def _more(self):
        if self.end is None:
            try:
                async with asyncio.timeout(TIME_LIMIT_S):
                    data = await self._loop.sock_recv(self._socket, 65536)
            except ConnectionResetError:
                self.end = "reset"
            else:
                self._buffer += data
                self.end = None if data else "eof"
        return self.end is None

    async def until(self, mark):
        """All bytes up to `mark` and it."""
        while (at := self._buffer.find(mark)) < 0:
            assert await self._more(), f"{self.end} after {bytes(self._buffer)}"
        return self._take(at + len(mark))

    def _take(self, count):
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def exactly(self, count):
        while len(self._buffer) < count:
            assert await self._more(), f"{self.end} after {len(self._buffer)} bytes of {count}"
        return self._take(count)

    async def rest(self):
        """All bytes until the connection ends; see `end`."""
        while await self._more():
            pass
        return self._take(len(self._buffer))

    async def head(self):
        lines = (await self.until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        return int(lines[0].split()[1]), [tuple(line.split(": ", 1)) for line in lines[1:] if line]

    async def reply(self):
        """One whole reply, informational ones left out."""
        status, headers = await self.head()
        while status < 200:
            status, headers = await self.head()
        received = Received(status, headers, b"")
        if received.header("transfer-encoding") == "chunked":
            await self._chunked(received)
        elif (length := received.header("content-length")) is not None:
            received.body = await self.exactly(int(length))
        elif status not in (204, 304):
            received.body = await self.rest()
        return received

    async def _chunked(self, received):
        while size := int(await self.until(b"\r\n"), 16):
            received.chunks.append(await self.exactly(size))
            assert await self.exactly(2) == b"\r\n"
        received.body = b"".join(received.chunks)
        while (line := await self.until(b"\r\n")) != b"\r\n":
            received.trailers.append(tuple(line.decode("latin-1").rstrip().split(": ", 1)))

    def close(self):
        self._socket.close()


@pytest.fixture
async def start():
    """Starts simulators that end with the test."""
    async with AsyncExitStack() as stack:

        async def start(*args, listen=None, **kwargs):
            simulator = Simulator(*args, **kwargs)
            stack.push_async_callback(simulator.close)
            await simulator.start(**(listen or {}))
            return simulator

        yield start


@pytest.fixture
async def sim(start):
    return await start()


@pytest.fixture
async def dial():
    """Connects to a simulator."""
    peers = []

    async def dial(simulator, *, receive_buffer=None):
        is_path = isinstance(simulator.address, str)
        sock = socket.socket(socket.AF_UNIX if is_path else socket.AF_INET)
        peers.append(sock)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, simulator.address)
        return Peer(sock)

    yield dial
    for sock in peers:
        sock.close()


@pytest.fixture
async def peer(sim, dial):
    return await dial(sim)


@pytest.fixture
def ask(sim, peer):
    """Sends one chat under a script and returns the whole reply."""

    async def ask(script=None, **members):
        sim.script = Script(**(script or {}))
        await peer.post(**members)
        return await peer.reply()

    return ask
