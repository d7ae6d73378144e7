"""One request and its response on a guarded connection: uvicorn's cycle, where it differs."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Protocol

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from fairlead.turn import GatheredTransport

Headers = list[tuple[bytes, bytes]]

_FRAMING = frozenset((b"content-length", b"transfer-encoding", b"connection"))


class Write(Protocol):
    def __call__(self, body: bytes, *, is_last: bool) -> None: ...


class Caller:
    """The client of one request, as its app may watch it; the identity of `scope["extensions"]["fairlead.connection"]`.

    ASGI tells of a client that left only to a task waiting in `receive()`. This tells at once, and costs no task.
    """

    __slots__ = ("_abort", "_callback", "flow", "is_gone", "start", "take_body", "task", "write")

    task: "asyncio.Task[None]"
    """Runs the app for this request. (Asking asyncio for the current task is a system call up to CPython 3.11.)"""

    start: Callable[[int, Headers], None]
    """Begins the response, as `http.response.start` does."""
    write: "Write"
    """Sends body (and whether that was all) as `http.response.body` does, without waiting: look at `flow` first."""

    take_body: Callable[[int], bytes | None]
    """Returns the body if it is all there, and no more bytes than that; None if it has to be received."""

    def __init__(self, abort: Callable[[], None], flow: FlowControl) -> None:
        self.flow = flow
        self.is_gone = False
        self._abort: Callable[[], None] | None = abort
        self._callback: Callable[[], None] | None = None

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        """Have `callback` called, at most once, the moment the client is lost.

        That is when the connection is lost, a FIN is seen, or the server cuts the client off; at once, if that has
        happened. A complete response drops it, and so does None; after that there is nothing to be told.
        """
        if self.is_gone:
            if callback is not None:
                callback()
        elif self._abort is not None:
            self._callback = callback

    def drained(self) -> Awaitable[None]:
        """Wait until `send` would not wait because the client has not taken what was sent (`flow.write_paused`); also
        over when the client is lost."""
        return self.flow.drain()

    def abort(self) -> None:
        """End the connection without completing the response; no `on_gone` follows. Nothing after the response."""
        if self._abort is not None:
            self._abort()

    def leave(self) -> None:
        """For the connection: the client is lost."""
        self.is_gone = True
        callback = self._callback
        self.release()
        if callback is not None:
            callback()

    def release(self) -> None:
        """For the connection: the response is complete, or given up. No reference leads back to the cycle then."""
        self._abort = self._callback = None
        self.start, self.write, self.take_body = _start_nothing, _write_nothing, _take_nothing


def _start_nothing(status: int, headers: Headers) -> None:
    """The response is over, or its client lost."""


def _write_nothing(body: bytes, *, is_last: bool) -> None:
    """The response is over, or its client lost."""


def _take_nothing(most_bytes: int) -> None:
    """The response is over, or its client lost."""


class Outlet:
    """The transport as a cycle uses it: the same writes, but a `close` that the connection decides about."""

    __slots__ = ("abort", "close", "is_closing", "write", "write_part")

    def __init__(self, transport: GatheredTransport, close: Callable[[], None], abort: Callable[[], None]) -> None:
        self.write = transport.write
        self.write_part = transport.write_part
        self.is_closing = transport.is_closing
        self.close = close
        self.abort = abort


class GuardedCycle(RequestResponseCycle):
    """An HTTP/1.1 exchange.

    `is_waiting` is true while the app waits in `receive`. `reusable` matters to a request that expects `100 Continue`:
    its connection is kept only if the body is asked for. A client that gets its answer instead may or may not send
    the body, and what it sends next could be taken for either.
    """

    caller: Caller
    whole: bytes | None = None
    """The body, if it came in one piece with its head."""
    is_waiting = False
    is_close_delimited = False
    reusable = False
    _held_head = b""

    def expect_continue(self) -> None:
        """Keep the connection only if the app asks for the body."""
        self.reusable, self.keep_alive = self.keep_alive, False

    def end_connection(self) -> None:
        """Let this be the last response of its connection."""
        self.reusable = self.keep_alive = False

    def break_off(self, transport: asyncio.Transport) -> None:
        """End the connection so that this response can't be taken for whole: its framing must show that, or a RST."""
        if self.is_close_delimited:
            sock: socket.socket = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()  # what was written still goes out

    async def send(self, message: ASGISendEvent) -> None:
        """As uvicorn's, but the head leaves together with the first part of the body: one write where there were two.

        A write is a system call that also does the receiver's share of the work on the same machine; it is the dearest
        single thing in a small response.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if message["type"] == "http.response.body":
            self.write(message.get("body", b""), is_last=not message.get("more_body", False))
        elif message["type"] == "http.response.start":
            self.start(message["status"], list(message.get("headers", ())))
        else:
            raise RuntimeError(f"{message['type']} is nothing that can be sent")

    def start(self, status: int, headers: Headers) -> None:
        """Take status and headers (names in lower case) of the response; nothing is sent yet."""
        if self.disconnected:
            return
        if self.response_started:
            raise RuntimeError("The response has been started already")
        self.response_started = True
        self.waiting_for_100_continue = False
        lines = [STATUS_LINE[status]]
        for name, value in (*self.default_headers, *headers):
            if name in _FRAMING and not self._frame(name, value):
                continue
            lines.append(b"%b: %b\r\n" % (name, value))
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        if self.chunked_encoding is None and self._has_body(status):
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        head = b"".join(lines)
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines) or b"\0" in head:
            raise RuntimeError("A response header has a line break or a NUL in it")
        self._held_head = head + b"\r\n"

    def _frame(self, name: bytes, value: bytes) -> bool:
        """Take in what a header says of the framing; return whether it goes out as it is."""
        if name == b"content-length":
            self.expected_content_length = int(value)
            self.chunked_encoding = False
            return True
        if name == b"connection" and b"close" in value.lower():
            self.keep_alive = False
            return False
        return name == b"connection"  # a transfer coding is ours to say, and only once

    def _has_body(self, status: int) -> bool:
        return self.scope["method"] != "HEAD" and status not in (204, 304)

    def write(self, body: bytes, *, is_last: bool) -> None:
        """Send a part of the body at once, however slow the client is."""
        if self.disconnected:
            return
        if not self.response_started or self.response_complete:
            raise RuntimeError("A body was sent before the response was started, or after its end")
        head, self._held_head = self._held_head, b""
        if self.chunked_encoding:
            data = b"%b%x\r\n%b\r\n" % (head, len(body), body) if body else head
        else:
            data = head + self._counted(body, is_last=is_last)
        outlet: Outlet = self.transport  # type: ignore[assignment]  # `cast` is a call, for each event of a stream
        if not is_last:
            if data:
                outlet.write_part(data)
            return
        if self.chunked_encoding:
            data += b"0\r\n\r\n"
        if data:
            outlet.write(data)
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _counted(self, body: bytes, *, is_last: bool) -> bytes:
        """Return what is sent of a body that has a length."""
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
            return b""
        self.expected_content_length -= len(body)
        if self.expected_content_length < 0 or (self.expected_content_length and is_last):
            raise RuntimeError("The body is not as long as content-length says")
        return body

    async def receive(self) -> ASGIReceiveEvent:
        """As uvicorn's, but reading is resumed only while this request has more to read."""
        if self.waiting_for_100_continue and not self.disconnected and not self.transport.is_closing():
            self.waiting_for_100_continue = False
            self.keep_alive = self.reusable
            if self.more_body and not self.body:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not self.disconnected and not self.response_complete:
            if self.more_body:
                self.flow.resume_reading()
            self.is_waiting = True
            try:
                await self.message_event.wait()
            finally:
                self.is_waiting = False
            self.message_event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self._taken(), "more_body": self.more_body}

    def take_body(self, most_bytes: int) -> bytes | None:
        """Return what `receive` would, if that is all of the body and nothing else is to be done first."""
        if self.more_body or self.waiting_for_100_continue or self.disconnected or self.response_complete:
            return None
        if len(self.body if self.whole is None else self.whole) > most_bytes:
            return None
        self.message_event.clear()
        return self._taken()

    def _taken(self) -> bytes:
        whole, self.whole = self.whole, None
        if whole is None:
            whole = bytes(self.body)
            self.body = bytearray()
        return whole


class Http10Cycle(GuardedCycle):
    """An HTTP/1.0 exchange. There are no chunks: what has no length ends with the connection (RFC 9112 §6.3).

    A length that the app gives is sent, but not checked.
    """

    is_close_delimited = True

    def start(self, status: int, headers: Headers) -> None:
        self.chunked_encoding = False
        super().start(status, [pair for pair in headers if pair[0] != b"transfer-encoding"])

    def write(self, body: bytes, *, is_last: bool) -> None:
        self.expected_content_length = len(body)  # what is counted then comes out even
        super().write(body, is_last=is_last)
