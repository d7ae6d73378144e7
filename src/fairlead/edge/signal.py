"""Waiting, as it is done on a client's connection: for more of a request, and for a client that is slow.

Most connections do neither, and uvicorn waits with `asyncio.Event`: 760 bytes, even where nobody does.
"""

import asyncio

from uvicorn.protocols.http.flow_control import FlowControl


class Signal:
    """As `asyncio.Event`; what it takes to wait is made when somebody waits."""

    __slots__ = ("_is_set", "_waiters")

    def __init__(self, *, is_set: bool = False) -> None:
        self._is_set = is_set
        self._waiters: tuple[asyncio.Future[None], ...] = ()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """Let all go on who wait, and who will, until it is cleared."""
        self._is_set = True
        waiters, self._waiters = self._waiters, ()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def clear(self) -> None:
        self._is_set = False

    async def wait(self) -> None:
        """Wait until it is set."""
        if self._is_set:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters = (*self._waiters, waiter)
        try:
            await waiter
        finally:
            self._waiters = tuple(one for one in self._waiters if one is not waiter)


class Flow(FlowControl):
    """uvicorn's, waiting with a `Signal`."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = self.write_paused = False
        self._is_writable_event = Signal(is_set=True)  # type: ignore[assignment]  # as far as it is used
