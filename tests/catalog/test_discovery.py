import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.catalog.discovery import DiscoveredModel, parse_discovery
from fairlead.catalog.model import Price, Provider, Tier


def parse(listing, slug="acme"):
    body = listing if isinstance(listing, bytes) else json.dumps(listing).encode()
    return parse_discovery(body, Provider(slug, slug, "http://127.0.0.1/v1"))


def one(row, slug="acme"):
    (model,) = parse({"data": [row]}, slug)
    return model


def ids(*names, slug="acme", **members):
    return [model.upstream_id for model in parse({"data": [{"id": name, **members} for name in names]}, slug)]


def test_openai():
    listing = {
        "object": "list",
        "data": [
            {"id": "gpt-5-mini", "object": "model", "created": 1754425928, "owned_by": "system"},
            {"id": "text-embedding-3-small", "object": "model", "created": 1705948997, "owned_by": "system"},
        ],
    }
    assert parse(listing, "openai") == (DiscoveredModel("gpt-5-mini"),)


def test_openrouter():
    row = {
        "id": "x-ai/grok-4.5",
        "canonical_slug": "x-ai/grok-4.5-20260708",
        "name": "xAI: Grok 4.5",
        "created": 1783468800,
        "context_length": 500000,
        "architecture": {
            "modality": "text+image->text",
            "input_modalities": ["image", "text", "smell"],
            "output_modalities": ["text"],
        },
        "pricing": {
            "prompt": "0.000002",
            "completion": "0.000006",
            "request": "0.005",
            "input_cache_read": "0.0000005",
            "web_search": "0.005",
            "overrides": [
                {"min_prompt_tokens": 200000, "prompt": "0.000004", "completion": "0.000012"},
                {"min_prompt_tokens": 1, "utc_start": 100, "utc_end": 400, "prompt": "1"},
                "nonsense",
            ],
        },
        "top_provider": {"context_length": 500000, "max_completion_tokens": 64000, "is_moderated": False},
        "supported_parameters": ["tools", "temperature", 7],
    }
    assert one(row, "openrouter") == DiscoveredModel(
        upstream_id="x-ai/grok-4.5",
        context_length=500_000,
        price=Price(
            2_000_000,
            6_000_000,
            cache_read=500_000,
            request=5_000,
            tiers=(Tier(200_000, Price(4_000_000, 12_000_000, cache_read=500_000)),),
        ),
        name="xAI: Grok 4.5",
        max_completion_tokens=64_000,
        input_modalities=("text", "image"),
        output_modalities=("text",),
        supported_parameters=frozenset({"tools", "temperature"}),
    )


def test_together_sends_a_bare_list_with_prices_per_million():
    listing = [
        {
            "id": "deepseek-ai/DeepSeek-V3.1",
            "type": "chat",
            "display_name": "DeepSeek V3.1",
            "context_length": 131072,
            "pricing": {"hourly": 0, "input": 0.6, "output": 1.7, "base": 0, "finetune": 0},
        },
        {"id": "BAAI/bge-large-en-v1.5", "type": "embedding", "pricing": {"input": 0.02, "output": 0.02}},
        {"id": "black-forest-labs/FLUX.1-schnell", "type": "image"},
        {"id": "acme/rented-by-the-hour", "type": "chat", "pricing": {"hourly": 2, "input": 0, "output": 0}},
        {"id": "meta-llama/Llama-Vision-Free", "type": "chat", "pricing": {"input": 0, "output": 0}},
    ]
    chat, rented, free = parse(listing, "together")
    assert chat == DiscoveredModel("deepseek-ai/DeepSeek-V3.1", 131072, Price(600_000, 1_700_000), name="DeepSeek V3.1")
    assert rented.price is None
    assert free.price == Price(0, 0)


def test_mistral():
    listing = {
        "object": "list",
        "data": [
            {"id": "mistral-large-2512", "capabilities": {"completion_chat": True}, "max_context_length": 262144},
            {"id": "mistral-ocr-2512", "capabilities": {"completion_chat": False}, "max_context_length": 16384},
            {"id": "mistral-large-2512", "capabilities": {"completion_chat": True}, "max_context_length": 262144},
        ],
    }
    assert parse(listing, "mistral") == (DiscoveredModel("mistral-large-2512", 262144),)


def test_ollama_in_both_its_dialects():
    compatible = {"object": "list", "data": [{"id": "llama3.3:70b", "object": "model", "owned_by": "library"}]}
    native = {"models": [{"name": "llama3.3:70b", "model": "llama3.3:70b", "size": 42, "details": {"family": "llama"}}]}
    assert [model.upstream_id for model in parse(compatible, "ollama")] == ["llama3.3:70b"]
    assert [model.upstream_id for model in parse(native, "ollama")] == ["llama3.3:70b"]


@pytest.mark.parametrize(
    ("row", "tokens"),
    [
        ({"id": "m", "max_model_len": 8192}, 8192),  # vLLM
        ({"id": "m", "meta": {"n_ctx_train": 131072}}, 131072),  # llama.cpp
        ({"id": "m", "context_window": 131072, "active": True}, 131072),  # Groq
        ({"id": "m", "context_size": 65536}, 65536),  # Novita
        ({"id": "m", "metadata": {"context_length": 4096}}, 4096),  # DeepInfra
        ({"id": "m", "context_length": None, "max_model_len": 10}, 10),
        ({"id": "m", "context_length": "many"}, None),
        ({"id": "m", "context_length": True}, None),
        ({"id": "m", "context_length": -1}, None),
    ],
    ids=str,
)
def test_context_length_goes_by_many_names(row, tokens):
    assert one(row).context_length == tokens


