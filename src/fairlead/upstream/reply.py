"""The reply to one request, from its reader's side.

Bytes of the body are handed over as they arrive: `read` returns whatever has come since the last call, without regard
to chunk or event borders, and never waits to collect more.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from fairlead.errors import UpstreamError

Headers = list[tuple[bytes, bytes]]

HIGH_WATER_BYTES = 131_072
"""Reading pauses when this much of a body waits for a slow caller; so this, plus one read of the socket (uvloop: up
to 256 KiB), bounds the memory of a stalled stream."""
_OF_END = (b"content-length", b"transfer-encoding")
"""Headers that say how the end of the body is to be known."""


class Source(Protocol):
    """Where a reply comes from; in fact always a `Connection`."""

    loop: asyncio.AbstractEventLoop

    def resume(self) -> None:
        """The reader has caught up: take more from the socket."""

    def abort(self) -> None:
        """Close at once, whatever is under way."""


class Reply:
    """What came back for one request. Made and filled by a `Connection`, owned by whoever reads it.

    `status` and `headers` are there once `head()` has returned. Bodies come as sent: a content-encoding is not undone.
    """

    __slots__ = (
        "_arrived",
        "_chunks",
        "_connection",
        "_error",
        "_found",
        "_head",
        "_is_complete",
        "_lower_head",
        "_sink",
        "_size",
        "_waiter",
        "body_bytes",
        "status",
    )

    def __init__(self, connection: Source) -> None:
        self._connection: Source | None = connection
        self._chunks: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._sink: Callable[[bytes], bool] | None = None
        self._error: UpstreamError | None = None
        self._is_complete = False
        self._arrived = False
        self._head = self._lower_head = b""
        self._found: dict[bytes, bytes] = {}
        self.status = 0
        self.body_bytes = 0
        """Bytes of content received so far."""

    async def head(self) -> None:
        """Wait until status and headers are there. Raises UpstreamError; being cancelled closes the connection."""
        while not self.status:
            await self._wait()

    async def read(self) -> bytes:
        """Return what has arrived of the body since the last call; wait if nothing has; b"" at its end.

        Raises UpstreamError, after everything that arrived before the fault has been returned. Being cancelled closes
        the connection.
        """
        while not self._chunks:
            if self._is_complete:
                return b""
            await self._wait()
        return self._take()

    async def forward(self, sink: Callable[[bytes], bool]) -> bytes:
        """Hand content to `sink` in the very event that brings it: no task is woken for it.

        Returns when `sink` has returned False, which stops reading until the next call, with b""; or at the end of the
        reply, with what came together with it. Raises as `read` does. `sink` must not raise. From then on only those
        headers are known that have been asked for: a stream may stay open for long.
        """
        if not self._chunks and not self._is_complete:
            self._let_go_of_head()
            self._sink = sink
            try:
                await self._wait()
            finally:
                self._sink = None
        return self._take()

    def _take(self) -> bytes:
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        size, self._size = self._size, 0
        if size > HIGH_WATER_BYTES and self._connection is not None:
            self._connection.resume()
        return data

    def _begin(self, status: int, head: bytes) -> None:
        """The connection has the head: status line and headers, each ended by CR LF, and valid as llhttp sees it."""
        self.status, self._head, self._lower_head = status, head, head.lower()
        self._wake()

    def _arrive(self, data: bytes) -> bool:
        """The connection has brought content, and more is to come. Returns whether to read on."""
        self._arrived = True
        self.body_bytes += len(data)
        if self._sink is None:
            self._chunks.append(data)
            self._size += len(data)
            self._wake()
            return self._size <= HIGH_WATER_BYTES
        if self._sink(data):  # all that came before has been read
            return True
        self._sink = None
        self._wake()
        return False

    def _arrive_last(self, data: bytes) -> None:
        """The connection has brought content, and the end of the reply with it, or a fault."""
        self.body_bytes += len(data)
        self._chunks.append(data)
        self._size += len(data)

    def abort(self) -> None:
        """Give up: unless the reply is complete, its connection is closed at once, so that the provider stops."""
        if self._connection is not None:
            self._connection.abort()

    @property
    def is_complete(self) -> bool:
        """Whether the whole reply has arrived (though perhaps not been read)."""
        return self._is_complete

    @property
    def is_drained(self) -> bool:
        """Whether the whole reply has arrived and been read."""
        return self._is_complete and not self._chunks

    def header(self, name: bytes) -> bytes:
        """Return the value of the first header of that (lower-case) name, b"" when there is none."""
        value = self._found.get(name)
        if value is None:  # a reply has some 18 headers, of which a handful matter, and these are asked for repeatedly
            at = self._lower_head.find(b"\r\n" + name + b":")
            value = self._head[at + len(name) + 3 : self._head.index(b"\r\n", at + 2)].strip() if at >= 0 else b""
            self._found[name] = value
        return value

    def _let_go_of_head(self) -> None:
        for name in _OF_END:
            self.header(name)
        self._head = self._lower_head = b""

    @property
    def headers(self) -> Headers:
        """Names in lower case, order and repetition kept, trailers not among them."""
        lines = [line.partition(b":") for line in self._head.split(b"\r\n")[1:-1]]
        return [(name.lower(), value.strip()) for name, _, value in lines]

    async def _wait(self) -> None:
        if self._connection is None:
            raise self._fault()
        self._connection.resume()
        # Not `get_running_loop`: up to CPython 3.11 each call is a getpid, which is a system call.
        self._waiter = self._connection.loop.create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._waiter = None

    def _fault(self) -> UpstreamError:
        """Let go of the error to be raised: kept here, or in a local variable of the frame that raises it, it would
        lead back to itself by its traceback, and the request's body would hang on that."""
        error, self._error = self._error, None
        assert error is not None  # a complete reply has nobody waiting, and a fault is told once
        return error

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _finish(self, error: UpstreamError | None) -> None:
        """The connection's last word on this reply."""
        self._connection = None
        self._error = error
        self._is_complete = error is None
        self._wake()
