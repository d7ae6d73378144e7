import asyncio
import contextlib

import pytest
from redis.asyncio.cluster import RedisCluster
from redis.crc import key_slot
from redis.exceptions import ClusterDownError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from fairlead.access.keys import from_token, generate
from fairlead.store import cluster as store_cluster
from fairlead.store import keys
from fairlead.store.keys import KeyRing, KeyStore
from fairlead.store.redis import run_scripts, subscriber
from fairlead.tasks import Tasks
from harness.topology import Cluster

pytestmark = pytest.mark.anyio

TIME_LIMIT_S = 10
"""Bound of what takes a second at most: with its defaults redis-py would try for minutes."""
COUNT = "return redis.call('INCR', KEYS[1])"
KEYS = [f"t:{{{n}}}" for n in range(24)]
"""Some on each node."""


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(store_cluster, "REFRESH_S", 0.0)


@pytest.fixture
async def client(cluster, dial):
    client = dial(cluster.url)
    await client.flushdb()
    return client


async def counts(client, keys=KEYS):
    async with asyncio.timeout(TIME_LIMIT_S):
        return await run_scripts(client, COUNT, [(key, []) for key in keys])


def where(cluster, node, on_it, elsewhere):
    """What is expected for each of the keys."""
    return [on_it if cluster.node_of(key) is node else elsewhere for key in KEYS]


def kinds(replies):
    return [type(reply) if isinstance(reply, Exception) else reply for reply in replies]


async def refused(call):
    async with asyncio.timeout(TIME_LIMIT_S):
        with pytest.raises(RedisError):
            await call


async def test_where_it_connects_to(dial):
    client = dial("redis+cluster://u:p%40ss@h:7000,[::1]:7001,c?health_check_interval=9")
    assert isinstance(client, RedisCluster)
    assert {(node.host, node.port) for node in client.startup_nodes} == {("h", 7000), ("::1", 7001), ("c", 6379)}
    for node in client.startup_nodes:
        expected = {"username": "u", "password": "p@ss", "health_check_interval": 9}
        assert expected.items() <= node.connection_kwargs.items()
        assert expected.items() <= client._server(node).connection_pool.connection_kwargs.items()


@pytest.fixture
def node(cluster):
    """The one that has the first slots, which redis-py asks first for whatever any node can answer."""
    return cluster.nodes[0]


@pytest.mark.usefixtures("patient")
class TestOneNodeDead:
    async def test_the_others_go_on(self, cluster, client, dial, node):
        assert await counts(client) == [1] * len(KEYS)
        node.kill()
        newcomer = dial(cluster.url)
        for n, asking in enumerate([client, client, newcomer], 2):
            assert kinds(await counts(asking)) == where(cluster, node, RedisConnectionError, n)
        for asking in (client, newcomer):
            for key in KEYS:
                if cluster.node_of(key) is node:
                    await refused(asking.get(key))
                else:
                    assert await asking.get(key) == b"4"
        assert await newcomer.publish("t:news", "") == 0
        for _ in range(5):
            assert await (await subscriber(newcomer)).ping()
        await asyncio.to_thread(cluster.heal)
        assert await counts(client) == where(cluster, node, 1, 5)

    async def test_keys_follow(self, cluster, client, monkeypatch):
        """Though some keys cannot be read anew, what is told of the others is heard."""
        monkeypatch.setattr(keys, "RESUBSCRIBE_S", 0.01)
        told = asyncio.Queue()

        class Ring(KeyRing):
            def forget(self, digest):
                super().forget(digest)
                told.put_nowait(digest)

        store = KeyStore(client)
        ring = Ring(store, [])
        known = {token.encode(): from_token(token, "mine", 1) for token in (generate() for _ in KEYS)}
        for key in known.values():
            await store.add(key)
        tasks = Tasks(lambda name, error: None)
        ring.is_store_away = True
        tasks.start("follow", ring.follow(client, told.put_nowait))
        async with asyncio.timeout(TIME_LIMIT_S):
            assert await told.get() == "store back"
            await client.publish(keys.CHANGED, "the last of what was told above")
            while await told.get() != "the last of what was told above":
                pass
            assert [await ring.look_up(token) for token in known] == list(known.values())
            (node,) = [node for node in cluster.nodes if node.ask("PUBSUB", "NUMSUB", keys.CHANGED)[1]]
            lost = {token: key for token, key in known.items() if cluster.node_of(keys._key(key.hash)) is node}
            kept = {token: key for token, key in known.items() if token not in lost}
            node.kill()
            assert (await told.get()).startswith("store away")
            for key in kept.values():
                await store.set_disabled(key.hash, True)
            while any(key is not None and not key.is_disabled for key in map(ring.find, kept)):
                await asyncio.sleep(0.01)
            assert [ring.find(token) for token in lost] == list(lost.values())
        await tasks.close()


