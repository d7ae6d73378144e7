import functools
import json
from dataclasses import replace

import pytest

from fairlead.access.keys import from_token, generate, key_hash
from fairlead.demo.script import Script
from fairlead.edge import presets as edge_presets
from fairlead.edge.presets import preset_routes
from fairlead.errors import ApiError
from fairlead.store import presets as store_presets
from fairlead.store.keys import KeyRing, KeyStore
from fairlead.store.preset_ring import PresetRing
from fairlead.store.presets import PresetStore
from fairlead.store.redis import connect
from fairlead.wire.cache_key import PresetCache
from fairlead.wire.preset_config import config_of
from harness import gateway as harness_gateway
from harness.asking import asking
from harness.gateway import MODEL, gateway
from harness.http import ask as post

pytestmark = pytest.mark.anyio

ADMIN, OWN, OTHER = "sk-admin", "sk-own", "sk-other"
NOW = 1_795_273_445.5
TIME = "2026-11-21T15:04:05Z"
BODY = {
    "model": "openai/gpt-5",
    "temperature": 0.5,
    "stream": True,
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
}


async def only_admin(headers):
    if (b"authorization", f"Bearer {ADMIN}".encode()) in headers:
        return "admin"
    raise ApiError(403, "not the admin key", error_type="permission_denied")


@pytest.fixture
async def ask(redis_url):
    client = connect(redis_url)
    await client.flushdb()
    keys, token = KeyStore(client), generate()
    await keys.add(replace(from_token(token, "boss"), is_management=True))
    ring = KeyRing(keys, [from_token(OWN, "own"), from_token(OTHER, "other")])
    routes = preset_routes("/v1", ring, PresetStore(client), only_admin, "house", lambda: NOW)
    async with asking(routes) as ask:
        ask.management_key = token
        yield ask
    await client.aclose()


async def make(ask, slug="p", *, key=OWN, kind="chat/completions", body=BODY):
    return await ask("POST", f"/v1/presets/{slug}/{kind}", body, key=key)


class TestMake:
    async def test_of_a_chat_request(self, ask):
        answer = await make(ask)
        assert answer.status == 200
        data = answer.json["data"]
        version = data["designated_version"]
        creator = f"key:{key_hash(OWN.encode())}"
        assert data == {
            "id": data["id"], "slug": "p", "name": "p", "description": None, "status": "active",
            "designated_version_id": version["id"], "workspace_id": None, "creator_user_id": creator,
            "created_at": TIME, "updated_at": TIME, "status_updated_at": None, "designated_version": version,
        }  # fmt: skip
        assert version == {
            "id": version["id"], "version": 1, "preset_id": data["id"], "system_prompt": "Be brief.",
            "config": {"model": "openai/gpt-5", "temperature": 0.5}, "creator_id": creator, "created_at": TIME,
            "updated_at": TIME,
        }  # fmt: skip
        assert (await ask("GET", "/v1/presets/p", key=OTHER)).json == answer.json

    async def test_again_it_is_a_new_version(self, ask):
        first = (await make(ask)).json["data"]
        second = (await make(ask, body={**BODY, "temperature": 1})).json["data"]
        assert (second["id"], second["designated_version"]["version"]) == (first["id"], 2)
        assert (await make(ask, body={**BODY, "temperature": 1})).json["data"] == second

    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            ("messages", {"model": "a/b", "max_tokens": 9, "system": "S", "messages": []}),
            ("responses", {"model": "a/b", "max_output_tokens": 9, "instructions": "S", "input": "x"}),
        ],
    )
    async def test_of_other_requests(self, ask, kind, body):
        version = (await make(ask, kind=kind, body=body)).json["data"]["designated_version"]
        assert (version["config"], version["system_prompt"]) == ({"model": "a/b", "max_tokens": 9}, "S")

    async def test_numbers_keep_their_digits(self, ask):
        answer = await make(ask, body=b'{"model":"m","seed":12345678901234567890123}')
        assert b'"seed":12345678901234567890123' in answer.body

    @pytest.mark.parametrize("slug", ["A", "-x", "a.b", "x" * 65, "%20"])
    async def test_slugs_that_cannot_be(self, ask, slug):
        answer = await make(ask, slug)
        assert (answer.status, answer.error["param"]) == (400, "slug")

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            (b"", None),
            (b"[]", None),
            ({"messages": []}, None),
            ({"model": 5}, "model"),
            ({"provider": {"sort": "best"}}, "provider"),
            ({"cache_ttl_seconds": 0}, "cache_ttl_seconds"),
        ],
    )
    async def test_bodies_that_cannot_be(self, ask, body, param):
        answer = await make(ask, body=body)
        assert (answer.status, answer.error["param"]) == (400, param)
        assert (await ask("GET", "/v1/presets", key=OWN)).json == {"data": [], "total_count": 0}

    async def test_preferences_are_those_of_a_request(self, ask):
        provider = {"order": ["groq"], "zdr": True, "unheard_of": 1}
        data = (await make(ask, body={"provider": provider})).json["data"]
        assert data["designated_version"]["config"] == {"provider": provider}

    async def test_a_body_that_is_too_large(self, ask, monkeypatch):
        monkeypatch.setattr(edge_presets, "MOST_BODY_BYTES", 10)
        assert (await make(ask)).status == 413

    async def test_there_can_be_too_many(self, ask, monkeypatch):
        monkeypatch.setattr(store_presets, "MOST_PRESETS", 1)
        await make(ask)
        answer = await make(ask, "q")
        assert answer.status == 409
        assert "delete one" in answer.error["message"]


