import asyncio
import contextlib

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from fairlead.store import subscription
from fairlead.store.subscription import listen
from fairlead.tasks import start
from harness.valkey import Valkey, free_port

pytestmark = pytest.mark.anyio

TIME_LIMIT_S = 10
CHANNEL = "t:news"


@pytest.fixture
def valkey():
    with contextlib.closing(Valkey(port=free_port())) as server:
        yield server.start()


@pytest.fixture
async def client(valkey):
    async with Redis.from_url(valkey.url) as client:
        yield client


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(subscription, "QUIET_S", 0.05)


@contextlib.asynccontextmanager
async def listening(client):
    """The news, from the moment the subscription stands."""
    async with contextlib.aclosing(listen(client, CHANNEL)) as news, asyncio.timeout(TIME_LIMIT_S):
        assert await anext(news) is None
        yield news


async def pings(client):
    """How many the server has got, and how many of them it has refused."""
    known = (await client.info("commandstats")).get("cmdstat_ping", {})
    return known.get("calls", 0) + known.get("rejected_calls", 0), known.get("rejected_calls", 0)


async def test_what_is_published_comes(client):
    async with listening(client) as news:
        for word in (b"one", b"two"):
            await client.publish(CHANNEL, word)
            assert await anext(news) == word


async def test_a_quiet_one_stays(client):
    async with listening(client) as news:
        coming = start("news", anext(news))
        while (await pings(client))[0] < 3:
            await asyncio.sleep(0.01)
        await client.publish(CHANNEL, b"one")
        assert await coming == b"one"


async def test_a_refused_ping_is_an_answer(client, valkey):
    """So a server does that cannot save, and takes no writes."""
    (valkey.directory / "dump.rdb" / "in the way").mkdir(parents=True)
    await client.config_set("save", "3600 1")
    async with listening(client) as news:
        coming = start("news", anext(news))
        while (await client.info("persistence"))["rdb_last_bgsave_status"] == "ok":
            with contextlib.suppress(ResponseError):
                await client.bgsave()
            await asyncio.sleep(0.01)
        while (await pings(client))[1] < 3:
            await asyncio.sleep(0.01)
        await client.publish(CHANNEL, b"one")
        assert await coming == b"one"


async def test_one_that_is_never_answered_ends(client, valkey):
    async with listening(client) as news:
        valkey.freeze()
        try:
            assert [one async for one in news] == []
        finally:
            valkey.thaw()


async def test_one_that_breaks_raises(client, valkey):
    async with listening(client) as news:
        valkey.kill()
        with pytest.raises(RedisConnectionError):
            await anext(news)
