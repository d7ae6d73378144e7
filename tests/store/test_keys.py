import asyncio
import contextlib
import dataclasses

import pytest
from redis.exceptions import RedisError

from fairlead.access.keys import ApiKey, from_token, generate, key_hash
from fairlead.errors import ApiError, Unreadable
from fairlead.store import keys as store_keys
from fairlead.store import subscription
from fairlead.store.keys import ALL, CHANGED, KeyRing, KeyStore, answered
from fairlead.store.redis import connect
from fairlead.tasks import Tasks
from harness.valkey import Valkey

pytestmark = pytest.mark.anyio

TIME_LIMIT_S = 10


@pytest.fixture
async def client(redis_url):
    client = connect(redis_url)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
def valkey():
    """A server that may die."""
    server = Valkey().start()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(store_keys, "RESUBSCRIBE_S", 0.01)


class WatchedRing(KeyRing):
    """Tells what reached it, so that a test can wait for it."""

    def __init__(self, store, fixed=()):
        super().__init__(store, fixed)
        self._news = asyncio.Queue()

    def forget(self, digest):
        super().forget(digest)
        self._news.put_nowait(digest)

    async def recheck_all(self):
        await super().recheck_all()
        self._news.put_nowait("all")

    async def _follow_once(self, client, tell):
        self._news.put_nowait("subscribing")
        await super()._follow_once(client, tell)

    async def until(self, news):
        async with asyncio.timeout(TIME_LIMIT_S):
            while await self._news.get() != news:
                pass


@contextlib.asynccontextmanager
async def following(ring, client):
    """The ring with its subscription standing."""
    faults = []
    tasks = Tasks(lambda name, error: faults.append(error))
    tasks.start("follow", ring.follow(client))
    try:
        await ring.until("all")
        yield
    finally:
        await tasks.close()
    assert not faults


FULL = {
    "updated": 1_700_000_001,
    "expires": 1_900_000_000,
    "is_management": True,
    "limit_usd_nanos": 5_000_000_001,
    "limit_reset": "weekly",
    "allowed_models": ("openai/*", "*:free"),
    "allowed_providers": ("groq",),
    "requests_per_minute": 60,
    "tokens_per_minute": 100_000,
    "max_concurrency": 4,
    "preferences": '{"sort":"price"}',
    "is_auto_routing": False,
    "resume_tokens": 0,
    "creator": "oauth:https://app.example",
}
"""All that a key may have besides what every key has."""


async def new_key(client, name="mine", created=1, **more):
    token = generate()
    key = dataclasses.replace(from_token(token, name, created), **more)
    await KeyStore(client).add(key)
    return token.encode(), key


async def refusal(ring, token):
    async with asyncio.timeout(TIME_LIMIT_S):
        with pytest.raises(ApiError) as caught:
            await ring.look_up(token)
    return caught.value


async def look_ups(client):
    """How often the server was asked for a key."""
    stats = await client.info("commandstats")
    return stats.get("cmdstat_hgetall", {}).get("calls", 0)


