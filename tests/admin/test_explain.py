import contextlib
import json

import pytest

from fairlead.access.keys import ApiKey
from fairlead.admin.door import Door
from fairlead.admin.explain import explain_routes, past
from fairlead.edge.asgi import App
from fairlead.store.ledger import LedgerStore
from fairlead.store.redis import connect
from fairlead.telemetry.generation import Generation, GenerationAttempt
from fairlead.telemetry.record import Considered
from harness.listener import get, listening

pytestmark = pytest.mark.anyio

ADMIN_KEY = "sk-fl-admin-v1-" + "0f" * 32
AUTH = f"authorization: Bearer {ADMIN_KEY}"
OURS = ApiKey("hash1", "mine", "")
GENERATION = Generation(
    "gen-1800000000-aa",
    1_800_000_000.0,
    model="acme/large",
    provider="two",
    end="ok",
    attempts=(GenerationAttempt("one", 500, "transient", 12), GenerationAttempt("two", 200, "ok", 300)),
    considered=(
        Considered("one:acme/large", 0.1, 0.5, "probe"),
        Considered("two:acme/large", 0.2, 0.6),
        Considered("three:acme/large", why="cooling down for 5.0 s more (limit)"),
    ),
)


@pytest.fixture
async def served(redis_url):
    async def key_of(digest):
        return OURS if digest == "hash1" else None

    def explain(request, key):
        return {"model": request.model, "key": key.name}

    async with contextlib.aclosing(connect(redis_url)) as client, listening() as listener:
        routes = explain_routes(Door(ADMIN_KEY, lambda _: False), explain, key_of, LedgerStore(client), 1000)
        listener.app.admin = App({}, routes, None)
        yield listener


async def ask(served, path, *fields, body=None):
    if body is None:
        (answer,) = await served.exchange(get(path, *fields, "connection: close"))
    else:
        head = get(path, *fields, f"content-length: {len(body)}", "connection: close").replace(b"GET", b"POST", 1)
        (answer,) = await served.exchange(head + body)
    return answer.status, json.loads(answer.body)


BODY = b'{"model":"acme/large","messages":[]}'


async def test_a_request(served):
    assert await ask(served, "/admin/v1/explain", AUTH, body=BODY) == (200, {"model": "acme/large", "key": "anybody"})
    assert await ask(served, "/admin/v1/explain?key=hash1", AUTH, body=BODY) == (
        200,
        {"model": "acme/large", "key": "mine"},
    )


@pytest.mark.parametrize(
    ("path", "fields", "body", "status", "text"),
    [
        ("/admin/v1/explain", (), BODY, 401, "admin key"),
        ("/admin/v1/explain/gen-1", (), None, 401, "admin key"),
        ("/admin/v1/explain", (AUTH,), b"{", 400, "not valid JSON"),
        ("/admin/v1/explain", (AUTH,), b" " * 2000, 413, "larger than 1000 bytes"),
        ("/admin/v1/explain?key=other", (AUTH,), BODY, 404, "no key other"),
        ("/admin/v1/explain/gen-1800000000-zz", (AUTH,), None, 404, "No generation gen-1800000000-zz is known"),
    ],
    ids=["no key", "no key, past", "no json", "large", "unknown key", "unknown id"],
)
async def test_refusals(served, path, fields, body, status, text):
    found = await ask(served, path, *fields, body=body)
    assert found[0] == status
    assert text in found[1]["error"]["message"]


def test_a_request_that_has_been():
    told = past(GENERATION)
    assert [(one["place"], one["endpoint"], one["comes_first_as"]) for one in told["candidates"]] == [
        (1, "one:acme/large", "probe"),
        (2, "two:acme/large", None),
    ]
    assert told["skipped"] == [{"endpoint": "three:acme/large", "reason": "cooling down for 5.0 s more (limit)"}]
    assert [(one["provider"], one["status"]) for one in told["attempts"]] == [("one", 500), ("two", 200)]
    assert (told["provider"], told["requested"]) == ("two", "acme/large")
