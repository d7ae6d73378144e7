"""What all tests share."""

import pytest
from hypothesis import settings

from harness.valkey import Valkey

# No deadlines: how fast a machine is that day is not what a test is about.
settings.register_profile("fast", max_examples=50, deadline=None)
settings.register_profile("deep", max_examples=5_000, deadline=None)
settings.load_profile("fast")


@pytest.fixture(scope="session")
def anyio_backend():
    """Async tests run on the loop that production runs on."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def redis_url():
    """A Valkey that all tests share; names of keys are theirs to keep apart. One that is to die: `harness.valkey`."""
    server = Valkey()
    server.start()
    yield server.url
    server.close()
