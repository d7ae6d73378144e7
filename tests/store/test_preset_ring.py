import asyncio
import contextlib

import pytest

from fairlead.errors import ApiError
from fairlead.store import preset_ring, subscription
from fairlead.store.preset_ring import PresetRing
from fairlead.store.presets import CHANGED, PresetStore
from fairlead.store.redis import connect
from fairlead.tasks import Tasks
from fairlead.wire.cache_key import PresetCache
from fairlead.wire.preset_config import config_of
from harness.valkey import Valkey

pytestmark = pytest.mark.anyio

TIME_LIMIT_S = 10


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(preset_ring, "RESUBSCRIBE_S", 0.01)


@pytest.fixture
async def client(redis_url):
    client = connect(redis_url)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
async def store(client):
    return PresetStore(client)


@pytest.fixture
def valkey():
    """A server that may die."""
    server = Valkey().start()
    yield server
    server.close()


class WatchedRing(PresetRing):
    """Tells what reached it, so that a test can wait for it."""

    def __init__(self, store, default=""):
        super().__init__(store, default)
        self._news = asyncio.Queue()

    async def read_all(self):
        await super().read_all()
        self._news.put_nowait("all")

    async def read(self, slug):
        await super().read(slug)
        self._news.put_nowait(slug)

    async def _follow_once(self, client):
        self._news.put_nowait("subscribing")
        await super()._follow_once(client)

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


async def put(store, slug, text='{"model":"m"}'):
    await store.put(slug, config_of(text.encode(), "chat/completions"), creator="admin", now=1)


async def turn_off(store, slug, status="disabled"):
    await store.change(slug, {"status": status}, designated=None, now=2)


def refusal(ask, *arguments):
    with pytest.raises(ApiError) as caught:
        ask(*arguments)
    return caught.value


class TestFind:
    async def test_what_is_laid_under_requests(self, store):
        text = '{"model":"m","seed":1,"cache_enabled":true,"messages":[{"role":"system","content":"sä\\"y"}]}'
        await put(store, "p", text)
        await put(store, "plain")
        ring = PresetRing(store)
        await ring.read_all()
        found = ring.find("p")
        assert found.members == {"model": b'"m"', "seed": b"1", "cache_enabled": b"true"}
        assert found.system_prompt == '"sä\\"y"'.encode()
        assert found.cache == PresetCache(is_enabled=True)
        assert (ring.find("plain").system_prompt, ring.find("plain").cache) == (b"", None)
        assert ring.default() is None

    async def test_one_that_is_not_there_is_named_with_those_like_it(self, store):
        for slug in ("email-copywriter", "code-reviewer"):
            await put(store, slug)
        ring = PresetRing(store)
        await ring.read_all()
        error = refusal(ring.find, "email-copywiter")
        assert (error.status, error.error_type, error.param) == (404, "not_found", "preset")
        assert error.message == "There is no preset 'email-copywiter'. Did you mean email-copywriter?"
        assert refusal(ring.find, "zzz").message.endswith("GET /v1/presets lists them.")
        assert len(refusal(ring.find, "x" * 10_000).message) < 300

    @pytest.mark.parametrize("status", ["disabled", "archived"])
    async def test_one_that_is_off(self, store, status):
        await put(store, "p")
        await turn_off(store, "p", status)
        ring = PresetRing(store)
        await ring.read_all()
        error = refusal(ring.find, "p")
        assert (error.status, error.message) == (400, f"The preset 'p' is {status}")

    async def test_nothing_is_known_before_the_store_has_answered(self):
        ring = PresetRing(PresetStore(connect("unix:///nowhere.sock")), "d")
        await ring.start()
        for error in (refusal(ring.find, "p"), refusal(ring.default)):
            assert (error.status, error.headers) == (503, {"retry-after": "1"})

    async def test_start_reads_them(self, store):
        await put(store, "p")
        ring = PresetRing(store)
        await ring.start()
        assert ring.find("p").slug == "p"


