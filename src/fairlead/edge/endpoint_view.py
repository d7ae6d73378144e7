"""An endpoint as everybody may see it: OpenRouter's PublicEndpoint (wire-api, section 8.4).

`tag` is what `provider.order` and the like take. `latency_last_30m` (milliseconds to the first token) and
`throughput_last_30m` (tokens per second after it) are of streams, percentiles of the plain kind (a tenth is above p90),
with a half-life of five minutes rather than a window of thirty; null for callers without a key and for endpoints
without traffic. The uptimes are explained in `health/minutes.py`, `status` in `figures.py`.

Where nobody knows, the answer is the careful one: no tools of the provider's own, no voices, `unknown` for a
quantization, 0 for a context length (clients want a number). Each way to choose a tool is taken to work where the
parameter is supported. Caching counts as implicit where cached tokens have a price and writing them has none.
"""

from fairlead.catalog.model import Endpoint
from fairlead.edge.figures import Figures
from fairlead.edge.price_view import price_view
from fairlead.health.histogram import Histogram
from fairlead.plan.wish import tag

_QUANTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99}


def endpoint_object(endpoint: Endpoint, figures: Figures, *, is_anonymous: bool) -> dict[str, object]:
    """Return the endpoint with what is known of it at the moment."""
    provider, model, price = endpoint.provider, endpoint.model, endpoint.price
    parameters = sorted(model.supported_parameters - provider.speaks.refused)
    can_choose = "tool_choice" in parameters
    first_token, speed = (None, None) if is_anonymous else (figures.first_token, figures.speed)
    latency, throughput = _percentiles(first_token, 1e3), _percentiles(speed, 1.0)
    shown: dict[str, object] = {
        "name": f"{provider.name} | {model.id}",
        "tag": tag(endpoint),
        "provider_name": provider.name,
        "model_id": model.id,
        "model_name": model.name,
        "context_length": model.context_length or 0,
        "max_completion_tokens": model.max_completion_tokens,
        "max_prompt_tokens": None,
        "pricing": price_view(price),
        "quantization": provider.quantization or "unknown",
        "status": figures.status,
        "supported_parameters": parameters,
        "supports_tool_choice": dict.fromkeys(("auto", "none", "required", "function"), can_choose),
        "supports_implicit_caching": price is not None and price.cache_read is not None and price.cache_write is None,
        "native_tools": {},
        "service_tier": None,
        "latency_last_30m": latency,
        "throughput_last_30m": throughput,
        "uptime_last_5m": figures.uptime.last_5m,
        "uptime_last_30m": figures.uptime.last_30m,
        "uptime_last_1d": figures.uptime.last_1d,
        "supports_voice_cloning": False,
        "supports_image_reference": False,
        "supports_multiple_audio_references": False,
        "supports_diarization": False,
    }
    if latency or throughput:
        by_workload = {"text_generation": {"latency": latency, "throughput": throughput, "request_count": None}}
        shown["perf_last_30m_by_workload"] = by_workload
    return shown


def _percentiles(seen: Histogram | None, unit: float) -> dict[str, float] | None:
    found: dict[str, float] = {}
    for name, q in _QUANTILES.items():
        value = seen.quantile(q) if seen is not None else None
        if value is None:
            return None
        found[name] = round(value * unit, 1)
    return found
