"""The loads of streams that are not in `bench.streams`: at a steady rate, and one as fast as it comes."""

import asyncio
import time
from array import array

from bench.load import Connection, Load, Paced
from bench.request import Request

_BEGINS = b"data: {"


def is_stream(body: bytes) -> bool:
    """Whether a body is a stream of events with content in it, to its end."""
    return body.startswith(b"data: {") and b'"content":"' in body and body.rstrip().endswith(b"data: [DONE]")


class _Timed(Connection):
    """Says when the first event of each stream has come."""

    def __init__(self, load: "PacedStreams") -> None:
        super().__init__(load)
        self._load = load
        self._begun = 0.0
        """The `asked_at` of the last stream that has begun."""

    def data_received(self, data: bytes) -> None:
        if self.asked_at != self._begun and _BEGINS in data:
            self._begun = self.asked_at
            self._load.first_s.append(time.perf_counter() - self.asked_at)
        super().data_received(data)


class PacedStreams(Paced):
    """Short streams, so many a second; `first_s` are the seconds from when each was due to its first event."""

    def __init__(self, request: Request, connections: int, rate_hz: float) -> None:
        super().__init__(request, connections, rate_hz, is_stream)
        self.first_s = array("d")

    def connect(self) -> Connection:
        return _Timed(self)


class _Reading(Connection):
    """Takes no more than so many bytes a second, if it is told to."""

    def __init__(self, load: "Flood") -> None:
        super().__init__(load)
        self._load = load
        self.reader.on_body = load.take

    def data_received(self, data: bytes) -> None:
        if self._load.rate_bytes_s:
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(len(data) / self._load.rate_bytes_s, self._go_on)
        super().data_received(data)

    def _go_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()


class Flood(Load):
    """One stream at a time, each of at least `least_bytes`; `floods` of them, and then no more.

    `rate_bytes_s` is how fast it is read, None as fast as it comes.
    """

    def __init__(self, request: Request, least_bytes: int, floods: int = 1, rate_bytes_s: float | None = None) -> None:
        super().__init__(request, 1)
        self.rate_bytes_s = rate_bytes_s
        self.taken_bytes = 0
        """Of bodies, framing not counted."""
        self.first_s = array("d")
        """Seconds to the first byte of each body."""
        self._least_bytes = least_bytes
        self._left = floods
        self._asked_at = 0.0
        self._this_bytes = 0
        self._end = b""

    def connect(self) -> Connection:
        return _Reading(self)

    def take(self, piece: bytes) -> None:
        """A piece of the body has come."""
        if not self._this_bytes:
            self.first_s.append(time.perf_counter() - self._asked_at)
        self._this_bytes += len(piece)
        self.taken_bytes += len(piece)
        self._end = piece if len(piece) >= _END_BYTES else (self._end + piece)[-_END_BYTES:]

    def on_ready(self, connection: Connection) -> None:
        if self._left and not self.is_closing:
            self._left -= 1
            self._this_bytes, self._end = 0, b""
            self._asked_at = time.perf_counter()
            connection.ask(self._asked_at)

    def on_reply(self, connection: Connection, asked_at: float) -> None:
        if connection.reader.status == 200 and self._this_bytes < self._least_bytes:
            self.fail(f"{self._this_bytes:,} bytes came of {self._least_bytes:,}: {self._end[-80:]!r}")
        elif connection.reader.status == 200 and not self._end.rstrip().endswith(b"data: [DONE]"):
            self.fail(f"the stream ended without [DONE]: {self._end[-80:]!r}")
        else:
            super().on_reply(connection, asked_at)


_END_BYTES = 256
"""So much of the end is kept, to look for `[DONE]` in."""
