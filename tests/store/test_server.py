import asyncio

import pytest
from redis.asyncio import Redis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from fairlead.store.server import MAX_CONNECTIONS, TIMEOUT_S, run_scripts
from harness.valkey import Valkey

pytestmark = pytest.mark.anyio

TIME_LIMIT_S = 10
"""The defaults of redis-py would wait for a minute."""


@pytest.fixture
def valkey():
    """A server that may be frozen, and that nobody else asks."""
    server = Valkey().start()
    yield server
    server.close()


@pytest.fixture
async def client(valkey, dial):
    return dial(valkey.url)


@pytest.mark.parametrize(
    ("url", "kind", "expected"),
    [
        ("redis://localhost", Connection, {"host": "localhost"}),
        ("redis://u:p%40ss@h:1234/5", Connection, {"host": "h", "port": 1234, "db": 5, "password": "p@ss"}),
        ("rediss://h", SSLConnection, {"host": "h"}),
        ("unix:///tmp/x%20y.sock?db=2", UnixDomainSocketConnection, {"path": "/tmp/x y.sock", "db": 2}),
    ],
)
async def test_where_it_connects_to(dial, url, kind, expected):
    client = dial(url)
    pool = client.connection_pool
    assert isinstance(client, Redis)
    assert pool.connection_class is kind
    assert expected.items() <= pool.connection_kwargs.items()
    assert pool.connection_kwargs["socket_timeout"] == TIMEOUT_S


async def test_nobody_there(dial):
    with pytest.raises(RedisConnectionError):
        await dial("unix:///nonexistent.sock").get("x")


async def test_nobody_answers(valkey, client):
    await client.ping()
    valkey.freeze()
    async with asyncio.timeout(TIME_LIMIT_S):
        with pytest.raises(RedisTimeoutError):
            await client.get("x")
        replies = await run_scripts(client, "return 1", [("a", []), ("b", [])])
    assert [type(reply) for reply in replies] == [RedisTimeoutError] * 2


async def test_more_callers_than_connections(patient, client):
    callers = MAX_CONNECTIONS * 3
    assert await asyncio.gather(*(client.ping() for _ in range(callers))) == [True] * callers
    assert len(await client.client_list()) <= MAX_CONNECTIONS


async def test_scripts_take_one_round_trip(patient, client):
    calls = [(f"k{n}", [str(n)]) for n in range(50)]
    await run_scripts(client, "return ARGV[1]", calls)
    before = (await client.info("stats"))["total_reads_processed"]
    assert await run_scripts(client, "return ARGV[1]", calls) == [b"%d" % n for n in range(50)]
    assert (await client.info("stats"))["total_reads_processed"] == before + 2  # the calls, and this question
