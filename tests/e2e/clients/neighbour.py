"""Callers from other addresses of this machine, since the gateway makes an address wait that shows too many wrong keys.

A client cannot be told which of them to come from: it is given a door of its own, and what goes in there comes out at
the gateway from the address that belongs to the door.
"""

import asyncio
import contextlib


class Neighbour:
    """A door to `gateway` whose callers seem to be at `address`. It lives on the loop of the simulated providers."""

    def __init__(self, simulators, gateway, address):
        self._gateway = gateway
        self._address = address
        self._open = {}
        server = simulators.call(asyncio.start_server(self._pass, "127.0.0.1", 0))
        port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._simulators, self._server = simulators, server

    async def _pass(self, reader, writer):
        theirs, ours = await asyncio.open_connection("127.0.0.1", self._gateway.port, local_addr=(self._address, 0))
        both = asyncio.gather(_copy(reader, ours), _copy(theirs, writer))
        self._open[both] = asyncio.current_task()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await both
        del self._open[both]
        for end in (ours, writer):
            end.transport.abort()
            with contextlib.suppress(ConnectionError):
                await end.wait_closed()

    def close(self):
        self._simulators.call(self._end())

    async def _end(self):
        self._server.close()
        ending = list(self._open.values())
        for both in self._open:
            both.cancel()
        await asyncio.gather(*ending)


async def _copy(reader, writer):
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
