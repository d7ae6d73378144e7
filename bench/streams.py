"""Event streams: opened, listened to and counted."""

import time
from array import array

from bench.load import Connection, Load
from bench.request import Request


class StreamConnection(Connection):
    """Counts the events of one stream by the empty line that ends each."""

    def __init__(self, load: "Streams") -> None:
        super().__init__(load)
        self.is_done = False
        """Whether `[DONE]` has come."""
        self._streams = load
        self._tail = b""
        self._last_at = 0.0
        self.reader.on_body = self._count

    def _count(self, payload: bytes) -> None:
        data = self._tail + payload if self._tail else payload
        events = data.count(b"\n\n")
        self._tail = data[data.rfind(b"\n\n") + 2 :] if events else data
        if not events:
            return
        now = time.perf_counter()
        load = self._streams
        load.events += events
        if self._last_at:
            load.gaps_s.append(now - self._last_at)
        else:
            load.opened += 1
            load.first_event_s.append(now - self.asked_at)
        self._last_at = now
        if b"data: [DONE]" in data:
            self.is_done = b'"finish_reason":"error"' not in data  # in band, just before it


class Streams(Load):
    """`streams` connections with one event stream on each; a stream that ended is not opened again.

    `replies` counts the streams that came to their `[DONE]`.
    """

    def __init__(self, request: Request, streams: int) -> None:
        super().__init__(request, streams)
        self.opened = 0
        """Streams whose first event has come."""
        self.events = 0
        self.first_event_s = array("d")
        self.gaps_s = array("d")
        """Seconds from each event to the one before it on the same stream."""
        self._unopened = streams

    def connect(self) -> StreamConnection:
        return StreamConnection(self)

    def on_ready(self, connection: Connection) -> None:
        if self._unopened and not self.is_closing:
            self._unopened -= 1
            connection.ask(time.perf_counter())

    def on_reply(self, connection: Connection, asked_at: float) -> None:
        if connection.reader.status == 200 and not (isinstance(connection, StreamConnection) and connection.is_done):
            self.fail("the stream ended without [DONE]")
        else:
            super().on_reply(connection, asked_at)
