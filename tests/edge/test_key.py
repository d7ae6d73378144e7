from dataclasses import replace

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from fairlead.access.keys import from_token, generate, key_hash
from fairlead.access.windows import Spent
from fairlead.edge.key import key_routes
from fairlead.edge.key_view import current_key_object
from fairlead.store.keys import KeyRing, KeyStore
from fairlead.store.redis import connect
from harness.asking import asking

pytestmark = pytest.mark.anyio

STATIC = "sk-one-of-the-environment"
NOW = 1_795_273_445.5
SPENT = Spent(7_000_000_001, 1_000_000_000, 2_500_000_000, 3_000_000_000, 12, 1_700_000_002)


@pytest.fixture
async def store(redis_url):
    client = connect(redis_url)
    await client.flushdb()
    yield KeyStore(client)
    await client.aclose()


async def spent(accounts):
    return dict.fromkeys(accounts, SPENT)


async def spent_is_away(accounts):
    raise RedisConnectionError("away")


def routes(store, spent=spent):
    return key_routes("/v1", KeyRing(store, [from_token(STATIC, "static")]), spent, lambda: NOW)


async def new_key(store, **more):
    token = generate()
    key = replace(from_token(token, "web", 1_700_000_000), **more)
    await store.add(key)
    return token, key


@pytest.mark.parametrize("path", ["/v1/key", "/v1/auth/key"])
async def test_a_key_sees_itself(store, path):
    token, key = await new_key(store, limit_usd_nanos=5_000_000_000, limit_reset="daily")
    async with asking(routes(store)) as ask:
        answer = await ask("GET", path, key=token)
        again = await ask("GET", path, fields=[f"x-api-key: {token}"])
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json == again.json == {"data": current_key_object(key, SPENT, NOW)}
    assert answer.json["data"]["limit_remaining"] == 4.0


async def test_only_itself(store):
    token, key = await new_key(store)
    asked = []

    async def watched(accounts):
        asked.append(list(accounts))
        return await spent(accounts)

    async with asking(routes(store, watched)) as ask:
        await ask("GET", "/v1/key", key=token)
    assert asked == [[key.hash]]


async def test_keys_of_the_environment_and_management_keys_may_too(store):
    token, _ = await new_key(store, is_management=True)
    async with asking(routes(store)) as ask:
        assert (await ask("GET", "/v1/key", key=token)).json["data"]["is_management_key"] is True
        assert (await ask("GET", "/v1/key", key=STATIC)).json["data"]["is_management_key"] is False


@pytest.mark.parametrize(
    ("more", "what"), [({"is_disabled": True}, "is disabled"), ({"expires": 1_795_273_445}, "expired on")]
)
async def test_one_that_must_not_be_used(store, more, what):
    token, _ = await new_key(store, **more)
    async with asking(routes(store)) as ask:
        answer = await ask("GET", "/v1/key", key=token)
    assert answer.status == 401
    assert what in answer.error["message"]


async def test_nobody_and_strangers(store):
    async with asking(routes(store)) as ask:
        for key in (None, "sk-guess", generate()):
            answer = await ask("GET", "/v1/key", key=key)
            assert (answer.status, answer.error["type"]) == (401, "authentication_error")


async def test_other_methods(store):
    async with asking(routes(store)) as ask:
        answer = await ask("POST", "/v1/key", {}, key=STATIC)
    assert (answer.status, set(answer.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})


async def test_without_the_store(store):
    token, _ = await new_key(store)
    away = KeyStore(connect("unix:///nonexistent.sock"))
    for there, key in (
        (routes(store, spent_is_away), token),
        (routes(away), token),
        (routes(away, spent_is_away), STATIC),
    ):
        async with asking(there) as ask:
            answer = await ask("GET", "/v1/key", key=key)
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert key_hash(token.encode()) not in str(answer.json)
