"""What tests of the store share."""

from contextlib import AsyncExitStack

import pytest

from fairlead.store import server
from fairlead.store.redis import connect


@pytest.fixture
async def dial():
    """Makes clients that are closed with the test."""
    async with AsyncExitStack() as stack:

        def dial(url):
            client = connect(url)
            stack.push_async_callback(client.aclose)
            return client

        yield dial


@pytest.fixture
def patient(monkeypatch):
    """For tests that are not about time: a busy machine may take its own."""
    for name in ("TIMEOUT_S", "CONNECT_TIMEOUT_S", "LIMIT_S"):
        monkeypatch.setattr(server, name, 10.0)
