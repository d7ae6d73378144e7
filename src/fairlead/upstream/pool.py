"""Kept connections of one origin.

The pool decides and keeps count; it opens nothing itself. A place is taken before the caller awaits anything, and
given back once: when opening fails (`release_place`), or when the connection closes (`forget`).
"""

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass

from fairlead.upstream.connection import Connection


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections to one origin, and how long they are kept, in seconds.

    `max_age_s` bounds a connection's life however busy it is, so that traffic follows a change of DNS; `keep_alive_s`
    stays below the idle limits common among providers (60 s and more), so that we close first.
    """

    max_connections: int = 4000
    max_age_s: float = 300.0
    keep_alive_s: float = 50.0


class Pool:
    """The connections of one origin in one worker. Newest first, so that a quiet hour shrinks the pool."""

    __slots__ = ("_idle", "_limits", "_open", "_waiters")

    def __init__(self, limits: PoolLimits) -> None:
        self._limits = limits
        self._idle: deque[Connection] = deque()
        self._open = 0
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()

    @property
    def open_count(self) -> int:
        """Connections that exist or are being opened."""
        return self._open

    @property
    def idle_count(self) -> int:
        return len(self._idle)

    def take(self, now: float) -> Connection | None:
        """Return the most recently used connection that is fit for another request, else None.

        `now` is `clock.monotonic` time.
        """
        while self._idle:
            connection = self._idle.pop()
            if self._is_fit(connection, now):
                return connection
            connection.close()
        return None

    def reserve(self) -> bool:
        """Take a place for a connection that the caller is going to open. False when all places are taken."""
        if self._open >= self._limits.max_connections:
            return False
        self._open += 1
        return True

    async def wait(self) -> Connection | None:
        """Wait for another request's connection, or (None) for its place, which then is reserved for the caller."""
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # handed over in the turn in which we were cancelled
                connection = waiter.result()
                if connection is None:
                    self.release_place()
                else:
                    self.give_back(connection)
            raise

    def give_back(self, connection: Connection) -> None:
        """A connection can serve again: to the longest waiting caller, or kept; closed if it is too old."""
        if not self._is_fit(connection, connection.idle_since):
            connection.close()
        elif (waiter := self._next_waiter()) is not None:
            waiter.set_result(connection)
        else:
            self._idle.append(connection)

    def release_place(self) -> None:
        """A connection is gone, or could not be opened: its place goes to the longest waiting caller, if any."""
        if (waiter := self._next_waiter()) is not None:
            waiter.set_result(None)
        else:
            self._open -= 1

    def forget(self, connection: Connection) -> None:
        """`connection` has closed, wherever it was."""
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)
        self.release_place()

    def close_expired(self, now: float) -> None:
        """Close what has been idle, or has lived, for too long."""
        for connection in [c for c in self._idle if not self._is_fit(c, now)]:
            connection.close()

    def close_idle(self) -> None:
        """Close every kept connection."""
        for connection in list(self._idle):
            connection.close()

    def _is_fit(self, connection: Connection, now: float) -> bool:
        return (
            connection.is_usable
            and now - connection.idle_since < self._limits.keep_alive_s
            and now - connection.opened_at < self._limits.max_age_s
        )

    def _next_waiter(self) -> "asyncio.Future[Connection | None] | None":
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None
