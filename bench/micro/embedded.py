"""A store of the cases' own, as the gateway starts it for itself; it ends with this program."""

import asyncio
import atexit
import shutil
import tempfile
from pathlib import Path

from fairlead.store.embedded import EmbeddedStore
from fairlead.store.redis import Client, connect


def client(loop: asyncio.AbstractEventLoop) -> Client:
    """Start it; return a client that is used in `loop`."""
    directory = Path(tempfile.mkdtemp(prefix="flb-"))
    server = EmbeddedStore(directory)
    server.start()
    client = connect(server.url)

    def end() -> None:
        loop.run_until_complete(client.aclose())
        server.stop()
        shutil.rmtree(directory)

    atexit.register(end)
    return client
