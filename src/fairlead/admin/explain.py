"""Why a request goes where it goes, for whoever has the admin key.

POST /admin/v1/explain        a chat body: the plan that it would get now; the shape is in `relay/explain.py`. Nothing
                              is sent, held or charged. `?key=<hash>`: as a request with that key would fare
GET  /admin/v1/explain/{id}   of a request that has been: whom the choice was made from, what was tried
"""

from collections.abc import Awaitable, Callable
from typing import cast

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairlead import clock
from fairlead.access.keys import ApiKey
from fairlead.admin.api import BASE
from fairlead.admin.door import Door
from fairlead.edge.body import read_body
from fairlead.edge.downstream import Receive
from fairlead.errors import ApiError
from fairlead.store.keys import answered
from fairlead.store.ledger import LedgerStore
from fairlead.telemetry.generation import Generation
from fairlead.wire.request import ChatRequest

Explain = Callable[[ChatRequest, ApiKey], dict[str, object]]
"""`relay.explain.explained` for this worker, now."""

ANYBODY = ApiKey("", "anybody", "")
"""A key without limits or preferences."""


def explain_routes(
    door: Door,
    explain: Explain,
    key_of: Callable[[str], Awaitable[ApiKey | None]],
    ledger: LedgerStore,
    max_body_bytes: int,
    *,
    parse: Callable[[bytes], ChatRequest] = ChatRequest.parse,
    now: Callable[[], float] = clock.wall,
) -> list[Route]:
    """Return the routes. `key_of` finds a key by its hash; `parse` reads a body; `now` tells Unix seconds."""

    async def explain_request(request: Request) -> Response:
        door.check(request.scope["headers"])
        fields = dict(reversed(request.scope["headers"]))
        receive = cast(Receive, request.receive)
        asked, key = parse(await read_body(receive, fields, max_body_bytes)), ANYBODY
        if key_hash := request.query_params.get("key"):
            with answered():
                found = await key_of(key_hash)
            if found is None:
                raise ApiError(404, f"There is no key {key_hash[:64]}", error_type="not_found", param="key")
            key = found
        return _json(explain(asked, key))

    async def explain_generation(request: Request) -> Response:
        door.check(request.scope["headers"])
        wanted = request.path_params["id"]
        with answered():
            found = await ledger.generation(wanted, now())
        if found is None:
            text = f"No generation {wanted[:100]} is known. One is there a moment after its reply has ended"
            raise ApiError(404, text, error_type="not_found")
        return _json(past(found))

    return [
        Route(f"{BASE}/explain", explain_request, methods=["POST"]),
        Route(f"{BASE}/explain/{{id}}", explain_generation, methods=["GET"]),
    ]


def past(generation: Generation) -> dict[str, object]:
    """Return why a request went where it went, as JSON has it. Of a model with one endpoint there was no choice."""
    considered = generation.considered
    candidates = [one for one in considered if not one.why]
    return {
        "id": generation.id,
        "requested": generation.asked or generation.model,
        "model": generation.model,
        "provider": generation.provider or None,
        "end": generation.end,
        "candidates": [
            {
                "place": place,
                "endpoint": one.endpoint,
                "score": one.score,
                "expected_s": one.expected_s,
                "comes_first_as": one.note or None,
            }
            for place, one in enumerate(candidates, 1)
        ],
        "skipped": [{"endpoint": one.endpoint, "reason": one.why} for one in considered if one.why],
        "attempts": [
            {"provider": one.provider, "status": one.status, "verdict": one.verdict, "duration_ms": one.duration_ms}
            for one in generation.attempts
        ],
    }


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), 200, {"cache-control": "no-store"}, "application/json")
