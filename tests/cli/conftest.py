import functools

import pytest

from harness import command


@pytest.fixture
def fairlead(tmp_path):
    """Run a `fairlead` command to its end: `fairlead("keys", "list", FAIRLEAD_REDIS_URL=…)`."""
    return functools.partial(command.fairlead, tmp_path)


@pytest.fixture
def started(tmp_path):
    """Start one that goes on, as a context manager."""
    return functools.partial(command.started, tmp_path)
