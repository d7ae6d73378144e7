"""A listening socket that can be shut and opened again at the same address, which stays its own meanwhile."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from ssl import SSLContext
from typing import Final, TypeAlias

Address: TypeAlias = tuple[str, int] | str
"""IP address and port, or the path of a Unix socket."""

_BACKLOG: Final = 4096


class Door:
    """Where connections come in; each gets a protocol from `factory`."""

    def __init__(self, address: Address, factory: Callable[[], asyncio.Protocol], ssl: SSLContext | None) -> None:
        self.address = address
        self._factory = factory
        self._ssl = ssl
        self._socket: socket.socket | None = None
        self._place: socket.socket | None = None
        """Bound and not listening while the door is shut: who connects is refused, and nobody else gets the port."""
        self._serving: asyncio.Task[asyncio.Server] | None = None

    @property
    def is_open(self) -> bool:
        """Whether a connection would be accepted."""
        return self._socket is not None

    def open(self) -> None:
        """Listen. The kernel accepts from now on, the loop soon after. A port of 0 becomes a real one."""
        self._leave()
        sock = _listen(self.address)
        if not isinstance(self.address, str):
            self.address = sock.getsockname()[:2]
        self._socket = sock
        self._serving = asyncio.create_task(self._serve(sock))  # noqa: TID251 - held here until the door is shut

    async def opened(self) -> None:
        """Return once the loop accepts, too."""
        if self._serving is not None:
            await self._serving

    async def _serve(self, sock: socket.socket) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        if sock.family == socket.AF_UNIX:
            return await loop.create_unix_server(self._factory, sock=sock, ssl=self._ssl)
        return await loop.create_server(self._factory, sock=sock, ssl=self._ssl, backlog=_BACKLOG)

    def shut(self) -> None:
        """Refuse connections from now on; those accepted stay."""
        if self._socket is None or self._serving is None:
            return
        # Closing is up to the loop and takes effect in its next turn, a shutdown does at once. Only Linux has it.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if not self._serving.done():
            self._serving.cancel()
            self._socket.close()
        elif not self._serving.cancelled() and self._serving.exception() is None:
            self._serving.result().close()
        self._socket = self._serving = None
        if not isinstance(self.address, str):
            self._place = _bound(self.address)
            self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)  # no second socket beside this one

    def _leave(self) -> None:
        if self._place is not None:
            self._place.close()
            self._place = None

    def remove(self) -> None:
        """Shut, and leave no path and no port behind."""
        self.shut()
        self._leave()
        if isinstance(self.address, str):
            Path(self.address).unlink(missing_ok=True)


def _listen(address: Address) -> socket.socket:
    if isinstance(address, str):
        Path(address).unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.bind(address)
        except OSError:
            sock.close()
            raise
    else:
        sock = _bound(address)
    try:
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _bound(address: tuple[str, int]) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    # Connections of the time before may still be in TIME_WAIT.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock
