"""What all tests share."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend():
    """Async tests run on the loop that production runs on."""
    return "asyncio", {"use_uvloop": True}
