from dataclasses import replace
from types import MappingProxyType

import msgspec
import pytest

from fairlead.access.keys import from_token, generate
from fairlead.catalog.model import Catalog, Endpoint, Model, Provider
from fairlead.edge.generations import generation_object, generation_routes
from fairlead.store.keys import KeyRing, KeyStore
from fairlead.store.ledger import LedgerStore
from fairlead.store.money import Call, MoneyStore, charge_of
from fairlead.store.redis import connect
from fairlead.telemetry.generation import Generation, GenerationAttempt
from harness.asking import asking

pytestmark = pytest.mark.anyio

OWN, OTHER = "sk-own", "sk-other"
NOW = 1_795_273_445.5
ID = "gen-1795273440-ab"
CATALOG = Catalog(
    MappingProxyType({}),
    MappingProxyType(
        {"acme/m": (Endpoint(Provider("acme", "Acme Inc", "http://x"), Model("acme/m", "M"), "m", None),)}
    ),
    MappingProxyType({}),
)
TOLD = Generation(
    id=ID, started=1_795_273_440.25, key=from_token(OWN, "").hash, ended=1_795_273_442.25, asked="m", model="acme/m",
    provider="acme", is_stream=True, status=200, end="ok", finish_reason="stop", upstream_id="chatcmpl-7",
    first_content_ms=500, duration_ms=2_000, prompt_tokens=7, completion_tokens=3, reasoning_tokens=1, cached_tokens=2,
    cost_usd_nanos=13_000, referer="https://app.example", title="App", session="s", user="u", preset="house",
    router="openrouter/auto",
    attempts=(GenerationAttempt("gone-by-now", 500, "transient", 90), GenerationAttempt("acme", 200, "ok", 1_900)),
)  # fmt: skip


@pytest.fixture
async def ask(redis_url):
    client = connect(redis_url)
    await client.flushdb()
    store = KeyStore(client)
    token = generate()
    await store.add(replace(from_token(token, "boss"), is_management=True))
    await MoneyStore(client).call(Call("w", 1, [charge_of(TOLD)]))
    ring = KeyRing(store, [from_token(OWN, "own"), from_token(OTHER, "other")])
    async with asking(generation_routes("/v1", ring, LedgerStore(client), lambda: CATALOG, lambda: NOW)) as ask:
        ask.management_key = token
        yield ask
    await client.aclose()


async def test_all_of_it(ask):
    data = (await ask("GET", f"/v1/generation?id={ID}", key=OWN)).json["data"]
    assert {name: data[name] for name in ("id", "request_id", "upstream_id", "model", "requested_model")} == {
        "id": ID, "request_id": ID, "upstream_id": "chatcmpl-7", "model": "acme/m", "requested_model": "m",
    }  # fmt: skip
    assert data["created_at"] == "2026-11-21T15:04:00Z"
    assert (data["provider_name"], data["streamed"], data["cancelled"]) == ("Acme Inc", True, False)
    assert (data["total_cost"], data["usage"], data["is_estimated"]) == (0.000013, 0.000013, False)
    assert (data["preset_id"], data["router"]) == ("house", "openrouter/auto")
    assert (data["latency"], data["generation_time"]) == (500, 1500)
    assert (data["native_tokens_prompt"], data["native_tokens_completion"], data["native_tokens_cached"]) == (7, 3, 2)
    assert (data["http_referer"], data["app_title"], data["session_id"], data["external_user"]) == (
        "https://app.example", "App", "s", "u",
    )  # fmt: skip
    assert [(one["provider_name"], one["status"]) for one in data["provider_responses"]] == [
        ("gone-by-now", 500), ("Acme Inc", 200),
    ]  # fmt: skip


async def test_it_is_found_by_what_the_provider_calls_it(ask):
    assert (await ask("GET", "/v1/generation?id=chatcmpl-7", key=OWN)).json["data"]["id"] == ID


async def test_of_others_it_is_as_if_there_were_none(ask):
    other = await ask("GET", f"/v1/generation?id={ID}", key=OTHER)
    none = await ask("GET", "/v1/generation?id=gen-1795273440-ac", key=OTHER)
    assert other.status == none.status == 404
    assert other.body.replace(ID.encode(), b"") == none.body.replace(b"gen-1795273440-ac", b"")


async def test_who_manages_sees_all(ask):
    assert (await ask("GET", f"/v1/generation?id={ID}", key=ask.management_key)).status == 200


@pytest.mark.parametrize(("path", "key", "status"), [
    ("/v1/generation", OWN, 400), ("/v1/generation?id=", OWN, 400), (f"/v1/generation?id={ID}", None, 401),
    (f"/v1/generation?id={ID}", "sk-nobody", 401), ("/v1/generation?id=" + "x" * 5000, OWN, 404),
])  # fmt: skip
async def test_refusals(ask, path, key, status):
    assert (await ask("GET", path, key=key)).status == status


def test_one_whose_caller_left_was_cancelled():
    assert generation_object(msgspec.structs.replace(TOLD, end="gone"), {})["cancelled"] is True
