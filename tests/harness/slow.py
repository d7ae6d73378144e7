"""A way to a server on which every reply takes its time."""

import asyncio
import contextlib
import threading

from harness.process import PATIENCE_S


class SlowWay:
    """Listens on `port` of loopback while the `with` block lasts, and hands on what comes, both ways.

    What comes back from the server waits for `delay_s`, which may be set at any time.
    """

    def __init__(self, server_port):
        self._server_port = server_port
        self.port = 0
        self.delay_s = 0.0
        self._ends = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="slow way")

    def __enter__(self):
        self._thread.start()
        self._listener = self._call(asyncio.start_server(self._take, "127.0.0.1", 0))
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_):
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)

    async def _close(self):
        self._listener.close()
        for end in list(self._ends):
            end.close()
        while ways := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(ways)

    async def _take(self, from_client, to_client):
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            to_client.close()
            return
        await asyncio.gather(
            self._hand_on(from_client, to_server, is_reply=False), self._hand_on(from_server, to_client, is_reply=True)
        )

    async def _hand_on(self, from_, to, *, is_reply):
        """Until one of the two ends is closed."""
        self._ends.add(to)
        with contextlib.suppress(OSError), contextlib.closing(to):
            while data := await from_.read(65536):
                if is_reply:
                    await asyncio.sleep(self.delay_s)
                to.write(data)
                await to.drain()
        self._ends.discard(to)
