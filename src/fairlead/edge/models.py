"""The model list, in a shape that OpenAI's and OpenRouter's clients both accept."""

from collections.abc import Callable, Iterable
from decimal import Decimal

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairlead.catalog.model import Catalog, Endpoint, Model, Price
from fairlead.errors import ApiError


def model_routes(base: str, catalog: Callable[[], Catalog]) -> list[Route]:
    """Return the routes of the list and of single models under `base`. Public, as at OpenRouter."""

    async def list_models(_: Request) -> Response:
        current = catalog()
        items = [model_object(current.models[model_id], found) for model_id, found in current.endpoints.items()]
        return _json({"object": "list", "data": items, "total_count": len(items)})

    async def show_model(request: Request) -> Response:
        current = catalog()
        model_id = current.resolve(request.path_params["model_id"])
        if model_id not in current.endpoints:
            raise ApiError(404, f"{model_id[:200]} is not served here: GET {base}/models", error_type="not_found")
        return _json(model_object(current.models[model_id], current.endpoints[model_id]))

    return [
        Route(f"{base}/models", list_models, methods=["GET"]),
        Route(f"{base}/models/{{model_id:path}}", show_model, methods=["GET"]),
    ]


def model_object(model: Model, endpoints: Iterable[Endpoint]) -> dict[str, object]:
    """Return a model as `/models` shows it: OpenAI's members beside OpenRouter's.

    The price is that of the cheapest endpoint with a known price; prices are strings in USD per token.
    """
    served = list(endpoints)
    inputs, outputs = model.input_modalities, model.output_modalities
    prices = [endpoint.price for endpoint in served if endpoint.price is not None]
    cheapest = min(prices, key=lambda price: price.prompt + price.completion, default=None)
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.id.partition("/")[0],
        "canonical_slug": model.id,
        "name": model.name,
        "description": model.description,
        "context_length": model.context_length,
        "architecture": {
            "modality": f"{'+'.join(inputs)}->{'+'.join(outputs)}",
            "input_modalities": inputs,
            "output_modalities": outputs,
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": _pricing(cheapest),
        "top_provider": {
            "context_length": model.context_length,
            "max_completion_tokens": model.max_completion_tokens,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": sorted(model.supported_parameters),
        "providers": [endpoint.provider.slug for endpoint in served],
    }


def _pricing(price: Price | None) -> dict[str, str]:
    if price is None:
        return {"prompt": "-1", "completion": "-1"}  # OpenRouter's sign for a price that is not fixed
    shown = {
        "prompt": _usd_per_token(price.prompt),
        "completion": _usd_per_token(price.completion),
        "request": _decimal(Decimal(price.request) / 10**6),
    }
    if price.cache_read is not None:
        shown["input_cache_read"] = _usd_per_token(price.cache_read)
    if price.cache_write is not None:
        shown["input_cache_write"] = _usd_per_token(price.cache_write)
    return shown


def _usd_per_token(micros_per_mtok: int) -> str:
    return _decimal(Decimal(micros_per_mtok) / 10**12)


def _decimal(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
