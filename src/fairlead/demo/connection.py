"""One connection: reads requests, and plays for each in turn the performance it is given."""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, cast

from fairlead.demo.intake import BadRequest, Intake, ReceivedRequest
from fairlead.demo.performance import Ending, Performance, Step
from fairlead.demo.record import Record

MAX_WAITING: Final = 64
"""Pipelined requests that may wait; beyond, the connection is not read."""

_FLUSH_POLL_S: Final = 0.001
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)

Perform = Callable[[ReceivedRequest | BadRequest], Performance]


class Connection(asyncio.Protocol):
    """A peer of the simulator.

    `perform` decides about a request; `is_counted` tells those of the record from those about it; `is_unwelcome` is
    asked once, and a connection it is true for is reset.
    """

    def __init__(
        self,
        record: Record,
        open_connections: "set[Connection]",
        perform: Perform,
        is_counted: Callable[[ReceivedRequest], bool],
        is_unwelcome: Callable[[], bool],
    ) -> None:
        self._record = record
        self._open = open_connections
        self._perform = perform
        self._is_counted = is_counted
        self._is_unwelcome = is_unwelcome
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._intake = Intake()
        self._waiting: deque[tuple[ReceivedRequest | BadRequest, bool]] = deque()
        """What came and is not yet answered, and whether the record counts it."""
        self._is_reading = True
        self._is_paused = False
        self._is_closing = False
        # The performance being played.
        self._playing: Performance | None = None
        self._steps: Iterator[Step] = iter(())
        self._counts = False
        self._due = 0.0
        self._timer: asyncio.Handle | None = None

    # Called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._open.add(self)
        self._record.connections += 1
        self._record.open_connections += 1
        self._record.changed()
        if self._is_unwelcome():
            self._reset()

    def data_received(self, data: bytes) -> None:
        try:
            for request in self._intake.feed(data):
                if counts := self._is_counted(request):
                    self._record.arrived(request)
                self._waiting.append((request, counts))
            # Behind another reply it would land in the middle of that one; such a peer has to lose patience.
            if self._intake.must_continue() and self._playing is None and not self._waiting:
                self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        except BadRequest as wrong:
            self._waiting.append((wrong, False))
        self._play_next()
        if len(self._waiting) > MAX_WAITING and self._is_reading:
            self._is_reading = False
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._is_paused = True
        self._record.paused += 1
        self._record.changed()

    def resume_writing(self) -> None:
        self._is_paused = False
        self._record.paused -= 1
        self._record.changed()
        if self._playing is not None and self._timer is None:
            self._advance()
            self._play_next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._open.discard(self)
        self._record.open_connections -= 1
        self._record.paused -= self._is_paused
        if self._playing is not None and self._counts:
            self._record.aborted += not self._is_closing
            self._record.in_flight -= 1
        self._record.in_flight -= sum(counts for _, counts in self._waiting)
        self._waiting.clear()
        self._playing = None
        self._is_closing = True
        self._record.changed()

    # Called by the simulator.

    def abort(self) -> None:
        """End at once; this is our doing and counts as nobody's abort."""
        self._is_closing = True
        self._transport.abort()

    # The player.

    def _play_next(self) -> None:
        while self._waiting and self._playing is None and not self._is_closing:
            item, self._counts = self._waiting.popleft()
            self._playing = self._perform(item)
            self._steps = self._playing.steps
            self._due = self._loop.time()
            self._advance(is_start=True)
        if not self._is_reading and len(self._waiting) <= MAX_WAITING // 2 and not self._is_closing:
            self._is_reading = True
            self._transport.resume_reading()

    def _advance(self, *, is_start: bool = False) -> None:
        """Go to the next step, unless the peer must read first."""
        if self._is_paused:
            return
        step = next(self._steps, None)
        if step is None:
            self._finish()
            return
        after_s, data = step
        if is_start and not after_s:
            self._write(data)
            self._advance()
        elif after_s:
            # From step to step, not from now: the sum of small delays stays true.
            self._due += after_s
            self._timer = self._loop.call_at(self._due, self._step, data)
        else:
            self._timer = self._loop.call_soon(self._step, data)

    def _step(self, data: bytes) -> None:
        self._timer = None
        self._write(data)
        self._advance()
        self._play_next()

    def _write(self, data: bytes) -> None:
        self._record.bytes_sent += len(data)
        self._transport.write(data)
        self._record.changed()

    def _finish(self) -> None:
        playing = self._playing
        assert playing is not None
        if playing.ending is Ending.SILENCE:
            return
        self._playing = None
        if self._counts:
            self._record.in_flight -= 1
            self._record.changed()
        if playing.ending is Ending.KEEP:
            return
        self._is_closing = True
        if playing.ending is Ending.RESET:
            self._reset_when_flushed()
        else:
            self._transport.close()

    def _reset_when_flushed(self) -> None:
        # A reset throws away what is not yet in the kernel, and no callback tells when the last byte is.
        if self._transport.is_closing():  # the peer left first
            return
        if self._transport.get_write_buffer_size():
            self._loop.call_later(_FLUSH_POLL_S, self._reset_when_flushed)
        else:
            self._reset()

    def _reset(self) -> None:
        self._is_closing = True
        sock = self._transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()
