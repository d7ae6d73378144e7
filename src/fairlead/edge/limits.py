"""What one client connection may take, and the sweep that holds it to its time limits.

Time is counted in sweeps, not read from a clock: each connection has an age, progress sets it to zero, and once per
`Sweep.interval_s` every age grows by one. So a request pays an integer store where a timer would cost a microsecond,
and a worker that was itself stuck for half a minute blames nobody for it.
"""

import asyncio
import math
import select
from dataclasses import dataclass
from typing import Protocol

_PEER_CLOSED: int = getattr(select, "POLLRDHUP", 0)
"""Linux: a FIN is reported even if unread bytes lie before it. Elsewhere POLLHUP must do, which needs no asking for."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one connection. How long a kept connection may idle is uvicorn's `timeout_keep_alive`.

    `max_header_bytes` counts request line and fields, `receive_timeout_s` is the patience with a client from whom we
    want bytes: for a whole head, and between two parts of a body. `total_s` is that with one who sends a body in tiny
    parts, and with one who takes nothing of what is sent.
    """

    max_header_bytes: int = 65_536
    max_headers: int = 200
    receive_timeout_s: float = 30.0
    total_s: float = 900.0


class Swept(Protocol):
    """A connection as the sweep sees it."""

    def on_sweep(self) -> int | None:
        """One more interval has passed. Return the socket if reading is paused: the event loop reports no FIN then."""

    def on_hang_up(self) -> None:
        """The kernel says that the peer of the socket just returned is gone."""


class Sweep:
    """The live connections of one worker and the one timer for all of them.

    The timer runs only while there are connections. `draining` and `refusals` (replies of the protocol itself, by
    status) stand here because they too belong to the worker's listener as a whole.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.interval_s = min(1.0, limits.receive_timeout_s / 4)
        self.receive_sweeps = self.sweeps(limits.receive_timeout_s)
        self.total_sweeps = self.sweeps(limits.total_s)
        self.draining = False
        self.refusals: dict[int, int] = {}
        self.connections: set[Swept] = set()
        self._timer: asyncio.TimerHandle | None = None

    def sweeps(self, seconds: float) -> int:
        """Return the age at which at least `seconds` have passed: one more, since the first interval is a part."""
        return math.ceil(seconds / self.interval_s) + 1

    def add(self, connection: Swept, loop: asyncio.AbstractEventLoop) -> None:
        """Age `connection` from now on."""
        self.connections.add(connection)
        if self._timer is None:
            self._timer = loop.call_later(self.interval_s, self._run, loop)

    def discard(self, connection: Swept) -> None:
        """Forget `connection`; with the last one the timer ends."""
        self.connections.discard(connection)
        if not self.connections and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self.interval_s, self._run, loop)
        unwatched: dict[int, Swept] = {}
        for connection in tuple(self.connections):
            if (fd := connection.on_sweep()) is not None:
                unwatched[fd] = connection
        if unwatched:
            _report_hang_ups(unwatched)


def _report_hang_ups(unwatched: dict[int, Swept]) -> None:
    """Ask the kernel which of these peers have left, since the event loop does not while reading is paused."""
    poll = select.poll()
    for fd in unwatched:
        poll.register(fd, _PEER_CLOSED)
    for fd, _ in poll.poll(0):
        unwatched[fd].on_hang_up()
