"""What holds on every kind of store, on real ones. How each fares in trouble is told by the tests of its module."""

import asyncio

import pytest
from redis.exceptions import RedisError, ResponseError

from fairlead.access.keys import from_token, generate
from fairlead.catalog.model import Provider
from fairlead.store import keys
from fairlead.store.discovered import DiscoveredStore
from fairlead.store.keys import KeyRing, KeyStore
from fairlead.store.redis import run_scripts, subscriber
from fairlead.store.server import MAX_CONNECTIONS
from fairlead.tasks import Tasks

pytestmark = pytest.mark.anyio

TIME_LIMIT_S = 10
ALL_BYTES = bytes(range(256))
APPEND = "redis.call('APPEND', KEYS[1], ARGV[1]) return {KEYS[1], #ARGV, redis.call('GET', KEYS[1])}"
"""Answers differently each time, so that a call that is run twice shows."""
CALLS = [(f"t:{{{n}}}", [b"<%d>" % n + ALL_BYTES, "ü"]) for n in range(20)]


@pytest.fixture
async def client(any_redis_url, dial, patient):
    client = dial(any_redis_url)
    await client.flushdb()
    return client


async def test_commands(client):
    await client.set("t:redis", ALL_BYTES, ex=10)
    assert await client.get("t:redis") == ALL_BYTES


async def test_many_callers(client):
    callers = range(MAX_CONNECTIONS + 4)
    await asyncio.gather(*(client.set(f"t:{n}", n) for n in callers))
    assert await asyncio.gather(*(client.get(f"t:{n}") for n in callers)) == [b"%d" % n for n in callers]


async def test_what_is_published_is_heard(client):
    async with (await subscriber(client)).pubsub() as news:
        await news.subscribe("t:news")
        assert (await news.get_message(timeout=TIME_LIMIT_S))["type"] == "subscribe"
        await client.publish("t:news", ALL_BYTES)
        await run_scripts(client, "redis.call('PUBLISH', ARGV[1], ARGV[2])", [("t:any", ["t:news", "from a script"])])
        heard = [(await news.get_message(timeout=TIME_LIMIT_S))["data"] for _ in range(2)]
    assert heard == [ALL_BYTES, b"from a script"]


async def test_discovered(client):
    store = DiscoveredStore(client, 60)
    provider = Provider("acme", "Acme", "https://api.acme.example/v1")
    assert [await store.claim(provider) for _ in range(2)] == [True, False]
    await store.put(provider, ALL_BYTES)
    assert await store.get(provider) == ALL_BYTES


class TestKeys:
    async def test_stored(self, client):
        store = KeyStore(client)
        added = [from_token(generate(), f"k{n}", n) for n in range(10)]
        for key in added:
            await store.add(key)
        assert await store.list() == added
        assert await store.get_each([key.hash for key in added] + ["unknown"]) == [*added, None]
        for key in added[1:]:
            await store.delete(key.hash)
        await store.set_disabled(added[0].hash, True)
        (left,) = await store.list()
        assert left.is_disabled
        assert await store.count() == 1

    async def test_followed(self, client, monkeypatch):
        monkeypatch.setattr(keys, "RESUBSCRIBE_S", 0.01)
        store = KeyStore(client)
        ring = KeyRing(store, [])
        tokens = [generate().encode() for _ in range(10)]
        added = [from_token(token.decode(), "mine", 1) for token in tokens]
        for key in added:
            await store.add(key)
        told = asyncio.Queue()
        ring.is_store_away = True  # so that it is told when the subscription stands
        tasks = Tasks(lambda name, error: told.put_nowait(error))
        tasks.start("follow", ring.follow(client, told.put_nowait))
        async with asyncio.timeout(TIME_LIMIT_S):
            assert await told.get() == "store back"
            assert [await ring.look_up(token) for token in tokens] == added
            for key in added:
                await store.set_disabled(key.hash, True)
            while any(map(ring.find, tokens)):
                await asyncio.sleep(0.01)
            assert all([(await ring.look_up(token)).is_disabled for token in tokens])
        await tasks.close()
        assert told.empty()


def replies(times):
    return [[key.encode(), 2, arguments[0] * times] for key, arguments in CALLS]


class TestScripts:
    async def test_replies_in_their_order(self, client):
        assert await run_scripts(client, APPEND, CALLS) == replies(1)
        assert await run_scripts(client, APPEND, CALLS) == replies(2)
        assert await run_scripts(client, APPEND, []) == []

    async def test_scripts_that_a_server_has_forgotten(self, client):
        await run_scripts(client, APPEND, CALLS)
        await client.script_flush()
        assert await run_scripts(client, APPEND, CALLS) == replies(2)

    async def test_one_that_fails(self, client):
        script = "if ARGV[1] == 'fail' then error('at will') end return ARGV[1]"
        answers = await run_scripts(client, script, [(f"t:{n}", ["fail" if n == 7 else str(n)]) for n in range(20)])
        fault = answers.pop(7)
        assert isinstance(fault, ResponseError)
        assert "at will" in str(fault)
        assert answers == [b"%d" % n for n in range(20) if n != 7]

    async def test_many_callers(self, client):
        callers = [[(f"t:{{{n}}}", [f"{caller}"]) for n in range(5)] for caller in range(MAX_CONNECTIONS + 4)]
        answers = await asyncio.gather(*(run_scripts(client, "return ARGV[1]", calls) for calls in callers))
        assert answers == [[b"%d" % caller] * 5 for caller in range(MAX_CONNECTIONS + 4)]


@pytest.mark.parametrize("url", ["unix:///nowhere", "redis+sentinel://127.0.0.1:1", "redis+cluster://127.0.0.1:1"])
async def test_nobody_there(url, dial):
    client = dial(url)
    answers = await run_scripts(client, "return 1", [("a", []), ("b", [])])
    assert len(answers) == 2
    assert all(isinstance(answer, RedisError) for answer in answers)
    with pytest.raises(RedisError):
        await client.get("x")
    with pytest.raises(RedisError):
        await (await subscriber(client)).ping()
    with pytest.raises(RedisError):
        await KeyStore(client).list()
    assert await DiscoveredStore(client, 60).claim(Provider("acme", "Acme", "https://api.acme.example/v1"))
