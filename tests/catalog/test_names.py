import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.catalog.load import builtin
from fairlead.catalog.names import aliases, canonical, strip_gateway_prefix
from fairlead.catalog.providers import BUILTIN, BY_SLUG

SNAPSHOT = builtin()
KNOWN = {model: model for model in SNAPSHOT.models} | dict(SNAPSHOT.spellings)


def name(slug, upstream_id, known=KNOWN):
    provider = BY_SLUG.get(slug)
    home = provider.home if provider else slug
    return canonical(upstream_id, home, known, are_ids_canonical=bool(provider and provider.are_ids_canonical))


CORPUS = """
openai           gpt-5-mini                                   openai/gpt-5-mini
openai           gpt-5-mini-2025-08-07                        openai/gpt-5-mini
openai           gpt-5-mini-2031-01-01                        openai/gpt-5-mini-2031-01-01
openai           gpt-4o-2024-11-20                            openai/gpt-4o-2024-11-20
openai           gpt-4-turbo                                  openai/gpt-4-turbo
openai           gpt-9-turbo                                  openai/gpt-9-turbo
openai           ft:gpt-4o-mini:acme::abc                     openai/ft:gpt-4o-mini:acme::abc
anthropic        claude-sonnet-4-5-20250929                   anthropic/claude-sonnet-4.5
anthropic        claude-haiku-4-5                             anthropic/claude-haiku-4.5
anthropic        claude-opus-4-6                              anthropic/claude-opus-4.6
anthropic        claude-opus-4-20250514                       anthropic/claude-opus-4
anthropic        claude-opus-4-0                              anthropic/claude-opus-4
anthropic        claude-3-5-haiku-latest                      anthropic/claude-3.5-haiku
anthropic        claude-sonnet-9-1-20291231                   anthropic/claude-sonnet-9.1
google-ai-studio models/gemini-2.5-pro                        google/gemini-2.5-pro
google-ai-studio models/gemini-3.1-pro-preview                google/gemini-3.1-pro-preview
google-ai-studio gemini-9-flash                               google/gemini-9-flash
xai              grok-4-0709                                  x-ai/grok-4
xai              grok-4-1-fast-reasoning                      x-ai/grok-4.1-fast
z-ai             glm-4.7-flash                                z-ai/glm-4.7-flash
minimax          MiniMax-M2.5                                 minimax/minimax-m2.5
mistral          zai-glm-5-3                                  z-ai/glm-5.3
mistral          mistral-large-2512                           mistralai/mistral-large-2512
mistral          open-mistral-nemo                            mistralai/mistral-nemo
cohere           command-a-03-2025                            cohere/command-a
fireworks        accounts/fireworks/models/deepseek-v3p1      deepseek/deepseek-v3.1
fireworks        accounts/fireworks/models/kimi-k2p5          moonshotai/kimi-k2.5
fireworks        accounts/fireworks/models/llama-v3p1-8b-instruct  meta-llama/llama-3.1-8b-instruct
fireworks        accounts/fireworks/models/qwen2p5-vl-72b-instruct qwen/qwen2.5-vl-72b-instruct
fireworks        accounts/fireworks/models/no-such-model      fireworks/no-such-model
fireworks        accounts/acme/models/tuned                   acme/tuned
together         deepseek-ai/DeepSeek-V3.1                    deepseek/deepseek-v3.1
together         meta-llama/Llama-3.3-70B-Instruct-Turbo      meta-llama/llama-3.3-70b-instruct
together         meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo  meta-llama/llama-3.1-8b-instruct
together         meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8 meta-llama/llama-4-maverick
together         Qwen/Qwen3-235B-A22B-Instruct-2507-tput      qwen/qwen3-235b-a22b-2507
together         Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8      qwen/qwen3-coder
together         zai-org/GLM-5                                z-ai/glm-5
together         moonshotai/Kimi-K2-Instruct                  moonshotai/kimi-k2
together         Austism/chronos-hermes-13b                   austism/chronos-hermes-13b
deepinfra        deepseek-ai/DeepSeek-V3.1                    deepseek/deepseek-v3.1
deepinfra        MiniMaxAI/MiniMax-M2.5                       minimax/minimax-m2.5
baseten          nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B     nvidia/nemotron-3-ultra-550b-a55b
chutes           deepseek-ai/DeepSeek-V3.2-TEE                deepseek/deepseek-v3.2
novita           zai-org/glm-4.7-flash                        z-ai/glm-4.7-flash
groq             llama-3.3-70b-versatile                      meta-llama/llama-3.3-70b-instruct
groq             llama-3.1-8b-instant                         meta-llama/llama-3.1-8b-instruct
groq             openai/gpt-oss-120b                          openai/gpt-oss-120b
cerebras         gpt-oss-120b                                 openai/gpt-oss-120b
cerebras         llama3.1-8b                                  meta-llama/llama-3.1-8b-instruct
cerebras         qwen-3-32b                                   qwen/qwen3-32b
cerebras         zai-glm-4.7                                  z-ai/glm-4.7
nvidia           deepseek-ai/deepseek-v4-pro                  deepseek/deepseek-v4-pro
vercel           xai/grok-4                                   x-ai/grok-4
openrouter       openai/gpt-5-mini                            openai/gpt-5-mini
openrouter       deepseek/deepseek-chat-v3.1                  deepseek/deepseek-v3.1
openrouter       deepseek/deepseek-r1:free                    deepseek/deepseek-r1:free
openrouter       meta-llama/llama-9-70b-instruct-turbo        meta-llama/llama-9-70b-instruct-turbo
gaterouter       google/gemini-3.1-pro                        google/gemini-3.1-pro-preview
ollama           llama3.3:70b                                 meta-llama/llama-3.3-70b-instruct
ollama           gpt-oss:20b                                  openai/gpt-oss-20b
ollama           mistral-nemo:latest                          mistralai/mistral-nemo
ollama           smollm9:7b                                   ollama/smollm9:7b
vllm             Qwen/Qwen3-8B                                qwen/qwen3-8b
vllm             my-finetune                                  vllm/my-finetune
vllm             /data/models/my-finetune                     vllm/my-finetune
llamacpp         C:\\models\\Qwen3-8B-Q4_K_M.gguf             qwen/qwen3-8b
azure            gpt-5-mini                                   openai/gpt-5-mini
acme             House-Model                                  acme/house-model
"""
ROWS = [tuple(line.split()) for line in CORPUS.strip().splitlines()]


