import pytest

from fairlead.catalog.model import Provider
from fairlead.store.discovered import CLAIM_S, DiscoveredStore
from fairlead.store.redis import connect

pytestmark = pytest.mark.anyio

ACME = Provider("acme", "Acme", "https://api.acme.example/v1", api_key="sk-secret-acme")
MOVED = Provider("acme", "Acme", "https://eu.acme.example/v1", api_key="sk-secret-acme")
LISTING = b'{"data":[{"id":"m\xff"}]}'


@pytest.fixture
async def client(redis_url):
    client = connect(redis_url)
    await client.flushdb()
    yield client
    await client.aclose()


async def test_what_one_worker_has_put_another_gets(client):
    one, other = DiscoveredStore(client, 60), DiscoveredStore(client, 60)
    assert await one.get(ACME) is None
    await one.put(ACME, LISTING)
    assert await other.get(ACME) == LISTING


async def test_a_provider_that_moved_is_another_one(client):
    store = DiscoveredStore(client, 60)
    await store.put(ACME, LISTING)
    assert await store.get(MOVED) is None


@pytest.mark.parametrize(("keep_s", "ttl_s"), [(60, 60), (3600.9, 3600), (0.1, 1)])
async def test_it_is_kept_for_a_while(client, keep_s, ttl_s):
    await DiscoveredStore(client, keep_s).put(ACME, LISTING)
    (name,) = await client.keys("*")
    assert ttl_s - 1 <= await client.ttl(name) <= ttl_s


async def test_one_claims(client):
    workers = [DiscoveredStore(client, 60) for _ in range(5)]
    assert [await worker.claim(ACME) for worker in workers] == [True, False, False, False, False]
    assert await workers[1].claim(MOVED)


async def test_a_claim_ends_by_itself(client):
    store = DiscoveredStore(client, 60)
    await store.claim(ACME)
    (name,) = await client.keys("*")
    assert CLAIM_S - 1 <= await client.ttl(name) <= CLAIM_S
    await client.delete(name)
    assert await store.claim(ACME)


async def test_no_credentials_are_stored(client):
    store = DiscoveredStore(client, 60)
    await store.put(ACME, LISTING)
    await store.claim(ACME)
    names = await client.keys("*")
    assert len(names) == 2
    assert all(name.startswith(b"fl:1:discovered:acme:") and b"secret" not in name for name in names)


async def test_away_everybody_asks_for_himself():
    client = connect("unix:///nonexistent.sock")
    store = DiscoveredStore(client, 60)
    assert await store.get(ACME) is None
    assert await store.claim(ACME)
    assert await store.claim(ACME)
    await store.put(ACME, LISTING)
    await client.aclose()