@pytest.mark.parametrize(
    ("pricing", "price"),
    [
        ({"prompt": "0.00000125", "completion": "0.00001"}, Price(1_250_000, 10_000_000)),
        ({"input": "0.00000125", "output": "0.00001"}, Price(1_250_000, 10_000_000)),
        ({"prompt": 0.27, "completion": 1}, Price(270_000, 1_000_000)),
        ({"input_tokens": 0.005, "output_tokens": 0.01}, Price(5_000, 10_000)),
        ({"prompt": "0.0006", "completion": "0.0006"}, Price(600_000_000, 600_000_000)),
        ({"prompt": "-1", "completion": "-1"}, None),
        ({"prompt": "0", "completion": "0"}, None),
        ({"prompt": "free", "completion": "free"}, None),
        ({"prompt": "0.000001"}, None),
        ("cheap", None),
        (None, None),
    ],
    ids=str,
)
def test_prices_are_understood_in_either_unit(pricing, price):
    assert one({"id": "m", "pricing": pricing}).price == price


def test_deepinfras_prices_are_a_level_deeper():
    row = {"id": "m", "metadata": {"pricing": {"input_tokens": 0.25, "output_tokens": 0.95, "cache_read_tokens": 0.13}}}
    assert one(row).price == Price(250_000, 950_000, cache_read=130_000)


def test_names_tell_what_is_no_chat_model():
    kept = """gpt-5-mini gpt-audio gemini-2.5-flash-image claude-haiku-4-5 glm-4.7-flash delivery-model
        mistral-embedded-coder olive-7b openai/gpt-oss-120b llama-guard-4-12b"""
    dropped = """text-embedding-3-small gemini-embedding-001 nomic-embed-text:latest whisper-1 openai/whisper-large-v3
        tts-1-hd gpt-4o-mini-tts gemini-2.5-flash-preview-tts dall-e-3 gpt-image-1 chatgpt-image-latest-x/gpt-image
        omni-moderation-latest gpt-4o-transcribe gpt-realtime gpt-4o-realtime-preview imagen-4 veo-3 sora-2
        BAAI/bge-m3 jina/rerank-v3 black-forest-labs/FLUX.1-dev davinci-002 gpt-3.5-turbo-instruct gpt-live-1
        gemini-live-2.5-flash lyria-3-pro grok-imagine-image"""
    assert ids(*kept.split(), *dropped.split()) == kept.split()


def test_some_text_models_of_openai_speak_another_api():
    assert ids("gpt-5", "gpt-5-pro", "gpt-5-pro-2025-10-06", "gpt-5-codex", "o3-deep-research", slug="openai") == [
        "gpt-5"
    ]
    assert ids("gpt-5-pro", slug="acme") == ["gpt-5-pro"]


def test_routers_and_batches_of_other_gateways_are_no_models():
    assert ids("openrouter/auto", "auto", "openai/gpt-5:batch", "openai/gpt-5", "~openai/gpt-latest", "a/b:free") == [
        "openai/gpt-5",
        "~openai/gpt-latest",
        "a/b:free",
    ]


@pytest.mark.parametrize(
    "members",
    [
        {"active": False},
        {"supports_chat": False},
        {"type": "moderation"},
        {"capabilities": {"chat_completion": False}},
        {"architecture": {"output_modalities": ["image"]}},
    ],
    ids=str,
)
def test_a_provider_may_say_that_it_is_no_chat_model(members):
    assert ids("m", **members) == []


def test_lines_that_make_no_sense_are_skipped():
    rows = [None, 7, "x", {}, {"id": 3}, {"id": ""}, {"id": " m"}, {"id": "a\nb"}, {"id": "m" * 257}, {"id": "ok"}]
    assert [model.upstream_id for model in parse({"data": rows})] == ["ok"]


def test_nothing_served_is_an_answer_too():
    assert parse({"object": "list", "data": []}) == ()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "of acme is not JSON"),
        (b"<html>502</html>", "of acme is not JSON"),
        (b'{"data": [\xff]}', "of acme is not JSON"),
        (b"3", "no list under `data` or `models`"),
        (b'{"data": null}', "no list under `data` or `models`"),
        (b'{"error": {"message": "Invalid API key"}}', "models`: Invalid API key"),
        (b'{"error": "unauthorized"}', "models`: unauthorized"),
    ],
)
def test_what_is_no_list_is_refused(body, text):
    with pytest.raises(ValueError, match="the model list of acme") as caught:
        parse(body)
    assert text in str(caught.value)


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
)
KEYS = """
id name type context_length pricing prompt completion overrides min_prompt_tokens meta metadata architecture
output_modalities capabilities completion_chat supported_parameters data
"""
keys = st.sampled_from(KEYS.split())
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=6))


@given(
    st.lists(
        st.fixed_dictionaries({"id": st.just("m") | anything}, optional={}).flatmap(
            lambda row: st.dictionaries(keys, anything, max_size=6).map(lambda more: {**more, **row})
        ),
        max_size=4,
    )
)
def test_no_listing_breaks_the_reader(rows):
    for model in parse({"data": rows}):
        assert model.upstream_id
        assert model.context_length is None or model.context_length > 0


@given(st.binary(max_size=80))
def test_no_bytes_break_the_reader(body):
    with contextlib.suppress(ValueError):
        parse(body)