@pytest.mark.parametrize(("slug", "upstream_id", "expected"), ROWS, ids=lambda part: part.replace("\\", "/"))
def test_corpus(slug, upstream_id, expected):
    assert name(slug, upstream_id) == expected


@pytest.mark.parametrize(
    ("slug", "upstream_id", "expected"),
    [
        ("ollama", "llama3.3:70b", "ollama/llama3.3:70b"),
        ("together", "deepseek-ai/DeepSeek-V3.1", "deepseek/deepseek-v3.1"),
        ("fireworks", "accounts/fireworks/models/glm-5p3", "fireworks/glm-5p3"),
        ("groq", "llama-3.3-70b-versatile", "groq/llama-3.3-70b-versatile"),
    ],
)
def test_with_nothing_known_a_model_keeps_its_own_name(slug, upstream_id, expected):
    assert name(slug, upstream_id, {}) == expected


def test_everything_shipped_is_found_again_by_its_upstream_id():
    wrong = [
        (slug, offer.upstream_id, offer.model_id, name(slug, offer.upstream_id))
        for slug, offers in SNAPSHOT.offers.items()
        for offer in offers
        if name(slug, offer.upstream_id) != offer.model_id
    ]
    assert wrong == []


def test_turbo_is_another_model_where_its_author_says_so():
    known = {model: model for model in ("openai/gpt-4", "z-ai/glm-5", "qwen/qwen3-8b")}
    assert name("azure", "gpt-4-turbo", known) == "openai/gpt-4-turbo"
    assert name("openai", "gpt-4-turbo", known) == "openai/gpt-4-turbo"
    assert name("z-ai", "glm-5-turbo", known) == "z-ai/glm-5-turbo"
    assert name("deepinfra", "Qwen/Qwen3-8B-Turbo", known) == "qwen/qwen3-8b"


upstream_ids = st.text(
    alphabet=st.sampled_from("abcdefgklmopqrtuvwz0123456789-._:/\\pP@"), min_size=1, max_size=40
) | st.lists(
    st.sampled_from(
        ["llama", "claude", "gpt", "-", "3", "p", "1", "turbo", "fp8", "-70b", "instruct", ":", "/", "2025"]
    ),
    min_size=1,
    max_size=12,
).map("".join)