class TestDefault:
    async def test_it_applies_unless_it_is_off(self, store):
        await put(store, "d")
        ring = PresetRing(store, "d")
        await ring.read_all()
        assert ring.default() is ring.find("d")
        await turn_off(store, "d")
        await ring.read("d")
        assert ring.default() is None

    async def test_one_that_is_not_there_refuses(self, store):
        """It may be what keeps prompts from those who train on them."""
        ring = PresetRing(store, "d")
        await ring.read_all()
        error = refusal(ring.default)
        assert error.status == 503
        assert "FAIRLEAD_DEFAULT_PRESET" in error.message
        assert "'d'" in error.message


class TestPush:
    async def test_changes_reach_the_ring(self, store, client):
        ring = WatchedRing(store)
        async with following(ring, client):
            await put(store, "p")
            await ring.until("p")
            before = ring.find("p")
            await put(store, "p", '{"model":"other"}')
            await ring.until("p")
            assert (before.members, ring.find("p").members) == ({"model": b'"m"'}, {"model": b'"other"'})
            await turn_off(store, "p")
            await ring.until("p")
            assert refusal(ring.find, "p").status == 400
            await store.delete("p")
            await ring.until("p")
            assert refusal(ring.find, "p").status == 404

    async def test_nonsense_on_the_channel_does_no_harm(self, store, client):
        ring = WatchedRing(store)
        await put(store, "p")
        async with following(ring, client):
            await client.publish(CHANGED, b"\xff{}")
            await ring.until("\ufffd{}")
            assert ring.find("p").slug == "p"

    async def test_a_quiet_subscription_stays(self, store, client, monkeypatch):
        monkeypatch.setattr(subscription, "QUIET_S", 0.02)
        ring = WatchedRing(store)
        before = (await client.info("commandstats")).get("cmdstat_ping", {}).get("calls", 0)
        async with following(ring, client), asyncio.timeout(TIME_LIMIT_S):
            while (await client.info("commandstats")).get("cmdstat_ping", {}).get("calls", 0) < before + 3:
                await asyncio.sleep(0.01)
            await put(store, "p")
            await ring.until("p")


class TestOutage:
    async def test_what_is_known_goes_on_and_changes_are_seen_later(self, valkey):
        client = connect(valkey.url)
        store = PresetStore(client)
        await put(store, "p")
        ring = WatchedRing(store, "p")
        async with following(ring, client):
            valkey.kill()
            await ring.until("subscribing")
            assert ring.default() is ring.find("p")
            assert refusal(ring.find, "q").status == 404
            valkey.start()
            await ring.until("all")
            await put(store, "q")
            await ring.until("q")
            assert ring.find("q").slug == "q"
        await client.aclose()


@pytest.mark.parametrize(("field", "value"), [("c:1", b"{"), ("c:1", b'{"model":"m","cache_enabled":"yes"}')])
async def test_one_that_is_nonsense_is_refused_and_no_other(client, store, field, value):
    """A worker starts all the same; and who is to have it as the default is not served without it."""
    for slug in ("p", "q"):
        await store.put(slug, config_of(b'{"model":"m"}', "chat/completions"), creator="admin", now=1)
    await client.hset("fl:1:preset:{p}", field, value)
    ring, other = PresetRing(store, "q"), PresetRing(store, "p")
    for one in (ring, other):
        await one.start()
    assert ring.find("q") == ring.default()
    for ask in (lambda: ring.find("p"), other.default):
        with pytest.raises(ApiError, match="In the store the preset") as caught:
            ask()
        assert caught.value.status == 500
    await client.hset("fl:1:preset:{p}", field, b'{"model":"n"}')
    await ring.read("p")
    assert ring.find("p").members == {"model": b'"n"'}
    await client.hset("fl:1:preset:{p}", field, value)
    await ring.read("p")
    with pytest.raises(ApiError, match="In the store the preset"):
        ring.find("p")
