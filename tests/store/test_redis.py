import asyncio

import pytest
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from fairlead.store.redis import MAX_CONNECTIONS, TIMEOUT_S, connect
from harness.valkey import Valkey

pytestmark = pytest.mark.anyio


async def test_it_speaks(redis_url):
    client = connect(redis_url)
    await client.set("t:redis", b"\xff", ex=10)
    assert await client.get("t:redis") == b"\xff"
    await client.aclose()


@pytest.mark.parametrize(
    ("url", "kind", "expected"),
    [
        ("redis://localhost", Connection, {"host": "localhost"}),
        ("redis://u:p%40ss@h:1234/5", Connection, {"host": "h", "port": 1234, "db": 5, "password": "p@ss"}),
        ("rediss://h", SSLConnection, {"host": "h"}),
        ("unix:///tmp/x%20y.sock?db=2", UnixDomainSocketConnection, {"path": "/tmp/x y.sock", "db": 2}),
    ],
)
async def test_where_it_connects_to(url, kind, expected):
    client = connect(url)
    pool = client.connection_pool
    assert isinstance(client, Redis)
    assert pool.connection_class is kind
    assert expected.items() <= pool.connection_kwargs.items()
    assert pool.connection_kwargs["socket_timeout"] == TIMEOUT_S
    await client.aclose()


async def test_sentinel():
    client = connect("redis+sentinel://u:p%40ss@a:1,[::1]:2,c/shop/3?sentinel_password=s")
    pool = client.connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    assert pool.service_name == "shop"
    assert [s.connection_pool.connection_kwargs["host"] for s in pool.sentinel_manager.sentinels] == ["a", "::1", "c"]
    assert [s.connection_pool.connection_kwargs["port"] for s in pool.sentinel_manager.sentinels] == [1, 2, 26379]
    assert all(s.connection_pool.connection_kwargs["password"] == "s" for s in pool.sentinel_manager.sentinels)
    assert {"username": "u", "password": "p@ss", "db": 3}.items() <= pool.connection_kwargs.items()
    await client.aclose()


async def test_cluster():
    client = connect("redis+cluster://h:7000")
    assert isinstance(client, RedisCluster)
    assert [(node.host, node.port) for node in client.startup_nodes] == [("h", 7000)]
    await client.aclose()


async def test_nobody_there():
    client = connect("unix:///nonexistent.sock")
    with pytest.raises(RedisConnectionError):
        await client.get("x")
    await client.aclose()


async def test_nobody_answers():
    server = Valkey().start()
    client = connect(server.url)
    await client.ping()
    server.freeze()
    try:
        async with asyncio.timeout(10):  # the defaults of redis-py would wait for a minute
            with pytest.raises(RedisTimeoutError):
                await client.get("x")
    finally:
        await client.aclose()
        server.close()


async def test_more_callers_than_connections(redis_url):
    client = connect(redis_url)
    assert await asyncio.gather(*(client.ping() for _ in range(MAX_CONNECTIONS * 10))) == [True] * MAX_CONNECTIONS * 10
    assert len(await client.client_list()) <= MAX_CONNECTIONS
    await client.aclose()
