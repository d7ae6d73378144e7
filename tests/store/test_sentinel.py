import asyncio
import contextlib
import socket

import pytest
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from fairlead.access.keys import from_token, generate
from fairlead.store import keys
from fairlead.store.keys import KeyRing, KeyStore
from fairlead.store.redis import run_scripts
from fairlead.tasks import Tasks

pytestmark = pytest.mark.anyio

TIME_LIMIT_S = 10
"""Bound of what takes a second at most: with its defaults redis-py would try for minutes."""
COUNT = "return redis.call('INCR', KEYS[1])"
CALLS = [(f"t:{n}", []) for n in range(5)]


@pytest.fixture
async def client(sentinelled, dial):
    client = dial(sentinelled.url)
    await client.flushdb()
    return client


async def counts(client):
    async with asyncio.timeout(TIME_LIMIT_S):
        return await run_scripts(client, COUNT, CALLS)


async def faults(client):
    """Of which kind each of the answers is."""
    return {type(reply) for reply in await counts(client)}


async def test_where_it_connects_to(dial):
    client = dial("redis+sentinel://u:p%40ss@a:1,[::1]:2,c/shop/3?sentinel_password=s")
    pool = client.connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    assert pool.service_name == "shop"
    assert [s.connection_pool.connection_kwargs["host"] for s in pool.sentinel_manager.sentinels] == ["a", "::1", "c"]
    assert [s.connection_pool.connection_kwargs["port"] for s in pool.sentinel_manager.sentinels] == [1, 2, 26379]
    assert all(s.connection_pool.connection_kwargs["password"] == "s" for s in pool.sentinel_manager.sentinels)
    assert {"username": "u", "password": "p@ss", "db": 3}.items() <= pool.connection_kwargs.items()


@pytest.mark.usefixtures("patient")
class TestFailover:
    async def test_master_dead(self, sentinelled, client):
        """Its replica has never seen the script."""
        assert await counts(client) == [1] * 5
        sentinelled.master.kill()
        assert await faults(client) == {RedisConnectionError}
        with pytest.raises(RedisError):
            await client.get("t:0")
        sentinelled.fail_over()
        assert await counts(client) == [2] * 5
        assert await client.get("t:0") == b"2"

    async def test_master_demoted(self, sentinelled, client):
        """It lives, its connections stand, and it takes no more writes."""
        await client.set("t:0", 7)
        await counts(client)
        sentinelled.fail_over()
        sentinelled.demote()
        assert await counts(client) == [9, 2, 2, 2, 2]
        await client.set("t:0", 0)
        assert sentinelled.master.ask("GET", "t:0") == "0"

    async def test_keys_follow(self, sentinelled, client, monkeypatch):
        monkeypatch.setattr(keys, "RESUBSCRIBE_S", 0.01)
        token = generate().encode()
        key = from_token(token.decode(), "mine", 1)
        ring = KeyRing(KeyStore(client), [])
        await KeyStore(client).add(key)
        await ring.look_up(token)
        tasks = Tasks(lambda name, error: None)
        told = asyncio.Queue()
        tasks.start("follow", ring.follow(client, told.put_nowait))
        sentinelled.master.kill()
        async with asyncio.timeout(TIME_LIMIT_S):
            assert (await told.get()).startswith("store away")
            assert ring.find(token) == key
            await asyncio.to_thread(sentinelled.fail_over)
            assert await told.get() == "store back"
            await KeyStore(client).set_disabled(key.hash, True)
            while ring.find(token) is not None:
                await asyncio.sleep(0.01)
            assert (await ring.look_up(token)).is_disabled
        await tasks.close()


class TestSilence:
    """Connections are taken and never answered."""

    async def test_master(self, sentinelled, client):
        assert await counts(client) == [1] * 5
        sentinelled.master.freeze()
        assert await faults(client) == {RedisTimeoutError}
        async with asyncio.timeout(TIME_LIMIT_S):
            with pytest.raises(RedisTimeoutError):
                await client.get("t:0")
        sentinelled.master.thaw()
        assert await counts(client) == [3] * 5  # once more than was answered

    async def test_sentinel(self, sentinelled, client, dial):
        """Who has a connection needs no sentinel."""
        await counts(client)
        sentinelled.sentinel.freeze()
        assert await counts(client) == [2] * 5
        newcomer = dial(sentinelled.url)
        assert await faults(newcomer) == {RedisTimeoutError}
        async with asyncio.timeout(TIME_LIMIT_S):
            with pytest.raises(RedisTimeoutError):
                await newcomer.get("t:0")

    @pytest.mark.parametrize("silent", [1, 4])
    async def test_some_sentinels(self, sentinelled, dial, silent):
        """Another is asked; if there is no time for that, it is with the next command."""
        with contextlib.ExitStack() as stack:
            mute = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(silent)]
            places = ",".join(f"127.0.0.1:{listener.getsockname()[1]}" for listener in mute)
            client = dial(sentinelled.url.replace("//", f"//{places},"))
            for _ in range(silent):
                with contextlib.suppress(RedisTimeoutError):
                    await client.set("t:mute", silent)
            assert await client.get("t:mute") == b"%d" % silent


async def test_no_connection_is_left(patient, sentinelled, client):
    await asyncio.gather(*(client.get("t:0") for _ in range(50)), counts(client))
    await client.aclose()
    async with asyncio.timeout(TIME_LIMIT_S):
        for server in (sentinelled.sentinel, sentinelled.master):
            while len(ours(server)) > 1:  # the one that asks
                await asyncio.sleep(0.01)


def ours(server):
    return [line for line in server.ask("CLIENT", "LIST").splitlines() if "lib-name=redis-py" in line]
