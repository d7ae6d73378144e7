"""What all tests share."""

import contextlib

import pytest
from hypothesis import settings

from harness.shown import pytest_sessionfinish, pytest_terminal_summary, pytest_testnodedown  # noqa: F401 - hooks
from harness.topology import Cluster, Sentinelled
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


@pytest.fixture(scope="session")
def shared_sentinelled():
    with contextlib.closing(Sentinelled()) as servers:
        yield servers.start()


@pytest.fixture
def sentinelled(shared_sentinelled):
    """A master, its replica, a sentinel. A test may do with them what it likes, and finds them whole."""
    yield shared_sentinelled
    shared_sentinelled.heal()


@pytest.fixture(scope="session")
def shared_cluster():
    with contextlib.closing(Cluster()) as nodes:
        yield nodes.start()


@pytest.fixture
def cluster(shared_cluster):
    """A cluster of three. A test may kill and freeze its nodes, and finds it whole."""
    yield shared_cluster
    shared_cluster.heal()


@pytest.fixture(params=["single", "sentinelled", "cluster"])
def any_redis_url(request):
    """Each kind of store that there is, one after the other."""
    if request.param == "single":
        return request.getfixturevalue("redis_url")
    return request.getfixturevalue(request.param).url
