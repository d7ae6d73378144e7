"""A connection without a network and a clock: the test is both. For what must not depend on how bytes are cut."""

import asyncio
import socket

from fairlead import clock
from fairlead.errors import UpstreamError
from fairlead.turn import Turn
from fairlead.upstream.connection import Connection, Limits
from upstream.corpus import Outcome
from upstream.peer import PATIENT

NO_SOCKET = socket.socket()
"""Of which nothing is known."""
NO_SOCKET.close()


class MoreToComeError(AssertionError):
    """A reader would have to wait."""


class Tape(asyncio.Transport):
    """Notes what is written and asked for. `send`, if there is one, sends it."""

    def __init__(self, send=None):
        super().__init__()
        self.send = send
        self.writes = []
        self.unsent_bytes = 0
        self.is_paused = self.is_aborted = False

    def write(self, data):
        self.writes.append(data)
        if self.send is not None:
            self.send(data)

    def writelines(self, parts):
        for part in parts:
            self.write(part)

    def get_write_buffer_size(self):
        return self.unsent_bytes

    def pause_reading(self):
        self.is_paused = True

    def resume_reading(self):
        self.is_paused = False

    def is_closing(self):
        return self.is_aborted

    def abort(self):
        self.is_aborted = True


class HandLoop:
    """A loop and a clock moved by hand."""

    def __init__(self):
        self.now = 1000.0
        self.soon = []
        self._timers = []

    def call_soon(self, callback):
        self.soon.append(callback)

    def turn(self):
        """Call what was to be called soon."""
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()

    def call_later(self, delay, callback):
        timer = asyncio.TimerHandle(self.now + delay, callback, (), self)
        self._timers.append(timer)
        return timer

    def advance(self, seconds):
        """Let time pass, and the timers fire that come due."""
        end = self.now + seconds
        while due := [timer for timer in self._timers if timer.when() <= end and not timer.cancelled()]:
            timer = min(due)
            self._timers.remove(timer)
            self.now = max(self.now, timer.when())
            timer._callback()
        self.now = end

    def create_future(self):
        raise MoreToComeError

    def get_debug(self):
        return False

    def _timer_handle_cancelled(self, timer):
        pass


class HandTurn(Turn):
    """A turn that the test ends."""

    def add(self, transport):
        self._waiting.append(transport)

    def end(self):
        self._end()


class Deck:
    """A `Connection` on a tape, and what it told its pool."""

    def __init__(self, limits=None, *, sock=NO_SOCKET, loop=None):
        self.loop = loop or HandLoop()
        self.kept = self.lost = 0
        self.turn = HandTurn()
        self.connection = Connection(self.loop, sock, self.turn, limits or Limits(), self._on_idle, self._on_closed)
        self.tape = Tape()
        self.connection.connection_made(self.tape)
        self.reply = None

    def _on_idle(self, connection):
        self.kept += 1

    def _on_closed(self, connection):
        self.lost += 1

    def send(self, *body, timeouts=PATIENT, total_s=60.0, is_held=False):
        """Send a request. `is_held`: the turn goes on, and nothing has left yet."""
        self.reply = self.connection.send(b"POST / HTTP/1.1\r\n\r\n", body, timeouts, clock.monotonic() + total_s)
        if not is_held:
            self.turn.end()
        return self.reply

    def feed(self, *pieces):
        for piece in pieces:
            if not self.tape.is_aborted:
                self.connection.data_received(piece)

    def end(self):
        """The provider closes."""
        if not self.tape.is_aborted:
            self.connection.eof_received()
        self.connection.connection_lost(None)

    def break_off(self, error=None):
        """The connection is gone without an end: a reset, or TLS cut short."""
        self.connection.connection_lost(error)

    @property
    def is_kept(self):
        return self.kept > 0 and not self.tape.is_aborted

    def outcome(self):
        """What a reader sees of the reply. Fails when there is more to wait for."""
        parts, error = [], ""
        try:
            done(self.reply.head())
            while data := done(self.reply.read()):
                parts.append(data)
        except UpstreamError as fault:
            error = type(fault).__name__
        return Outcome(self.reply.status, tuple(self.reply.headers), b"".join(parts), error, self.is_kept)


def done(coroutine):
    """Return what a coroutine returns that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise MoreToComeError