class TestWho:
    @pytest.mark.parametrize("path", ["presets", "presets/p", "presets/p/versions", "presets/p/versions/1"])
    async def test_a_key_is_wanted(self, ask, path):
        assert (await ask("GET", f"/v1/{path}")).status == 401
        answer = await ask("GET", f"/v1/{path}", key="sk-unknown")
        assert (answer.status, answer.error["metadata"]["error_type"]) == (401, "authentication")

    async def test_without_a_key_nothing_is_made(self, ask):
        assert (await make(ask, key=None)).status == 401
        assert (await make(ask, key=generate())).status == 401

    async def test_what_a_key_has_made_another_does_not_change(self, ask):
        await make(ask, key=OTHER)
        answer = await make(ask, body={"model": "x"})
        assert answer.status == 403
        assert "Another key has made the preset 'p'" in answer.error["message"]
        assert (await make(ask, key=OTHER, body={"model": "x"})).json["data"]["designated_version"]["version"] == 2

    async def test_who_manages_changes_all(self, ask):
        await make(ask)
        for n, key in enumerate((ADMIN, ask.management_key)):
            answer = await make(ask, key=key, body={"model": f"m{n}"})
            assert answer.json["data"]["designated_version"]["version"] == n + 2
        assert answer.json["data"]["designated_version"]["creator_id"] == f"key:{key_hash(key.encode())}"
        assert (await make(ask, "q", key=ADMIN)).json["data"]["creator_user_id"] == "admin"
        assert (await make(ask, "q")).status == 403

    async def test_the_default_is_not_for_inference_keys(self, ask):
        """Everybody's requests follow it."""
        answer = await make(ask, "house")
        assert answer.status == 403
        assert "applies to everybody" in answer.error["message"]
        assert (await make(ask, "house", key=ADMIN)).status == 200


