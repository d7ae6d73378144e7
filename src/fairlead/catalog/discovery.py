"""What a provider says it serves: the reply to `GET {base}/models`, in the shapes that are about.

All are lists of objects with an `id`, under `data` (OpenAI, OpenRouter, Mistral, vLLM), under `models` (Ollama) or bare
(Together). What else they tell goes by many names, and is taken where it is understood.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, get_args

import msgspec

from fairlead.catalog.model import FREE, Modality, Price, Provider, Tier
from fairlead.catalog.pricing import price_from_usd_per_mtok, price_from_usd_per_token

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DiscoveredModel:
    """One line of a provider's list; None and empty where the list does not say."""

    upstream_id: str
    context_length: int | None = None
    price: Price | None = None
    name: str | None = None
    max_completion_tokens: int | None = None
    input_modalities: tuple[Modality, ...] = ()
    output_modalities: tuple[Modality, ...] = ()
    supported_parameters: frozenset[str] = frozenset()


def parse_discovery(body: bytes, provider: Provider) -> tuple[DiscoveredModel, ...]:
    """Read the list of `provider`, leaving out what is no chat model by its own words or by its name.

    Lines that make no sense are skipped. Raises ValueError when the whole makes none.
    """
    try:
        listing = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the model list of {provider.slug} is not JSON: {error}") from None
    rows = listing
    if isinstance(listing, dict):
        rows = listing["data"] if "data" in listing else listing.get("models")
    if not isinstance(rows, list):
        raise ValueError(f"the model list of {provider.slug} has no list under `data` or `models`{_reason(listing)}")
    found = (_model(row) for row in rows if isinstance(row, dict) and _is_chat(row, provider.slug))
    # A provider that lists an id twice means the same by it.
    return tuple({model.upstream_id: model for model in found if model is not None}.values())