@given(st.sampled_from([builtin.slug for builtin in BUILTIN] + ["acme"]), upstream_ids)
def test_any_id_gets_an_author_and_keeps_it(slug, upstream_id):
    model = name(slug, upstream_id)
    assert "/" in model
    assert model == model.lower()


@given(upstream_ids)
def test_naming_is_the_same_every_time(upstream_id):
    assert name("together", upstream_id) == name("together", upstream_id)


ALIASES = aliases(SNAPSHOT.models, SNAPSHOT.spellings)


@pytest.mark.parametrize(
    ("spelling", "model"),
    [
        ("gpt-5-mini", "openai/gpt-5-mini"),
        ("gpt-5-mini-2025-08-07", "openai/gpt-5-mini"),
        ("openai/gpt-5-mini-2025-08-07", "openai/gpt-5-mini"),
        ("gpt-4-1", "openai/gpt-4.1"),
        ("claude-sonnet-4.5", "anthropic/claude-sonnet-4.5"),
        ("claude-sonnet-4-5", "anthropic/claude-sonnet-4.5"),
        ("anthropic/claude-sonnet-4-5", "anthropic/claude-sonnet-4.5"),
        ("claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4.5"),
        ("gemini-3.1-pro", "google/gemini-3.1-pro-preview"),
        ("google/gemini-3.1-pro", "google/gemini-3.1-pro-preview"),
        ("google/gemini-3-1-pro", "google/gemini-3.1-pro-preview"),
        ("deepseek-v3.2", "deepseek/deepseek-v3.2"),
        ("deepseek/deepseek-chat-v3.1", "deepseek/deepseek-v3.1"),
        ("xai/grok-4", "x-ai/grok-4"),
        ("zai/glm-5", "z-ai/glm-5"),
        ("mistral/mistral-nemo", "mistralai/mistral-nemo"),
    ],
)
def test_clients_may_say(spelling, model):
    assert ALIASES[spelling] == model


def test_a_canonical_id_is_never_an_alias():
    assert not set(ALIASES) & set(SNAPSHOT.models)
    assert set(ALIASES.values()) <= set(SNAPSHOT.models)


def test_a_spelling_of_two_models_means_neither():
    found = aliases(["vllm/house", "ollama/house", "vllm/only"], {})
    assert "house" not in found
    assert found["only"] == "vllm/only"


def test_a_listed_spelling_is_not_made_doubtful_by_a_derived_one():
    found = aliases(["a/model-4.5", "b/model"], {"model-4-5": "b/model"})
    assert found["model-4-5"] == "b/model"
    assert found["a/model-4-5"] == "a/model-4.5"


def test_spellings_of_unknown_models_and_our_own_words_are_left_out():
    found = aliases(["acme/auto", "acme/x"], {"gone": "acme/gone"})
    assert "gone" not in found
    assert "auto" not in found


@pytest.mark.parametrize("gateway", ["openrouter", "megarouter", "gaterouter", "fairlead"])
@pytest.mark.parametrize("rest", ["openai/gpt-5-mini", "gpt-5-mini", "auto", "fusion", "openai/gpt-5-mini:nitro"])
def test_a_gateways_prefix_comes_off(gateway, rest):
    known = {"openai/gpt-5-mini", "gpt-5-mini"}
    assert strip_gateway_prefix(f"{gateway}/{rest}", known) == rest
    assert strip_gateway_prefix(rest, known) == rest


@pytest.mark.parametrize(
    "model_id", ["openrouter/free", "openrouter/no/such", "openrouter", "openrouter/", "acme/auto", "", "auto"]
)
def test_what_only_looks_like_a_prefix_stays(model_id):
    assert strip_gateway_prefix(model_id, {"openai/gpt-5-mini"}) == model_id


def test_prefixes_may_be_stacked():
    assert strip_gateway_prefix("fairlead/openrouter/auto", set()) == "auto"


def test_every_canonical_id_has_the_grammar_of_one():
    odd = [model for model in SNAPSHOT.models if not re.fullmatch(r"[a-z0-9-]+/[a-z0-9._-]+", model)]
    assert odd == []
