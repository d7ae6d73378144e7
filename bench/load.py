"""The load: raw bytes over asyncio protocols, counted while it runs.

    ClosedLoop   each connection asks again as soon as it is answered: how much the target can do
    Paced        asks at a fixed rate whatever happens: what one request waits
    Streams      opens event streams and listens (`bench.streams`): what an event costs, what an open stream holds

Each is an async context manager whose counters only grow. Who measures takes their difference over a window of time
together with the CPU time of the target (`bench.cpu`), so that a load client at its own limit spoils no figure.
"""

import asyncio
import json
import time
from array import array
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self, cast

from bench.framing import BadReply, Reader
from bench.request import Request
from bench.ticker import Ticker

_VERIFY_EVERY = 64
"""One reply in so many has its body read and checked; of every one the status and the framing are."""
_RECONNECT_S = 0.05


def is_completion(body: bytes) -> bool:
    """Whether `body` is a chat completion with some text in it."""
    try:
        return bool(json.loads(body)["choices"][0]["message"]["content"])
    except (ValueError, LookupError, TypeError):
        return False


class Connection(asyncio.Protocol):
    """One keep-alive connection of a load, with at most one request open."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.reader = Reader()
        self.asked_at = 0.0
        """When the open request was due, in `time.perf_counter` seconds; 0 while none is open."""
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self.load.open_connections.add(self)
        self.load.on_ready(self)

    def ask(self, asked_at: float) -> None:
        """Send the request of the load, due at `asked_at`."""
        self.asked_at = asked_at
        self.transport.write(self.load.next_payload())

    def data_received(self, data: bytes) -> None:
        try:
            if not self.asked_at:
                raise BadReply("bytes without a request")
            is_complete = self.reader.feed(data)
        except BadReply as error:
            self.asked_at = 0.0
            self.load.fail(str(error))
            self.transport.abort()
            return
        if is_complete:
            asked_at, self.asked_at = self.asked_at, 0.0
            self.load.on_reply(self, asked_at)
            if self.reader.is_close:
                self.transport.close()
            else:
                self.load.on_ready(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.load.open_connections.discard(self)
        self.load.on_lost(self)
        if self.asked_at and not self.load.is_closing:
            self.load.fail(f"connection lost inside a reply: {exc or 'closed by the peer'}")
        if not self.lost.done():
            self.lost.set_result(None)


class Load:
    """A number of connections, each made anew when it is lost, until the end of the `async with`."""

    def __init__(self, request: Request, connections: int) -> None:
        self.request = request
        self.replies = 0
        """Complete replies that were what they should be."""
        self.errors = 0
        self.first_error: str | None = None
        self.is_closing = False
        self.open_connections: set[Connection] = set()
        self._connections = connections
        self._group = asyncio.TaskGroup()
        self._keepers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._keepers = [self._group.create_task(self._keep()) for _ in range(self._connections)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_closing = True
        for keeper in self._keepers:
            keeper.cancel()
        for connection in self.open_connections:
            connection.transport.abort()
        await self._group.__aexit__(None, None, None)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.is_closing:
            try:
                _, connection = await loop.create_connection(self.connect, self.request.host, self.request.port)
            except OSError as error:
                self.fail(f"cannot connect: {error}")
                await asyncio.sleep(_RECONNECT_S)
            else:
                await connection.lost

    def connect(self) -> Connection:
        """Make the protocol of a new connection."""
        return Connection(self)

    def next_payload(self) -> bytes:
        """What is sent next."""
        return self.request.payload

    def fail(self, why: str) -> None:
        """Count an error; the first one's text is kept."""
        self.errors += 1
        self.first_error = self.first_error or why

    def on_ready(self, connection: Connection) -> None:
        """The connection can take a request."""

    def on_reply(self, connection: Connection, asked_at: float) -> None:
        """A reply is complete."""
        if connection.reader.status == 200:
            self.replies += 1
        else:
            self.fail(f"status {connection.reader.status}")

    def on_lost(self, connection: Connection) -> None:
        """The connection is gone."""


class Verified(Load):
    """Checks the body of a sample of the replies with `is_good`, the first one included."""

    def __init__(self, request: Request, connections: int, is_good: Callable[[bytes], bool] = is_completion) -> None:
        super().__init__(request, connections)
        self.verified = 0
        self._is_good = is_good
        self._until_sample = 1
        self._samples: dict[Connection, list[bytes]] = {}

    def ask(self, connection: Connection, due_at: float) -> None:
        """Send one request, and have its body kept when it is in the sample."""
        self._until_sample -= 1
        if not self._until_sample:
            self._until_sample = _VERIFY_EVERY
            body = self._samples[connection] = []
            connection.reader.on_body = body.append
        connection.ask(due_at)

    def on_reply(self, connection: Connection, asked_at: float) -> None:
        if connection.reader.on_body is not None:
            connection.reader.on_body = None
            body = b"".join(self._samples.pop(connection))
            if connection.reader.status == 200 and not self._is_good(body):
                self.fail(f"not what was asked for: {body[:80]!r}")
                return
            self.verified += 1
        super().on_reply(connection, asked_at)

    def on_lost(self, connection: Connection) -> None:
        self._samples.pop(connection, None)


class ClosedLoop(Verified):
    """Every connection has one request open at all times."""

    def on_ready(self, connection: Connection) -> None:
        if not self.is_closing:
            self.ask(connection, time.perf_counter())


class Paced(Verified):
    """`rate_hz` requests a second, due at fixed times however slow the answers are.

    Latency counts from when a request was *due*, so a stall of the target is charged to every request that waited
    through it and not only to the one that met it (coordinated omission).
    """

    def __init__(
        self,
        request: Request,
        connections: int,
        rate_hz: float,
        is_good: Callable[[bytes], bool] = is_completion,
    ) -> None:
        super().__init__(request, connections, is_good)
        self.latencies_s = array("d")
        self._rate_hz = rate_hz
        self._ticker = Ticker(rate_hz, self._tick)
        self._ticks = 0
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._ticker.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ticker.__exit__(kind, error, trace)
        await super().__aexit__(kind, error, trace)

    @property
    def backlog(self) -> int:
        """Requests that are due and wait for a free connection; they are in no other figure."""
        return len(self._due)

    def _tick(self, expired: int) -> None:
        for _ in range(expired):
            self._ticks += 1
            due_at = self._ticker.started_at + self._ticks / self._rate_hz
            if self._idle:
                self.ask(self._idle.popleft(), due_at)
            else:
                self._due.append(due_at)

    def on_ready(self, connection: Connection) -> None:
        if self._due:
            self.ask(connection, self._due.popleft())
        else:
            self._idle.append(connection)

    def on_reply(self, connection: Connection, asked_at: float) -> None:
        self.latencies_s.append(time.perf_counter() - asked_at)
        super().on_reply(connection, asked_at)

    def on_lost(self, connection: Connection) -> None:
        super().on_lost(connection)
        if connection in self._idle:
            self._idle.remove(connection)
