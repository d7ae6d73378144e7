"""What became of one request: GET {base}/generation?id=…, for the key that it was made with.

The id is ours (`x-generation-id`) or the provider's (the `id` in the body). A management key sees all, any other key
its own; what it may not see does not exist for it, so that ids tell nothing. OpenRouter's shape: what fairlead does not
know is null.
"""

from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairlead import clock
from fairlead.access.admit import check_alive, token_of
from fairlead.access.iso import iso_utc
from fairlead.access.usd import usd_of
from fairlead.catalog.model import Catalog
from fairlead.edge.json_body import json_response
from fairlead.errors import ApiError
from fairlead.store.keys import KeyRing, answered
from fairlead.store.ledger import LedgerStore
from fairlead.telemetry.generation import Generation


def generation_routes(
    base: str,
    keys: KeyRing,
    ledger: LedgerStore,
    catalog: Callable[[], Catalog],
    now: Callable[[], float] = clock.wall,
) -> list[Route]:
    """Return the route under `base`; `now` tells Unix seconds."""

    async def show(request: Request) -> Response:
        token = token_of(dict(reversed(request.scope["headers"])))
        key = keys.find(token) or await keys.look_up(token)
        check_alive(key, now())
        wanted = request.query_params.get("id", "")
        if not wanted:
            text = f"'id' is required: GET {base}/generation?id=…, with the x-generation-id of a reply"
            raise ApiError(400, text, param="id")
        with answered():
            found = await ledger.generation(wanted, now())
        if found is None or (found.key != key.hash and not key.is_management):
            text = f"No generation {wanted[:100]} is known. One is there a moment after its reply has ended"
            raise ApiError(404, text, error_type="not_found")
        return json_response({"data": generation_object(found, provider_names(catalog()))})

    return [Route(f"{base}/generation", show, methods=["GET"])]


def provider_names(catalog: Catalog) -> Mapping[str, str]:
    """Names of providers for people, by slug."""
    return {one.provider.slug: one.provider.name for found in catalog.endpoints.values() for one in found}


def generation_object(found: Generation, names: Mapping[str, str]) -> dict[str, object]:
    """Return a generation as OpenRouter shows it; `names` are those of providers, by slug."""
    cost = usd_of(found.cost_usd_nanos)
    return {
        "id": found.id,
        "request_id": found.request_id or found.id,
        "upstream_id": found.upstream_id or None,
        "session_id": found.session or None,
        "external_user": found.user or None,
        "workspace_id": None,
        "preset_id": found.preset or None,
        "app_id": None,
        "origin": found.referer,
        "http_referer": found.referer or None,
        "app_title": found.title or None,
        "app_categories": list(found.categories),
        "user_agent": found.user_agent or None,
        "created_at": iso_utc(int(found.started)),
        "api_type": "completions",
        "data_region": "global",
        "model": found.model,
        "requested_model": found.asked or found.model,
        "provider_name": _name(found.provider, names),
        "router": found.router or None,
        "service_tier": None,
        "is_byok": False,
        "provider_responses": [
            {
                "status": attempt.status or None,
                "provider_name": _name(attempt.provider, names),
                "model_permaslug": found.model,
                "endpoint_id": f"{attempt.provider}:{found.model}",
                "latency": attempt.duration_ms,
                "is_byok": False,
                "verdict": attempt.verdict,
            }
            for attempt in found.attempts
        ],
        "tokens_prompt": found.prompt_tokens,
        "tokens_completion": found.completion_tokens,
        "native_tokens_prompt": found.prompt_tokens,
        "native_tokens_completion": found.completion_tokens,
        "native_tokens_reasoning": found.reasoning_tokens,
        "native_tokens_cached": found.cached_tokens,
        "native_tokens_completion_images": None,
        "num_media_prompt": None,
        "num_input_audio_prompt": None,
        "num_media_completion": None,
        "num_search_results": None,
        "num_fetches": None,
        "web_search_engine": None,
        "usage": cost,
        "total_cost": cost,
        "is_estimated": found.is_estimated,
        "cache_discount": None,
        "upstream_inference_cost": None,
        "latency": found.first_content_ms or None,
        "generation_time": max(found.duration_ms - found.first_content_ms, 0) if found.first_content_ms else None,
        "moderation_latency": None,
        "streamed": found.is_stream,
        "cancelled": found.end == "gone",
        "finish_reason": found.finish_reason or None,
        "native_finish_reason": found.finish_reason or None,
        "status": found.status,
        "end": found.end,
        "response_cache_source_id": found.response_cache_source_id or None,
    }


def _name(slug: str, names: Mapping[str, str]) -> str | None:
    return names.get(slug, slug) or None
