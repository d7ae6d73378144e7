import asyncio
import json
from dataclasses import replace

import pytest

from fairlead.access.keys import from_token, generate, is_well_formed, key_hash
from fairlead.access.windows import Spent
from fairlead.admin import keys as admin_keys
from fairlead.admin.door import Door
from fairlead.admin.keys import management_routes
from fairlead.admin.management import ManagementDoor
from fairlead.edge.key_view import key_object
from fairlead.store.keys import KeyRing, KeyStore
from fairlead.store.redis import connect
from harness.asking import asking

pytestmark = pytest.mark.anyio

ADMIN_KEY = "sk-fl-admin-v1-" + "0f" * 32
NOW = 1_795_273_445.5  # 2026-11-21T15:04:05.5Z
SPENT = Spent(7_000_000_001, 1_000_000_000, 2_500_000_000, 3_000_000_000, 12, 1_700_000_002)
KEYS = "/v1/keys"


@pytest.fixture
async def store(redis_url):
    client = connect(redis_url)
    await client.flushdb()
    yield KeyStore(client)
    await client.aclose()


async def spent(accounts):
    return dict.fromkeys(accounts, SPENT)


def routes(store, spent=spent):
    door = ManagementDoor(Door(ADMIN_KEY, lambda _: False), KeyRing(store, []), lambda: NOW)
    return management_routes("/v1", door, store, spent, lambda: NOW)


@pytest.fixture
async def ask(store):
    """Asks as the administrator."""
    async with asking(routes(store)) as ask:

        async def as_admin(method, path, body=None, *, key=ADMIN_KEY):
            return await ask(method, path, body, key=key)

        yield as_admin


async def new_key(store, name="web", created=1, **more):
    token = generate()
    key = replace(from_token(token, name, created), **more)
    await store.add(key)
    return token, key


class TestDoor:
    @pytest.mark.parametrize(
        ("method", "path"),
        [("GET", KEYS), ("POST", KEYS), ("GET", f"{KEYS}/x"), ("PATCH", f"{KEYS}/x"), ("DELETE", f"{KEYS}/x")],
    )
    async def test_nothing_opens_without_the_right_key(self, store, ask, method, path):
        inference, key = await new_key(store)
        path = path.replace("/x", f"/{key.hash}")
        for token, status in ((None, 401), ("guess", 401), (generate(), 401), (inference, 403)):
            answer = await ask(method, path, {"name": "x"}, key=token)
            assert answer.status == status
            assert "fairlead keys create --management" in answer.error["message"]
        assert await store.list() == [key]

    async def test_a_management_key_opens_and_is_noted(self, store, ask):
        token, manager = await new_key(store, is_management=True)
        made = (await ask("POST", KEYS, {"name": "made"}, key=token)).json["data"]
        assert made["creator_user_id"] == f"key:{manager.hash}"
        assert (await store.get(made["hash"])).creator == f"key:{manager.hash}"

    @pytest.mark.parametrize(
        ("path", "allowed"), [(KEYS, {"GET", "HEAD", "POST"}), (f"{KEYS}/x", {"GET", "HEAD", "PATCH", "DELETE"})]
    )
    async def test_other_methods(self, ask, path, allowed):
        answer = await ask("PUT", path)
        assert (answer.status, set(answer.headers["allow"].split(", "))) == (405, allowed)


