from dataclasses import replace

import pytest

from fairlead.access.keys import DEMO_KEY, from_token, generate, key_hash
from fairlead.admin.door import Door
from fairlead.admin.management import ADMIN, ManagementDoor
from fairlead.errors import ApiError
from fairlead.store.keys import KeyRing, KeyStore
from fairlead.store.redis import connect

pytestmark = pytest.mark.anyio

ADMIN_KEY = "sk-fl-admin-v1-" + "0f" * 32
STATIC = "sk-one-of-the-environment"
NOW = 1_795_273_445
REMEDY = "fairlead keys create --management"


@pytest.fixture
async def store(redis_url):
    client = connect(redis_url)
    await client.flushdb()
    yield KeyStore(client)
    await client.aclose()


def door_of(store, admin_key=ADMIN_KEY):
    ring = KeyRing(store, [from_token(STATIC, "static"), from_token(DEMO_KEY, "demo")])
    return ManagementDoor(Door(admin_key, lambda token: ring.find(token) is not None), ring, lambda: NOW + 0.5)


def bearer(token):
    return [(b"host", b"x"), (b"authorization", f"Bearer {token}".encode("latin-1"))]


async def new_key(store, **more):
    token = generate()
    await store.add(replace(from_token(token, "mine", 1), **more))
    return token


async def refusal(door, headers):
    with pytest.raises(ApiError) as caught:
        await door.check(headers)
    return caught.value


@pytest.mark.parametrize("headers", [bearer(ADMIN_KEY), [(b"x-api-key", ADMIN_KEY.encode())]])
async def test_the_admin_key_opens_and_needs_no_store(headers):
    door = door_of(KeyStore(connect("unix:///nonexistent.sock")))
    assert await door.check(headers) == ADMIN


async def test_a_management_key_opens_and_says_who_it_is(store):
    token = await new_key(store, is_management=True)
    assert await door_of(store).check(bearer(token)) == key_hash(token.encode())
    assert await door_of(store, None).check(bearer(token)) == key_hash(token.encode())


async def test_one_that_has_not_expired_yet(store):
    token = await new_key(store, is_management=True, expires=NOW + 1)
    assert await door_of(store).check(bearer(token))


async def test_keys_that_infer_are_403_with_the_remedy(store):
    for token in (await new_key(store), STATIC, DEMO_KEY):
        error = await refusal(door_of(store), bearer(token))
        assert (error.status, error.error_type) == (403, "permission_denied")
        assert "does not manage" in error.message
        assert REMEDY in error.message


@pytest.mark.parametrize(
    ("more", "what"),
    [({"is_disabled": True}, "is disabled"), ({"expires": NOW}, "expired on 2026-11-21T15:04:05Z")],
)
async def test_a_management_key_that_must_not_be_used_is_401(store, more, what):
    token = await new_key(store, is_management=True, **more)
    error = await refusal(door_of(store), bearer(token))
    assert (error.status, error.error_type) == (401, "authentication")
    assert what in error.message


@pytest.mark.parametrize("headers", [[], [(b"authorization", b"Basic x")], bearer(""), [(b"x-api-key", b"")]])
async def test_none_is_401_with_the_remedy(store, headers):
    error = await refusal(door_of(store), headers)
    assert (error.status, error.error_type) == (401, "authentication")
    assert "www-authenticate" in error.headers
    assert REMEDY in error.message


@pytest.mark.parametrize(
    "token", ["x", ADMIN_KEY[:-1], ADMIN_KEY + "0", ADMIN_KEY.upper(), generate(), "\xff\xfe"], ids=range(6)
)
@pytest.mark.parametrize("admin_key", [ADMIN_KEY, None])
async def test_any_other_is_401_with_the_remedy(store, token, admin_key):
    error = await refusal(door_of(store, admin_key), bearer(token))
    assert (error.status, error.error_type) == (401, "authentication")
    assert error.message.startswith("Unknown API key")
    assert REMEDY in error.message


async def test_a_mistyped_one_is_told(store):
    error = await refusal(door_of(store), bearer(generate()[:-1]))
    assert error.status == 401
    assert "check digits" in error.message


async def test_without_an_admin_key_nothing_passes_for_it(store):
    for token in ("None", "", ADMIN_KEY):
        assert (await refusal(door_of(store, None), bearer(token))).status == 401


async def test_without_the_store_unknown_keys_are_503():
    door = door_of(KeyStore(connect("unix:///nonexistent.sock")))
    error = await refusal(door, bearer(generate()))
    assert (error.status, error.headers) == (503, {"retry-after": "1"})


async def test_a_key_that_is_turned_off_is_out_at_once(store):
    token = await new_key(store, is_management=True)
    ring = KeyRing(store, [])
    door = ManagementDoor(Door(ADMIN_KEY, lambda _: False), ring)
    await door.check(bearer(token))
    digest = key_hash(token.encode())
    await store.set_disabled(digest, True)
    ring.forget(digest)  # as the subscription tells it
    assert (await refusal(door, bearer(token))).status == 401
