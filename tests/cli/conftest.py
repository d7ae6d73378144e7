import functools

import pytest

from fairlead.store.embedded import EmbeddedStore
from harness import command


@pytest.fixture
def fairlead(tmp_path):
    """Run a `fairlead` command to its end: `fairlead("keys", "list", FAIRLEAD_REDIS_URL=…)`."""
    return functools.partial(command.fairlead, tmp_path)


@pytest.fixture
def started(tmp_path):
    """Start one that goes on, as a context manager."""
    return functools.partial(command.started, tmp_path)


@pytest.fixture
def kept_store(tmp_path):
    """A store in the data directory, as a running gateway has one."""
    store = EmbeddedStore(tmp_path / "data")
    store.start()
    yield store
    store.stop()