class TestCreate:
    async def test_the_least(self, store, ask):
        answer = await ask("POST", KEYS, {"name": "web"})
        assert (answer.status, answer.headers["cache-control"]) == (201, "no-store")
        token = answer.json["key"]
        assert is_well_formed(token.encode())
        (key,) = await store.list()
        assert key == from_token(token, "web", int(NOW))
        assert answer.json == {"data": json.loads(json.dumps(key_object(key, Spent()))), "key": token}

    async def test_the_most(self, store, ask):
        given = {
            "name": "web",
            "limit": 0.1,
            "limit_reset": "daily",
            "expires_at": "2026-11-21T16:00:00.000Z",
            "allowed_models": ["openai/*"],
            "allowed_providers": ["groq"],
            "requests_per_minute": 60,
            "tokens_per_minute": 1000,
            "max_concurrency": 2,
            "preferences": {"max_price": {"prompt": 0.1}},
            "auto_routing": False,
            "resume_tokens": 0,
            "is_management": False,
        }
        answer = await ask("POST", KEYS, given)
        assert answer.json["data"] | given | {"expires_at": "2026-11-21T16:00:00Z"} == answer.json["data"]
        (key,) = await store.list()
        assert key.limit_usd_nanos == 100_000_000
        assert key.preferences == '{"max_price":{"prompt":0.1}}'
        assert key.creator == ""

    async def test_it_works_at_once_where_it_had_been_refused(self, store, ask):
        ring = KeyRing(store, [])
        token = (await ask("POST", KEYS, {"name": "web"})).json["key"]
        assert (await ring.look_up(token.encode())).name == "web"

    async def test_with_the_slash_of_openrouters_examples(self, store, ask):
        assert (await ask("POST", f"{KEYS}/", {"name": "web"})).status == 201
        assert len((await ask("GET", f"{KEYS}/")).json["data"]) == 1

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({}, "name"),
            ({"name": ""}, "name"),
            ({"name": "web", "limit": -1}, "limit"),
            ({"name": "web", "limit": 10**10}, "limit"),
            (b'{"name": "web", "limit": NaN}', "limit"),
            (b'{"name": "web", "limit": 1e999}', "limit"),
            (b'{"name": "web", "limit": 1e99999999999999999999}', "limit"),
            ({"name": "web", "limits": 5}, "limits"),
            ({"name": "web", "expires_at": "2026-11-21T15:04:05Z"}, "expires_at"),
            ({"name": "web", "disabled": True}, "disabled"),
            (["web"], None),
            (b"name=web", None),
            (b"", None),
        ],
        ids=range(13),
    )
    async def test_what_is_wrong_makes_no_key(self, store, ask, body, param):
        answer = await ask("POST", KEYS, body)
        assert (answer.status, answer.error["param"]) == (400, param)
        if param is not None:
            assert answer.error["message"].startswith(f"'{param}' ")
        assert await store.count() == 0

    async def test_too_large(self, store, ask):
        assert (await ask("POST", KEYS, {"name": "x" * 70_000})).status == 413
        assert await store.count() == 0


class TestOne:
    async def test_show(self, store, ask):
        _, key = await new_key(store)
        answer = await ask("GET", f"{KEYS}/{key.hash}")
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        assert answer.json == {"data": key_object(key, SPENT)}

    async def test_change(self, store, ask):
        _, key = await new_key(store, limit_usd_nanos=5)
        answer = await ask("PATCH", f"{KEYS}/{key.hash}", {"limit": 20, "limit_reset": "monthly", "disabled": True})
        changed = replace(
            key, limit_usd_nanos=20_000_000_000, limit_reset="monthly", is_disabled=True, updated=int(NOW)
        )
        assert await store.get(key.hash) == changed
        assert answer.json == {"data": key_object(changed, SPENT)}
        assert answer.json["data"]["limit_remaining"] == 17.0

    async def test_what_is_not_named_stays(self, store, ask):
        _, key = await new_key(store, limit_usd_nanos=5, allowed_models=("openai/*",), is_management=True)
        await ask("PATCH", f"{KEYS}/{key.hash}", {"name": "other", "include_byok_in_limit": False})
        assert await store.get(key.hash) == replace(key, name="other", updated=int(NOW))

    async def test_null_takes_back(self, store, ask):
        _, key = await new_key(store, limit_usd_nanos=5, expires=2_000_000_000, allowed_models=("openai/*",))
        await ask("PATCH", f"{KEYS}/{key.hash}", {"limit": None, "expires_at": None, "allowed_models": None})
        assert await store.get(key.hash) == from_key_without_conditions(key)

    async def test_two_changes_at_once_are_both_made(self, store, ask):
        _, key = await new_key(store)
        path = f"{KEYS}/{key.hash}"
        await asyncio.gather(ask("PATCH", path, {"name": "other"}), ask("PATCH", path, {"limit": 1}))
        assert await store.get(key.hash) == replace(key, name="other", limit_usd_nanos=10**9, updated=int(NOW))

    async def test_a_change_of_nothing(self, store, ask):
        _, key = await new_key(store)
        answer = await ask("PATCH", f"{KEYS}/{key.hash}", {})
        assert (answer.status, answer.error["message"]) == (400, "No update fields provided")
        assert await store.get(key.hash) == key

    @pytest.mark.parametrize(
        "body", [{"limit": -1}, {"hash": "x"}, {"is_management": True}, {"name": None}, []], ids=str
    )
    async def test_a_wrong_change_changes_nothing(self, store, ask, body):
        _, key = await new_key(store)
        assert (await ask("PATCH", f"{KEYS}/{key.hash}", body)).status == 400
        assert await store.get(key.hash) == key

    async def test_delete(self, store, ask):
        (_, key), (_, other) = await new_key(store), await new_key(store)
        answer = await ask("DELETE", f"{KEYS}/{key.hash}")
        assert (answer.status, answer.json) == (200, {"deleted": True})
        assert await store.list() == [other]
        assert (await ask("DELETE", f"{KEYS}/{key.hash}")).status == 404

    @pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
    @pytest.mark.parametrize("digest", ["0" * 64, "F" * 64, "x", "%7D", "*", "1" * 2_000], ids=lambda text: text[:4])
    async def test_one_that_is_not_there(self, store, ask, method, digest):
        _, key = await new_key(store)
        answer = await ask(method, f"{KEYS}/{digest}", {"name": "x"})
        assert (answer.status, answer.error["metadata"]["error_type"]) == (404, "not_found")
        assert "GET /v1/keys lists them" in answer.error["message"]
        assert len(answer.error["message"]) < 200
        assert await store.list() == [key]

    async def test_a_change_of_one_that_was_just_deleted_brings_nothing_back(self, store, ask):
        token, key = await new_key(store)
        await store.delete(key.hash)
        assert (await ask("PATCH", f"{KEYS}/{key.hash}", {"disabled": False})).status == 404
        assert await store.get(key_hash(token.encode())) is None


