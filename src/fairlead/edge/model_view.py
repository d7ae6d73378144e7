"""A model as `/models` shows it: OpenAI's members (`object`, `owned_by`) beside OpenRouter's.

Specification: wire-api, section 8.1. Where it asks for what nobody here knows (voices, limits per request, the end of
training data, the model's page at Hugging Face) the answer is null. `canonical_slug` is the id: there are no dated ones
here. `providers` is ours: the slugs of those who serve it. `default_parameters` is null, since nothing is injected.
"""

import re
from collections.abc import Iterable, Mapping

from fairlead.catalog.model import Catalog, Endpoint, Model
from fairlead.edge.price_view import cheapest, price_view

AUTO_ID = "openrouter/auto"

_TOKENIZERS = tuple(
    (re.compile(pattern), tokenizer)
    for pattern, tokenizer in (
        (r"openrouter/", "Router"),
        (r"openai/", "GPT"),
        (r"anthropic/", "Claude"),
        (r"google/gemma", "Gemma"),
        (r"google/palm", "PaLM"),
        (r"google/", "Gemini"),
        (r"x-ai/", "Grok"),
        (r"cohere/", "Cohere"),
        (r"amazon/", "Nova"),
        (r"01-ai/", "Yi"),
        (r"qwen/qwen-?3", "Qwen3"),
        (r"qwen/", "Qwen"),
        (r"deepseek/", "DeepSeek"),
        (r"mistralai/", "Mistral"),
        (r".*/(meta-)?llama-?4", "Llama4"),
        (r".*/(meta-)?llama-?3|.*-llama-3", "Llama3"),
        (r".*/(meta-)?llama-?2", "Llama2"),
        (r".*/rwkv", "RWKV"),
    )
)
TOKENIZERS = (*dict.fromkeys(tokenizer for _, tokenizer in _TOKENIZERS), "Media", "Other")
"""OpenRouter's names of families; whose a model is goes by its id."""

_ALWAYS_THINKS = re.compile(
    r"-thinking\b|-reason|-deep-research|-r1\b|/o\d\b|/gpt-5(-|$)|/gpt-oss|/magistral|/qwq|/gemini-[\d.]+-pro|/grok-4$"
)
"""Of reasoning models those that cannot be told not to; a guess by the name, since no list says so."""
_THINKS_IN_TOKENS = re.compile(r"anthropic/|google/gemini|qwen/")
"""Those that take a number of tokens to think in, `reasoning.max_tokens`."""


def model_object(model: Model, endpoints: Iterable[Endpoint], base: str = "/api/v1") -> dict[str, object]:
    """Return the model as it is shown under `base`. Its price is that of the cheapest endpoint with a known one."""
    served = list(endpoints)
    shown: dict[str, object] = {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.id.partition("/")[0],
        "canonical_slug": model.id,
        "hugging_face_id": None,
        "name": model.name,
        "description": model.description,
        "context_length": model.context_length,
        "architecture": architecture(model),
        "pricing": price_view(cheapest(endpoint.price for endpoint in served)),
        "top_provider": {
            "context_length": model.context_length,
            "max_completion_tokens": model.max_completion_tokens,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": sorted(model.supported_parameters),
        "default_parameters": None,
        "supported_voices": None,
        "knowledge_cutoff": None,
        "expiration_date": None,
        "links": {"details": f"{base}/models/{model.id}/endpoints"},
        "providers": [endpoint.provider.slug for endpoint in served],
    }
    thinking = _reasoning(model)
    return shown if thinking is None else shown | {"reasoning": thinking}


def architecture(model: Model) -> dict[str, object]:
    inputs, outputs = model.input_modalities, model.output_modalities
    return {
        "modality": f"{'+'.join(inputs)}->{'+'.join(outputs)}",
        "input_modalities": inputs,
        "output_modalities": outputs,
        "tokenizer": tokenizer(model.id),
        "instruct_type": None,
    }


def tokenizer(model_id: str) -> str:
    """Return the family of models whose tokens it has."""
    return next((name for pattern, name in _TOKENIZERS if pattern.match(model_id)), "Other")


def _reasoning(model: Model) -> Mapping[str, object] | None:
    """Return how a model can be told to think; None for one that cannot, or of which that is not known."""
    if "reasoning" not in model.supported_parameters or model.id == AUTO_ID:
        return None
    found: dict[str, object] = {
        "mandatory": _ALWAYS_THINKS.search(model.id) is not None,
        "supported_efforts": None,  # no list of them: all are accepted
    }
    return found | {"supports_max_tokens": True} if _THINKS_IN_TOKENS.match(model.id) else found


def alias_object(alias: str, target: Mapping[str, object]) -> dict[str, object]:
    """Return the object of `~author/family-latest`, which stands for the model `target`."""
    return {**target, "id": alias, "alias_target": {"slug": target["id"], "name": target["name"]}}


def auto_model(catalog: Catalog) -> Model:
    """Return the model that stands for the choice of one: it can do what any of them can."""
    served = [catalog.models[model_id] for model_id in catalog.endpoints]
    return Model(
        AUTO_ID,
        "Auto Router",
        context_length=max((model.context_length or 0 for model in served), default=0) or None,
        input_modalities=tuple(dict.fromkeys(m for model in served for m in model.input_modalities)) or ("text",),
        supported_parameters=frozenset().union(*(model.supported_parameters for model in served)),
        description="Chooses a model for each request. The price is that of the model that answers.",
    )