class TestRead:
    async def test_the_list(self, ask):
        for slug in ("b", "a", "c"):
            await make(ask, slug)
        answer = (await ask("GET", "/v1/presets", key=OTHER)).json
        assert ([one["slug"] for one in answer["data"]], answer["total_count"]) == (["a", "b", "c"], 3)
        assert "designated_version" not in answer["data"][0]
        part = (await ask("GET", "/v1/presets?offset=1&limit=1", key=OWN)).json
        assert ([one["slug"] for one in part["data"]], part["total_count"]) == (["b"], 3)
        assert (await ask("GET", "/v1/presets?limit=x", key=OWN)).error["param"] == "limit"

    async def test_versions(self, ask):
        made = [(await make(ask, body={"model": f"m{n}"})).json["data"]["designated_version"] for n in range(3)]
        answer = (await ask("GET", "/v1/presets/p/versions", key=OWN)).json
        assert answer == {"data": made[::-1], "total_count": 3}
        assert (await ask("GET", "/v1/presets/p/versions?offset=1&limit=1", key=OWN)).json["data"] == [made[1]]
        assert (await ask("GET", "/v1/presets/p/versions/2", key=OWN)).json == {"data": made[1]}
        assert (await ask("GET", "/v1/presets/p/versions/latest", key=OWN)).json == {"data": made[2]}

    @pytest.mark.parametrize(
        "path", ["q", "q/versions", "q/versions/1", "p/versions/0", "p/versions/9", "p/versions/x", "P"]
    )
    async def test_what_is_not_there(self, ask, path):
        await make(ask)
        answer = await ask("GET", f"/v1/presets/{path}", key=OWN)
        assert (answer.status, answer.error["metadata"]["error_type"]) == (404, "not_found")


class TestManage:
    async def test_only_who_manages(self, ask):
        await make(ask)
        for method in ("PATCH", "DELETE"):
            assert (await ask(method, "/v1/presets/p", {}, key=OWN)).status == 403
        assert (await ask("GET", "/v1/presets/p", key=OWN)).json["data"]["status"] == "active"

    async def test_off_and_on_again(self, ask):
        await make(ask)
        data = (await ask("PATCH", "/v1/presets/p", {"status": "disabled"}, key=ADMIN)).json["data"]
        assert (data["status"], data["status_updated_at"]) == ("disabled", TIME)
        answer = await make(ask, body={"model": "x"})
        assert answer.status == 409
        await ask("PATCH", "/v1/presets/p", {"status": "active"}, key=ADMIN)
        assert (await make(ask, body={"model": "x"})).status == 200

    async def test_back_to_an_older_version(self, ask):
        first = (await make(ask)).json["data"]["designated_version"]
        await make(ask, body={"model": "worse"})
        changes = {"designated_version": 1, "name": "House rules", "description": "For all"}
        data = (await ask("PATCH", "/v1/presets/p", changes, key=ADMIN)).json["data"]
        assert data["designated_version"] == first
        assert (data["name"], data["description"]) == ("House rules", "For all")
        assert (await ask("GET", "/v1/presets/p/versions/latest", key=OWN)).json["data"]["version"] == 2
        cleared = await ask("PATCH", "/v1/presets/p", {"description": None}, key=ADMIN)
        assert cleared.json["data"]["description"] is None

    @pytest.mark.parametrize(
        ("changes", "param"),
        [
            ({}, None),
            ({"slug": "x"}, "slug"),
            ({"status": "gone"}, "status"),
            ({"status": None}, "status"),
            ({"name": ""}, "name"),
            ({"name": None}, "name"),
            ({"description": "x" * 501}, "description"),
            ({"designated_version": True}, "designated_version"),
            ({"designated_version": 0}, "designated_version"),
            ({"designated_version": None}, "designated_version"),
        ],
    )
    async def test_what_cannot_be_changed_so(self, ask, changes, param):
        await make(ask)
        answer = await ask("PATCH", "/v1/presets/p", changes, key=ADMIN)
        assert (answer.status, answer.error["param"]) == (400, param)

    async def test_a_version_that_is_not_there(self, ask):
        await make(ask)
        answer = await ask("PATCH", "/v1/presets/p", {"designated_version": 2}, key=ADMIN)
        assert (answer.status, answer.error["param"]) == (404, "designated_version")

    async def test_deleting(self, ask):
        await make(ask)
        assert (await ask("DELETE", "/v1/presets/p", key=ADMIN)).json == {"deleted": True}
        for method in ("GET", "PATCH", "DELETE"):
            body = {"name": "x"} if method == "PATCH" else None
            assert (await ask(method, "/v1/presets/p", body, key=ADMIN)).status == 404