def from_key_without_conditions(key):
    return replace(key, limit_usd_nanos=None, expires=None, allowed_models=(), updated=int(NOW))


class TestList:
    async def names(self, ask, query=""):
        answer = await ask("GET", f"{KEYS}{query}")
        assert answer.status == 200
        return [key["name"] for key in answer.json["data"]]

    async def test_nothing(self, ask):
        assert (await ask("GET", KEYS)).json == {"data": []}

    async def test_newest_first_with_what_was_spent(self, store, ask):
        added = [(await new_key(store, created=n))[1] for n in (2, 3, 1)]
        answer = await ask("GET", KEYS)
        assert answer.json == {"data": [key_object(added[n], SPENT) for n in (1, 0, 2)]}

    async def test_pages(self, store, ask, monkeypatch):
        monkeypatch.setattr(admin_keys, "PAGE", 3)
        for n in range(7):
            await new_key(store, str(n), n)
        assert await self.names(ask) == ["6", "5", "4"]
        assert await self.names(ask, "?offset=3") == ["3", "2", "1"]
        assert await self.names(ask, "?offset=6") == ["0"]
        assert await self.names(ask, "?offset=7") == []

    async def test_a_page_has_a_hundred(self, store, ask):
        await asyncio.gather(*(new_key(store, str(n), n) for n in range(101)))
        assert await self.names(ask) == [str(n) for n in range(100, 0, -1)]
        assert await self.names(ask, "?offset=100") == ["0"]

    async def test_spending_is_read_for_the_page_alone_and_at_once(self, store, monkeypatch):
        monkeypatch.setattr(admin_keys, "PAGE", 2)
        asked = []

        async def watched(accounts):
            asked.append(len(accounts))
            return await spent(accounts)

        for n in range(5):
            await new_key(store, str(n), n)
        async with asking(routes(store, watched)) as ask:
            await ask("GET", KEYS, key=ADMIN_KEY)
        assert asked == [2]

    async def test_disabled_and_expired_ones_only_when_asked_for(self, store, ask):
        for name, more in {
            "on": {},
            "off": {"is_disabled": True},
            "over": {"expires": int(NOW)},
            "both": {"is_disabled": True, "expires": 1},
            "soon": {"expires": int(NOW) + 1},
        }.items():
            await new_key(store, name, **more)
        assert set(await self.names(ask)) == {"on", "soon"}
        assert set(await self.names(ask, "?include_disabled=true")) == {"on", "soon", "off"}
        assert set(await self.names(ask, "?include_expired=1")) == {"on", "soon", "over"}
        both = await self.names(ask, "?include_disabled=True&include_expired=true")
        assert set(both) == {"on", "soon", "off", "over", "both"}
        assert set(await self.names(ask, "?include_disabled=false&include_expired=0")) == {"on", "soon"}

    @pytest.mark.parametrize(
        ("query", "param"),
        [
            ("offset=-1", "offset"),
            ("offset=x", "offset"),
            ("offset=", "offset"),
            ("offset=1e3", "offset"),
            ("offset=9999999999", "offset"),
            ("offset=%D9%A3", "offset"),
            ("include_disabled=yes", "include_disabled"),
            ("include_expired=", "include_expired"),
        ],
    )
    async def test_a_wrong_query(self, ask, query, param):
        answer = await ask("GET", f"{KEYS}?{query}")
        assert (answer.status, answer.error["param"]) == (400, param)
        assert "it must be" in answer.error["message"]

    async def test_head(self, store, ask):
        answer = await ask("HEAD", KEYS)
        assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", KEYS, None),
        ("POST", KEYS, {"name": "x"}),
        ("GET", f"{KEYS}/{'0' * 64}", None),
        ("PATCH", f"{KEYS}/{'0' * 64}", {"name": "x"}),
        ("DELETE", f"{KEYS}/{'0' * 64}", None),
    ],
)
async def test_without_the_store(method, path, body):
    async with asking(routes(KeyStore(connect("unix:///nonexistent.sock")))) as ask:
        answer = await ask(method, path, body, key=ADMIN_KEY)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert "nonexistent" not in answer.error["message"]