def _reason(listing: object) -> str:
    error = listing.get("error") if isinstance(listing, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return f": {message[:200]}" if isinstance(message, str) else ""


def _model(row: Row) -> DiscoveredModel | None:
    upstream_id = _id(row)
    if upstream_id is None:
        return None
    architecture = _part(row, "architecture")
    parameters = row.get("supported_parameters")
    return DiscoveredModel(
        upstream_id=upstream_id,
        context_length=_first_tokens(row, _CONTEXT_LENGTHS),
        price=_price(row, upstream_id),
        name=next((row[key] for key in ("display_name", "name") if isinstance(row.get(key), str)), None),
        max_completion_tokens=_first_tokens(row, _MAX_COMPLETIONS),
        input_modalities=_modalities(architecture.get("input_modalities")),
        output_modalities=_modalities(architecture.get("output_modalities")),
        supported_parameters=frozenset(p for p in parameters if isinstance(p, str))
        if isinstance(parameters, list)
        else frozenset(),
    )


def _id(row: Row) -> str | None:
    for key in ("id", "model", "name"):
        value = row.get(key)
        if isinstance(value, str) and 0 < len(value) <= 256 and value.isprintable() and value == value.strip():
            return value
    return None


_CONTEXT_LENGTHS: Final = (
    "context_length", "max_context_length", "context_window", "max_model_len", "context_size", "max_input_tokens",
    "metadata.context_length", "meta.n_ctx", "meta.n_ctx_train",
)  # fmt: skip
_MAX_COMPLETIONS: Final = (
    "top_provider.max_completion_tokens", "max_completion_tokens", "max_output_tokens", "metadata.max_tokens",
)  # fmt: skip


def _first_tokens(row: Row, paths: tuple[str, ...]) -> int | None:
    for path in paths:
        parent, _, key = path.rpartition(".")
        value = (_part(row, parent) if parent else row).get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _part(row: Row, key: str) -> Row:
    value = row.get(key)
    return value if isinstance(value, dict) else {}


def _modalities(words: object) -> tuple[Modality, ...]:
    return tuple(modality for modality in get_args(Modality) if isinstance(words, list) and modality in words)


_PRICE_NAMES: Final = {
    "prompt": ("prompt", "input", "input_tokens"),
    "completion": ("completion", "output", "output_tokens"),
    "cache_read": ("input_cache_read", "cached_input", "cache_read_tokens"),
    "cache_write": ("input_cache_write",),
}


def _price(row: Row, upstream_id: str) -> Price | None:
    pricing = _part(row, "pricing") or _part(_part(row, "metadata"), "pricing")
    try:
        price = _price_of(_micros(pricing))
        if price is None or (price == FREE and not upstream_id.lower().endswith("free")):
            return None  # Together says 0 of models that are rented by the hour
        # USD per request to micro-USD is the same step as USD per million tokens to micro-USD per million tokens.
        request = price_from_usd_per_mtok(pricing.get("request") or 0)
        return replace(price, request=request, tiers=tuple(_tiers(pricing)))
    except ValueError:
        return None  # also OpenRouter's "-1": it depends


def _tiers(pricing: Row) -> Iterator[Tier]:
    """OpenRouter's `overrides` that depend on the length of the prompt alone; what they leave out stays as it was."""
    overrides = pricing.get("overrides")
    for override in overrides if isinstance(overrides, list) else ():
        above = override.get("min_prompt_tokens") if isinstance(override, dict) else None
        if isinstance(above, int) and not any(key.startswith("utc_") for key in override):
            price = _price_of({**_micros(pricing), **_micros(override)})
            if price is not None:
                yield Tier(above, price)


def _price_of(micros: Mapping[str, int]) -> Price | None:
    if "prompt" not in micros or "completion" not in micros:
        return None
    return Price(micros["prompt"], micros["completion"], micros.get("cache_read"), micros.get("cache_write"))


def _micros(pricing: Row) -> dict[str, int]:
    found: dict[str, int] = {}
    for key, names in _PRICE_NAMES.items():
        value = next((pricing[name] for name in names if isinstance(pricing.get(name), int | float | str)), None)
        if value is not None:
            found[key] = _micros_of(value)
    return found


def _micros_of(value: float | str) -> int:
    """A price whose unit is not said: below 0.001 it is USD per token, else USD per million tokens.

    The dearest model ever sold cost 0.0006 USD per token and the cheapest 0.01 USD per million, so the two cannot meet.
    """
    micros = price_from_usd_per_mtok(value)
    return micros if micros >= 1_000 else price_from_usd_per_token(value)


_NOT_CHAT_TYPES: Final = frozenset(
    {
        "audio", "embedding", "embeddings", "image", "moderation", "rerank", "reranker", "speech", "transcribe",
        "transcription", "tts", "video",
    }
)  # fmt: skip
_NOT_CHAT_NAME: Final = re.compile(
    r"(^|[-_/.:])(embed|embedding|embeddings|whisper|tts|asr|dall-e|moderation|transcribe|rerank|reranker|realtime|live"
    r"|native-audio|imagen|imagine|veo|sora|flux|sdxl|stable-diffusion|lyria|gpt-image|orpheus|kokoro|bge|gte|aqa"
    r"|babbage|davinci|all-minilm|gpt-3\.5-turbo-instruct)($|[-_/.:\d])",
    re.IGNORECASE,
)
_ROUTER: Final = re.compile(r"auto|(openrouter|gaterouter|megarouter|fairlead)/.+|.+:batch")
"""Other gateways' own choosing of models, and their overnight service: neither is a model."""
_OTHER_API: Final = {
    "openai": re.compile(r"(o\d-pro|gpt-.*-pro|.*codex.*|.*deep-research.*|computer-use.*)(-20\d\d.*)?")
}
"""Text models that a provider serves, but not at `/chat/completions`."""


def _is_chat(row: Row, slug: str) -> bool:
    name = _id(row) or ""
    other_api = _OTHER_API.get(slug)
    if _NOT_CHAT_NAME.search(name) or _ROUTER.fullmatch(name) or (other_api and other_api.fullmatch(name)):
        return False
    if any(row.get(key) in _NOT_CHAT_TYPES for key in ("type", "task") if isinstance(row.get(key), str)):
        return False
    capabilities = _part(row, "capabilities")
    # Groq, Fireworks; Mistral, Azure
    verdicts = [row.get("active"), row.get("supports_chat")]
    verdicts += [capabilities.get("completion_chat"), capabilities.get("chat_completion")]
    if False in verdicts:
        return False
    outputs = _part(row, "architecture").get("output_modalities")
    return not isinstance(outputs, list) or not outputs or "text" in outputs