class TestStore:
    async def test_a_key_comes_back_as_it_was(self, client):
        store = KeyStore(client)
        for more in ({}, FULL, {"is_disabled": True, "is_auto_routing": True}):
            _, key = await new_key(client, "für Jürgen", 1_700_000_000, **more)
            assert await store.get(key.hash) == key
            assert await store.get_each([key.hash]) == [key]

    async def test_one_that_an_older_version_has_written(self, client):
        _, key = await new_key(client)
        fields = {"name": "old", "label": "sk-fl-v1-1a2", "created": 17, "disabled": 1}
        await client.delete(f"fl:1:key:{{{key.hash}}}")
        await client.hset(f"fl:1:key:{{{key.hash}}}", mapping=fields)
        assert await KeyStore(client).get(key.hash) == ApiKey(key.hash, "old", "sk-fl-v1-1a2", 17, is_disabled=True)

    async def test_the_key_itself_is_nowhere(self, client):
        token, key = await new_key(client)
        names = sorted(await client.keys("*"))
        assert names == [b"fl:1:key:{%b}" % key.hash.encode(), ALL.encode()]
        stored = [*names, *(await client.hgetall(names[0])).values(), *await client.smembers(names[1])]
        assert not any(token[12:-3] in value for value in stored)

    async def test_list_is_oldest_first(self, client):
        store = KeyStore(client)
        assert await store.list() == []
        added = [(await new_key(client, f"k{n}", created))[1] for n, created in enumerate([3, 1, 2])]
        assert await store.list() == [added[1], added[2], added[0]]
        assert await store.count() == 3

    @pytest.mark.parametrize("at_once", [1, 2, 3, 7, 8, 500])
    async def test_many_are_listed_in_few_round_trips(self, client, monkeypatch, at_once):
        monkeypatch.setattr(store_keys, "READ_AT_ONCE", at_once)
        asked = []

        class Watched(KeyStore):
            async def get_each(self, digests):
                asked.append(len(digests))
                return await super().get_each(digests)

        added = [(await new_key(client, created=n))[1] for n in range(7)]
        assert await Watched(client).list() == added
        assert sum(asked) == 7
        assert len(asked) == -(-7 // at_once)

    async def test_one_of_the_list_that_is_gone_is_left_out(self, client):
        """Deleting takes two steps: the key goes first, then its name on the list."""
        (_, gone), (_, key) = await new_key(client), await new_key(client)
        await client.delete(f"fl:1:key:{{{gone.hash}}}")
        assert await KeyStore(client).list() == [key]

    async def test_a_list_that_would_not_be_whole_is_none(self, client):
        _, key = await new_key(client)
        await client.delete(f"fl:1:key:{{{key.hash}}}")
        await client.set(f"fl:1:key:{{{key.hash}}}", "no hash")
        with pytest.raises(RedisError, match="WRONGTYPE"):
            await KeyStore(client).list()

    async def test_change(self, client):
        _, key = await new_key(client)
        store = KeyStore(client)
        assert await store.change(key.hash, FULL) == dataclasses.replace(key, **FULL)
        assert await store.get(key.hash) == dataclasses.replace(key, **FULL)

    @pytest.mark.parametrize("name", FULL)
    async def test_change_of_one_thing_leaves_the_others(self, client, name):
        _, key = await new_key(client, **FULL)
        default = getattr(from_token("x", ""), name)
        assert await KeyStore(client).change(key.hash, {name: default}) == dataclasses.replace(key, **{name: default})

    async def test_a_change_of_nothing(self, client):
        _, key = await new_key(client, **FULL)
        assert await KeyStore(client).change(key.hash, {}) == key

    async def test_changes_at_the_same_time_are_all_made(self, client):
        _, key = await new_key(client)
        store = KeyStore(client)
        await asyncio.gather(*(store.change(key.hash, {name: value}) for name, value in FULL.items()))
        assert await store.get(key.hash) == dataclasses.replace(key, **FULL)

    async def test_a_change_of_what_is_no_attribute_changes_nothing(self, client):
        _, key = await new_key(client)
        for changes in ({"limit": 5}, {"is_disabled": True, "hash": "x"}):
            with pytest.raises(KeyError):
                await KeyStore(client).change(key.hash, changes)
        assert await KeyStore(client).get(key.hash) == key

    async def test_disable_and_enable(self, client):
        _, key = await new_key(client)
        store = KeyStore(client)
        await store.set_disabled(key.hash, True)
        assert await store.get(key.hash) == dataclasses.replace(key, is_disabled=True)
        await store.set_disabled(key.hash, False)
        assert await store.get(key.hash) == key

    async def test_delete(self, client):
        _, key = await new_key(client)
        _, other = await new_key(client)
        store = KeyStore(client)
        assert [await store.delete(key.hash) for _ in range(2)] == [True, False]
        assert await store.get(key.hash) is None
        assert await store.list() == [other]

    async def test_a_deleted_key_cannot_be_brought_back(self, client):
        """Enabling one that a fellow administrator had just deleted made a key without a name that worked."""
        token, key = await new_key(client)
        store = KeyStore(client)
        await store.delete(key.hash)
        await store.set_disabled(key.hash, False)
        assert await store.change(key.hash, FULL) is None
        assert await store.get(key.hash) is None
        assert (await refusal(KeyRing(store, []), token)).status == 401

    async def test_every_change_is_told(self, client):
        store = KeyStore(client)
        async with client.pubsub(ignore_subscribe_messages=True) as news:
            await news.subscribe(CHANGED)
            assert await news.get_message(timeout=TIME_LIMIT_S) is None  # the subscription
            _, key = await new_key(client)
            await store.set_disabled(key.hash, True)
            await store.change(key.hash, {"limit_usd_nanos": 5})
            await store.delete(key.hash)
            told = [await news.get_message(timeout=TIME_LIMIT_S) for _ in range(4)]
        assert [message["data"] for message in told] == [key.hash.encode()] * 4

    async def test_away(self, valkey):
        client = connect(valkey.url)
        valkey.kill()
        store = KeyStore(client)
        calls = (
            store.list(),
            store.count(),
            store.get("h"),
            store.delete("h"),
            store.set_disabled("h", True),
            store.change("h", {"name": "x"}),
            store.add(from_token("x", "")),
        )
        for call in calls:
            with pytest.raises(RedisError):
                await call
        with pytest.raises(ApiError) as caught, answered():
            await store.list()
        assert (caught.value.status, caught.value.headers) == (503, {"retry-after": "1"})
        await client.aclose()


class TestRing:
    async def test_fixed_keys_need_no_store(self):
        key = from_token("sk-static-0123456789", "static")
        ring = KeyRing(KeyStore(connect("unix:///nowhere.sock")), [key])
        assert ring.find(b"sk-static-0123456789") is key
        assert ring.find(b"sk-static-012345678") is None

    async def test_a_key_is_asked_for_once(self, client):
        token, key = await new_key(client)
        ring = KeyRing(KeyStore(client), [])
        assert ring.find(token) is None
        assert await ring.look_up(token) == key
        before = await look_ups(client)
        assert [ring.find(token) for _ in range(100)] == [key] * 100
        assert await look_ups(client) == before

    async def test_a_burst_of_new_keys_is_served(self, client):
        """Beyond sixteen at once, valid keys were refused for want of a connection."""
        added = [await new_key(client) for _ in range(200)]
        ring = KeyRing(KeyStore(client), [])
        found = await asyncio.gather(*(ring.look_up(token) for token, _ in added), return_exceptions=True)
        assert found == [key for _, key in added]

    async def test_junk_does_not_reach_the_store(self, client):
        ring = KeyRing(KeyStore(client), [])
        before = await look_ups(client)
        token = generate()
        for n in range(300):
            for junk in (
                b"sk-%d" % n,
                b"sk-proj-" + b"x" * n,
                token[:-n].encode() if n else b"",
                token.encode() + b"0",
            ):
                error = await refusal(ring, junk)
                assert (error.status, error.error_type) == (401, "authentication")
        assert await look_ups(client) == before

    async def test_a_stranger_that_insists_is_asked_for_once(self, client):
        ring = KeyRing(KeyStore(client), [])
        before = await look_ups(client)
        token = generate().encode()
        for _ in range(50):
            assert (await refusal(ring, token)).status == 401
        assert await look_ups(client) == before + 1

    async def test_memory_of_strangers_is_bounded(self, client, monkeypatch):
        monkeypatch.setattr(store_keys, "MAX_STRANGERS", 5)
        ring = KeyRing(KeyStore(client), [])
        for _ in range(23):
            await refusal(ring, generate().encode())
            assert len(ring._strangers) <= 5

    async def test_memory_of_keys_is_bounded(self, client, monkeypatch):
        monkeypatch.setattr(store_keys, "MAX_REMEMBERED", 5)
        ring = KeyRing(KeyStore(client), [])
        added = [await new_key(client) for _ in range(12)]
        for token, key in added + added:
            assert await ring.look_up(token) == key
            assert len(ring._known) <= 5

    @pytest.mark.parametrize("at_once", [1, 2, 5, 9])
    async def test_all_are_read_anew(self, client, monkeypatch, at_once):
        monkeypatch.setattr(store_keys, "READ_AT_ONCE", at_once)
        ring = KeyRing(KeyStore(client), [])
        added = [await new_key(client) for _ in range(5)]
        for token, _ in added:
            await ring.look_up(token)
        (deleted, _), *others, (disabled, key) = added
        await KeyStore(client).delete(key_hash(deleted))
        await KeyStore(client).set_disabled(key.hash, True)
        await ring.recheck_all()
        assert ring.find(deleted) is None
        assert ring.find(disabled) == dataclasses.replace(key, is_disabled=True)
        assert all(ring.find(token) == key for token, key in others)

    async def test_a_change_during_a_look_up_is_not_lost(self, client):
        """The answer was on its way when the key was disabled: it may be given, but not remembered."""
        token, key = await new_key(client)

        class Overtaken(KeyStore):
            async def get(self, digest):
                found = await super().get(digest)
                await super().set_disabled(digest, True)
                ring.forget(digest)
                return found

        ring = KeyRing(Overtaken(client), [])
        assert await ring.look_up(token) == key
        assert ring.find(token) is None

    async def test_a_key_made_during_a_look_up_is_no_stranger(self, client):
        token = generate().encode()

        class Overtaken(KeyStore):
            async def get(self, digest):
                found = await super().get(digest)
                await ring.recheck_all()
                return found

        ring = KeyRing(Overtaken(client), [])
        await refusal(ring, token)
        assert not ring._strangers


class TestPush:
    async def test_changes_reach_the_ring(self, client):
        token, key = await new_key(client)
        store = KeyStore(client)
        ring = WatchedRing(store)
        async with following(ring, client):
            assert await ring.look_up(token) == key
            await store.set_disabled(key.hash, True)
            await ring.until(key.hash)
            assert ring.find(token) is None
            assert (await ring.look_up(token)).is_disabled
            await store.delete(key.hash)
            await ring.until(key.hash)
            assert (await refusal(ring, token)).status == 401
            await store.add(key)
            await ring.until(key.hash)
            assert await ring.look_up(token) == key

    async def test_others_stay_remembered(self, client):
        (token, key), (_, other) = await new_key(client), await new_key(client)
        ring = WatchedRing(KeyStore(client))
        async with following(ring, client):
            await ring.look_up(token)
            await KeyStore(client).delete(other.hash)
            await ring.until(other.hash)
            assert ring.find(token) == key

    async def test_nonsense_on_the_channel_does_no_harm(self, client):
        token, key = await new_key(client)
        ring = WatchedRing(KeyStore(client))
        async with following(ring, client):
            await ring.look_up(token)
            await client.publish(CHANGED, b"\xff\xfe")
            await ring.until("\ufffd\ufffd")
            assert ring.find(token) == key

    async def test_a_quiet_subscription_stays(self, client, monkeypatch):
        monkeypatch.setattr(subscription, "QUIET_S", 0.05)
        token, key = await new_key(client)
        store = KeyStore(client)
        ring = WatchedRing(store)
        before = (await client.info("commandstats")).get("cmdstat_ping", {}).get("calls", 0)
        async with following(ring, client), asyncio.timeout(TIME_LIMIT_S):
            while (await client.info("commandstats")).get("cmdstat_ping", {}).get("calls", 0) < before + 3:
                await asyncio.sleep(0.01)
            await ring.look_up(token)
            await store.delete(key.hash)
            await ring.until(key.hash)
            assert ring.find(token) is None


class TestOutage:
    async def test_what_is_known_goes_on_and_what_is_not_is_told_at_once(self, valkey):
        client = connect(valkey.url)
        token, key = await new_key(client)
        unseen, _ = await new_key(client)
        ring = WatchedRing(KeyStore(client))
        async with following(ring, client):
            await ring.look_up(token)
            valkey.kill()
            await ring.until("subscribing")
            assert ring.find(token) == key
            error = await refusal(ring, unseen)
            assert (error.status, error.error_type, error.headers) == (503, "server", {"retry-after": "1"})
            assert (await refusal(ring, b"sk-junk")).status == 401
        await client.aclose()

    async def test_back_again_changes_are_seen(self, valkey):
        client = connect(valkey.url)
        token, key = await new_key(client)
        store = KeyStore(client)
        ring = WatchedRing(store)
        async with following(ring, client):
            await ring.look_up(token)
            valkey.kill()
            await ring.until("subscribing")
            assert ring.find(token) == key
            valkey.start()
            await store.add(dataclasses.replace(key, is_disabled=True))
            await ring.until("all")
            assert (ring.find(token) or await ring.look_up(token)).is_disabled
        await client.aclose()

    async def test_the_operator_is_told_once_each_way(self, valkey):
        client = connect(valkey.url)
        ring = WatchedRing(KeyStore(client))
        told = asyncio.Queue()
        tasks = Tasks(lambda name, error: None)
        tasks.start("follow", ring.follow(client, told.put_nowait))
        await ring.until("all")
        valkey.kill()
        async with asyncio.timeout(TIME_LIMIT_S):
            assert (await told.get()).startswith("store away, known keys go on: ")
            assert ring.is_store_away
            valkey.start()
            assert await told.get() == "store back"
        assert not ring.is_store_away
        await tasks.close()
        await client.aclose()
        assert told.empty()

    async def test_away_again_before_a_key_was_read_anew(self, valkey):
        client = connect(valkey.url)
        token, key = await new_key(client)
        ring = KeyRing(KeyStore(client), [])
        await ring.look_up(token)
        valkey.kill()
        with pytest.raises(RedisError):
            await ring.recheck_all()
        assert ring.find(token) == key
        ring.forget(key_hash(token))
        assert (await refusal(ring, token)).status == 503
        await client.aclose()

    async def test_a_server_that_answers_nothing(self, valkey, monkeypatch):
        """The connection stands, as it does behind a firewall that has forgotten it; no error ever comes of it."""
        monkeypatch.setattr(subscription, "QUIET_S", 0.05)
        client = connect(valkey.url)
        token, key = await new_key(client)
        ring = WatchedRing(KeyStore(client))
        async with following(ring, client):
            await ring.look_up(token)
            valkey.freeze()
            await ring.until("subscribing")
            assert ring.find(token) == key
            assert (await refusal(ring, generate().encode())).status == 503
            valkey.thaw()
            await ring.until("all")
            assert await ring.look_up(token) == key
        await client.aclose()


class TestNonsense:
    """A record that somebody else has written, or spoilt."""

    @pytest.fixture
    async def spoilt(self, client):
        token = generate()
        store = KeyStore(client)
        await store.add(from_token(token, "spoilt"))
        await store.add(from_token(generate(), "good"))
        await client.hset(f"fl:1:key:{{{key_hash(token.encode())}}}", "limit_usd_nanos", "a lot")
        return token

    async def test_whoever_shows_the_key_is_told(self, client, spoilt):
        ring = KeyRing(KeyStore(client), [])
        with pytest.raises(ApiError, match="In the store the field 'limit_usd_nanos' of fl:1:key:") as caught:
            await ring.look_up(spoilt.encode())
        assert caught.value.status == 500

    async def test_a_list_names_it(self, client, spoilt):
        with pytest.raises(Unreadable, match="HSET it anew"):
            await KeyStore(client).list()
        with pytest.raises(ApiError, match="In the store the field") as caught, answered():
            await KeyStore(client).list()
        assert caught.value.status == 500

    async def test_the_others_go_on_when_all_are_read_anew(self, client):
        store, tokens = KeyStore(client), [generate(), generate()]
        for token in tokens:
            await store.add(from_token(token, "n"))
        ring = KeyRing(store, [])
        for token in tokens:
            await ring.look_up(token.encode())
        await client.hset(f"fl:1:key:{{{key_hash(tokens[0].encode())}}}", "created", "yesterday")
        await ring.recheck_all()
        assert ring.find(tokens[0].encode()) is None
        assert ring.find(tokens[1].encode()).name == "n"