async def test_the_store_is_away():
    keys = KeyRing(KeyStore(connect("unix:///nowhere.sock")), [from_token(OWN, "own")])
    store = PresetStore(connect("unix:///nowhere.sock"))
    async with asking(preset_routes("/v1", keys, store, only_admin)) as ask:
        for answer in (await ask("GET", "/v1/presets", key=OWN), await make(ask)):
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert (await ask("GET", "/v1/presets", key=ADMIN)).status == 503


class TestRequests:
    """What becomes of a chat request that names a preset."""

    @pytest.fixture
    async def ring(self, redis_url):
        client = connect(redis_url)
        await client.flushdb()
        store = PresetStore(client)
        text = {"model": MODEL, "temperature": 0.3, "tools": [{"type": "function", "function": {"name": "f"}}]}
        body = {**text, "messages": [{"role": "system", "content": "Be brief."}]}
        config = config_of(json.dumps(body).encode(), "chat/completions")
        await store.put("p", config, creator="admin", now=1)
        ring = PresetRing(store)
        await ring.read_all()
        yield ring
        await client.aclose()

    @pytest.fixture
    def with_presets(self, ring, monkeypatch):
        made = functools.partial(harness_gateway.Inference, presets=ring)
        monkeypatch.setattr(harness_gateway, "Inference", made)

    @pytest.mark.usefixtures("with_presets")
    @pytest.mark.parametrize(
        "named",
        [{"model": "@preset/p"}, {"model": f"{MODEL}@preset/p"}, {"preset": "p"}, {"model": MODEL, "preset": "p"}],
    )
    async def test_the_provider_gets_what_it_configures(self, named):
        async with gateway(Script()) as served:
            sent = {**named, "messages": [{"role": "user", "content": "hi"}], "top_p": 0.9}
            answer = await post(served, json.dumps(sent).encode())
            assert answer.status == 200, answer.body
            [asked] = served.simulators[0].requests
            body = json.loads(asked.body)
            assert body["messages"] == [{"role": "system", "content": "Be brief."}, *sent["messages"]]
            assert (body["model"], body["temperature"], body["top_p"]) == ("large-v1", 0.3, 0.9)
            assert "preset" not in body
            assert served.records[0].asked == MODEL

    @pytest.mark.usefixtures("with_presets")
    async def test_one_that_nobody_knows(self):
        async with gateway(Script()) as served:
            answer = await post(served, json.dumps({"model": "@preset/q", "messages": []}).encode())
            assert answer.status == 404
            assert "no preset 'q'" in answer.json["error"]["message"]
            assert not served.simulators[0].requests

    async def test_what_it_says_of_the_cache_reaches_the_cache(self, ring, monkeypatch):
        told = []

        class Cache:
            async def answer(self, path, fields, request, caller, downstream, record, run, preset):
                told.append(preset)
                await run(downstream, record)

        config = config_of(b'{"cache_enabled":true,"cache_ttl_seconds":60}', "chat/completions")
        await ring._store.put("cached", config, creator="admin", now=1)
        await ring.read_all()
        made = functools.partial(harness_gateway.Inference, presets=ring, cache=Cache())
        monkeypatch.setattr(harness_gateway, "Inference", made)
        async with gateway(Script()) as served:
            for members in ({"preset": "cached"}, {"preset": "p"}, {}):
                sent = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], **members}
                assert (await post(served, json.dumps(sent).encode())).status == 200
        assert told == [PresetCache(is_enabled=True, ttl_s=60)]

    async def test_where_there_are_none(self):
        async with gateway(Script()) as served:
            assert (await post(served, json.dumps({"preset": "p", "messages": []}).encode())).status == 404
