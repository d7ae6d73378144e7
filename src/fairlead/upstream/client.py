"""The door of the upstream client: send a request to an origin, get a reply to read."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence

from fairlead import clock
from fairlead.catalog.model import Timeouts
from fairlead.errors import ConnectError, ConnectionsUsed, StaleConnection, UpstreamTimeout
from fairlead.turn import Turn
from fairlead.upstream.connect import Connector
from fairlead.upstream.connection import Connection, Limits
from fairlead.upstream.origin import Origin
from fairlead.upstream.pool import Pool, PoolLimits
from fairlead.upstream.reply import Reply

SWEEP_S = 5.0
"""How often kept connections are looked through for ones past their time."""


class UpstreamClient:
    """HTTP/1.1 to any number of origins, one pool each. Belongs to one event loop.

    Requests are sent as given: no redirects, no cookies, no decoding, no retries but one (a kept connection that had
    closed before the request reached the provider).
    """

    def __init__(
        self, tls: ssl.SSLContext, *, pool_limits: PoolLimits | None = None, limits: Limits | None = None
    ) -> None:
        self._connector = Connector(tls)
        self._pool_limits = pool_limits or PoolLimits()
        self._limits = limits or Limits()
        self._turn = Turn()
        self._pools: dict[Origin, Pool] = {}
        self._connections: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def send(
        self,
        origin: Origin,
        head: bytes,
        body: Sequence[bytes | memoryview],
        timeouts: Timeouts,
        deadline: float,
        begun: Callable[[Reply], None] | None = None,
    ) -> Reply:
        """Send a request; return once the head of its reply is there.

        `head`: request line and headers with the closing empty line. `deadline`: `clock.monotonic` time by which
        everything must have ended. `begun` is given the reply while it is still awaited, to be able to abort it. Raises
        UpstreamError; being cancelled closes the connection, so that the provider
        stops working.
        """
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = Pool(self._pool_limits)
        connection = pool.take(clock.monotonic())
        while True:
            if connection is None:
                connection = await self._obtain(pool, origin, timeouts, deadline)
            try:
                reply = connection.send(head, body, timeouts, deadline)
                if begun is not None:
                    begun(reply)
                await reply.head()
                return reply
            except StaleConnection:
                connection = None  # nothing of the request got through; a fresh connection cannot be stale

    async def _obtain(self, pool: Pool, origin: Origin, timeouts: Timeouts, deadline: float) -> Connection:
        """Open a connection, or wait for one when the pool is full."""
        left_s = deadline - clock.monotonic()
        has_place = True
        try:
            async with asyncio.timeout(min(timeouts.connect_s, left_s)):
                while not pool.reserve():
                    has_place = False
                    connection = await pool.wait()
                    has_place = True
                    if connection is None:
                        break
                    if connection.is_usable:
                        return connection
                return await self._open(pool, origin)
        except TimeoutError as error:
            if not has_place:
                raise ConnectionsUsed(origin.authority, self._pool_limits.max_connections) from error
            if left_s < timeouts.connect_s:
                raise UpstreamTimeout("total", timeouts.total_s) from error
            raise UpstreamTimeout("connect", timeouts.connect_s) from error

    async def _open(self, pool: Pool, origin: Origin) -> Connection:
        """Open a connection on a place that is already reserved."""
        loop = asyncio.get_running_loop()

        def forget(connection: Connection) -> None:
            if connection in self._connections:
                self._connections.discard(connection)
                pool.forget(connection)

        def make(sock: socket.socket) -> Connection:
            return Connection(loop, sock, self._turn, self._limits, pool.give_back, forget)

        try:
            connection = await self._connector.open(origin, make)
            if not connection.is_usable:
                raise ConnectError(f"{origin.authority} closed the connection at once")
        except BaseException:
            pool.release_place()
            raise
        self._connections.add(connection)
        if self._sweeper is None:
            self._sweeper = loop.call_later(SWEEP_S, self._sweep)
        return connection

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        for pool in self._pools.values():
            pool.close_expired(clock.monotonic())
        self._sweeper = loop.call_later(SWEEP_S, self._sweep) if self._connections else None

    @property
    def connection_count(self) -> int:
        """Open connections, to all origins."""
        return len(self._connections)

    def close(self) -> None:
        """Close every connection, busy or not."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in list(self._connections):
            connection.abort()
