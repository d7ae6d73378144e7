import json

import pytest
from openai.types import Model as OpenAIModel

from fairlead.catalog.load import builtin
from fairlead.catalog.model import Endpoint, Model
from fairlead.edge.model_view import TOKENIZERS, alias_object, auto_model, model_object, tokenizer
from fairlead.edge.price_view import price_view

from .catalogues import CATALOG, CHEAP, DEAR, LARGE, LOCAL, OTHER, SMALL

SERVED = CATALOG.endpoints[LARGE.id]


def thinker(model_id, *parameters):
    model = Model(model_id, model_id, supported_parameters=frozenset({"reasoning", *parameters}))
    return model_object(model, ())["reasoning"]


def test_a_model():
    assert json.loads(json.dumps(model_object(LARGE, SERVED))) == {
        "id": "acme/large",
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "acme",
        "canonical_slug": "acme/large",
        "hugging_face_id": None,
        "name": "Acme: Large",
        "description": "Large.",
        "context_length": 8192,
        "architecture": {
            "modality": "text+image->text",
            "input_modalities": ["text", "image"],
            "output_modalities": ["text"],
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": {"prompt": "0.0000000125", "completion": "0.000000000001", "request": "0"},
        "top_provider": {"context_length": 8192, "max_completion_tokens": 1024, "is_moderated": False},
        "per_request_limits": None,
        "supported_parameters": ["include_reasoning", "reasoning", "seed", "tool_choice", "tools"],
        "default_parameters": None,
        "supported_voices": None,
        "knowledge_cutoff": None,
        "expiration_date": None,
        "links": {"details": "/api/v1/models/acme/large/endpoints"},
        "providers": ["acme", "other"],
        "reasoning": {"mandatory": False, "supported_efforts": None},
    }


def test_one_of_which_nothing_is_known():
    shown = model_object(SMALL, CATALOG.endpoints[SMALL.id])
    assert shown["context_length"] is None
    assert shown["pricing"] == {"prompt": "-1", "completion": "-1"}
    assert shown["supported_parameters"] == []
    assert "reasoning" not in shown


def test_the_client_of_openai_reads_it():
    model = OpenAIModel.model_validate(model_object(LARGE, SERVED), strict=True)
    assert (model.id, model.created, model.object, model.owned_by) == ("acme/large", 1_700_000_000, "model", "acme")


def test_its_details_are_under_the_base_that_was_asked():
    assert model_object(LARGE, (), "/openai/v1")["links"] == {"details": "/openai/v1/models/acme/large/endpoints"}


def test_its_price_is_that_of_the_cheapest():
    served = [Endpoint(LOCAL, LARGE, "m", None), Endpoint(OTHER, LARGE, "m", DEAR), Endpoint(LOCAL, LARGE, "m", CHEAP)]
    assert model_object(LARGE, served)["pricing"] == price_view(CHEAP)


@pytest.mark.parametrize(
    ("model_id", "family"),
    [
        ("openai/gpt-9", "GPT"),
        ("anthropic/claude-9", "Claude"),
        ("google/gemini-9", "Gemini"),
        ("google/gemma-9-it", "Gemma"),
        ("x-ai/grok-9", "Grok"),
        ("cohere/command-x", "Cohere"),
        ("amazon/nova-x", "Nova"),
        ("qwen/qwen3-max", "Qwen3"),
        ("qwen/qwen-2.5-72b-instruct", "Qwen"),
        ("deepseek/deepseek-v9", "DeepSeek"),
        ("mistralai/mistral-x", "Mistral"),
        ("meta-llama/llama-2-70b", "Llama2"),
        ("meta-llama/llama-3.1-8b-instruct", "Llama3"),
        ("nousresearch/hermes-3-llama-3.1-70b", "Llama3"),
        ("meta-llama/llama-4-scout", "Llama4"),
        ("01-ai/yi-large", "Yi"),
        ("openrouter/auto", "Router"),
        ("acme/large", "Other"),
    ],
)
def test_families(model_id, family):
    assert tokenizer(model_id) == family
    assert family in TOKENIZERS


def test_all_that_ships_has_a_family_and_can_be_shown():
    models = builtin().models.values()
    assert {tokenizer(model.id) for model in models} <= set(TOKENIZERS)
    assert all(json.dumps(model_object(model, ())) for model in models)


@pytest.mark.parametrize(
    "model_id",
    ["openai/o3", "openai/gpt-5", "deepseek/deepseek-r1", "qwen/qwen3-max-thinking", "google/gemini-2.5-pro"],
)
def test_those_that_always_think(model_id):
    assert thinker(model_id)["mandatory"] is True


@pytest.mark.parametrize(
    "model_id", ["anthropic/claude-opus-4.5", "openai/gpt-5.1", "deepseek/deepseek-v3.2", "thinkingmachines/inkling"]
)
def test_those_that_can_be_told_not_to(model_id):
    assert thinker(model_id)["mandatory"] is False


def test_those_that_think_for_a_number_of_tokens():
    assert thinker("anthropic/claude-opus-4.5")["supports_max_tokens"] is True
    assert "supports_max_tokens" not in thinker("openai/gpt-5.1")


def test_an_alias():
    shown = alias_object("~acme/large-latest", model_object(LARGE, SERVED))
    assert (shown["id"], shown["canonical_slug"]) == ("~acme/large-latest", "acme/large")
    assert shown["alias_target"] == {"slug": "acme/large", "name": "Acme: Large"}


def test_the_router_can_do_what_any_of_its_models_can():
    shown = model_object(auto_model(CATALOG), ())
    assert (shown["id"], shown["context_length"]) == ("openrouter/auto", 200_000)
    assert shown["pricing"] == {"prompt": "-1", "completion": "-1"}
    assert shown["architecture"]["tokenizer"] == "Router"
    assert shown["architecture"]["input_modalities"] == ("text", "image", "audio")
    assert set(shown["supported_parameters"]) >= {"tools", "reasoning", "temperature"}
    assert "reasoning" not in shown