class TestSilence:
    async def test_one_node(self, cluster, client, dial, node):
        """It takes connections and never answers."""
        await counts(client)
        node.freeze()
        newcomer = dial(cluster.url)
        for n, asking in enumerate([client, client, newcomer], 2):
            assert kinds(await counts(asking)) == where(cluster, node, RedisTimeoutError, n)
        for key in KEYS[:8]:
            if cluster.node_of(key) is node:
                await refused(newcomer.get(key))
            else:
                assert await newcomer.get(key) == b"4"
        node.thaw()
        assert await counts(client) == where(cluster, node, 3, 5)  # once more than was answered

    async def test_all(self, cluster, client, dial):
        await counts(client)
        for node in cluster.nodes:
            node.freeze()
        newcomer = dial(cluster.url)
        for asking in (client, newcomer):
            assert all(isinstance(reply, RedisError) for reply in await counts(asking))
            await refused(asking.get("x"))
        await refused(subscriber(newcomer))
        for node in cluster.nodes:
            node.thaw()
        assert set(await counts(client)) <= {2, 3}


@pytest.mark.usefixtures("patient")
class TestSlots:
    """KEYS[0] is somewhere else than it was when the client asked."""

    @pytest.fixture
    def slot(self):
        return key_slot(KEYS[0].encode())

    @pytest.fixture
    def owner(self, cluster):
        return cluster.node_of(KEYS[0])

    @pytest.fixture
    def other(self, cluster, owner):
        return next(node for node in cluster.nodes if node is not owner)

    async def test_moved(self, cluster, client, slot, owner, other):
        await client.delete(KEYS[0])
        assert await counts(client, KEYS[1:]) == [1] * (len(KEYS) - 1)
        try:
            for node in (other, owner):
                node.ask("CLUSTER", "SETSLOT", slot, "NODE", other.ask("CLUSTER", "MYID"))
            assert await counts(client) == [1, *[2] * (len(KEYS) - 1)]
            assert other.ask("GET", KEYS[0]) == "1"
            assert await client.get(KEYS[0]) == b"1"
        finally:
            other.ask("DEL", KEYS[0])
            for node in (owner, other):
                node.ask("CLUSTER", "SETSLOT", slot, "NODE", owner.ask("CLUSTER", "MYID"))
        assert await counts(client) == [1, *[3] * (len(KEYS) - 1)]

    async def test_on_the_move(self, client, slot, owner, other):
        await counts(client, KEYS[1:])
        try:
            other.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", owner.ask("CLUSTER", "MYID"))
            owner.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", other.ask("CLUSTER", "MYID"))
            assert await counts(client) == [1, *[2] * (len(KEYS) - 1)]
            assert not owner.ask("GET", KEYS[0])
        finally:
            for node in (owner, other):
                node.ask("CLUSTER", "SETSLOT", slot, "STABLE")

    async def test_without_owner(self, cluster, client, dial, slot, owner):
        """The library answers to that by closing all connections, while others are using them."""
        assert await counts(client) == [1] * len(KEYS)
        try:
            for node in cluster.nodes:
                node.ask("CLUSTER", "DELSLOTS", slot)
            lost = asyncio.gather(*(client.get(KEYS[0]) for _ in range(8)), return_exceptions=True)
            for n in range(2, 20):
                reply, *others = await counts(client)
                assert isinstance(reply, ClusterDownError | RedisConnectionError)
                assert others == [n] * (len(KEYS) - 1)
            assert all(isinstance(reply, RedisError) for reply in await lost)
            newcomer = dial(cluster.url)
            await refused(newcomer.get(KEYS[0]))
            assert await newcomer.get(KEYS[1]) == b"19"
            assert isinstance((await counts(newcomer))[0], RedisError)
        finally:
            for node in cluster.nodes:
                node.ask("CLUSTER", "ADDSLOTS" if node is owner else "PING", slot)


async def test_a_replica_takes_over(patient, dial):
    with contextlib.closing(Cluster()) as cluster:
        cluster.start()
        node = cluster.nodes[0]
        replica = cluster.add_replica(node)
        client = dial(cluster.url)
        assert await counts(client) == [1] * len(KEYS)
        node.kill()
        assert kinds(await counts(client)) == where(cluster, node, RedisConnectionError, 2)
        replica.ask("CLUSTER", "FAILOVER", "TAKEOVER")
        async with asyncio.timeout(TIME_LIMIT_S):
            while any(isinstance(reply, Exception) for reply in await counts(client)):
                await asyncio.sleep(0.01)
            for key in KEYS:
                assert await client.get(key)


async def test_no_connection_is_left(patient, cluster, client):
    async with (await subscriber(client)).pubsub() as news:
        await news.subscribe("t:news")
        await asyncio.gather(*(client.get(key) for key in KEYS), counts(client))
    await client.aclose()
    async with asyncio.timeout(TIME_LIMIT_S):
        for node in cluster.nodes:
            while sum("lib-name=redis-py" in line for line in node.ask("CLIENT", "LIST").splitlines()) > 1:
                await asyncio.sleep(0.01)
