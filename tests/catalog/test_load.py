import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from fairlead.catalog.discovery import DiscoveredModel
from fairlead.catalog.load import Offer, ProviderModels, Snapshot, build, builtin
from fairlead.catalog.model import FREE, Model, Price, Provider
from fairlead.catalog.overrides import NO_OVERRIDES, parse_overrides
from fairlead.catalog.providers import BY_SLUG

SHIPPED = builtin()
GENERATE = Path(__file__).parents[2] / "deploy" / "catalog" / "generate.py"

LIST = Price(100, 1000)
SNAPSHOT = Snapshot(
    source="a test",
    models={
        "openai/gpt-5": Model("openai/gpt-5", "OpenAI: GPT-5", context_length=400_000, price=LIST),
        "qwen/qwen3-8b": Model("qwen/qwen3-8b", "Qwen: Qwen3 8B", price=LIST),
    },
    offers={
        "openai": (Offer("openai/gpt-5", "gpt-5"),),
        "openrouter": (Offer("openai/gpt-5", "openai/gpt-5", Price(90, 900)), Offer("qwen/qwen3-8b", "qwen/qwen3-8b")),
    },
    spellings={"openai/gpt-5-2025-08-07": "openai/gpt-5"},
)


def provider(slug, **members):
    return Provider(slug, slug, f"http://{slug}.example/v1", **members)


def catalogue(*listed, overrides=""):
    return build(SNAPSHOT, parse_overrides(overrides, "toml"), listed)


def served(catalog):
    """What can be had where: `openai/gpt-5 = openai:gpt-5`."""
    return [
        f"{model_id} = {endpoint.provider.slug}:{endpoint.upstream_id}"
        for model_id, endpoints in catalog.endpoints.items()
        for endpoint in endpoints
    ]


def price(catalog, model_id):
    (endpoint,) = catalog.endpoints[model_id]
    return endpoint.price


# What ships

GATEROUTERS = """
openai/gpt-5.2 openai/gpt-5 openai/gpt-5-mini openai/gpt-5-nano openai/gpt-4.1 openai/gpt-4.1-nano
anthropic/claude-opus-4.6 anthropic/claude-sonnet-4.6 anthropic/claude-sonnet-4.5 anthropic/claude-haiku-4.5
google/gemini-3.1-pro-preview google/gemini-2.5-pro deepseek/deepseek-v3.2 deepseek/deepseek-v3.1 x-ai/grok-4
x-ai/grok-4.1-fast moonshotai/kimi-k2.5 z-ai/glm-5 z-ai/glm-5-turbo z-ai/glm-4.7-flash minimax/minimax-m2.5
"""


def offers_of(model_id):
    return {slug: offer for slug, offers in SHIPPED.offers.items() for offer in offers if offer.model_id == model_id}


@pytest.mark.parametrize("model_id", GATEROUTERS.split())
def test_the_models_that_gaterouter_lists_are_described_in_full(model_id):
    model = SHIPPED.models[model_id]
    assert model.context_length >= 128_000
    assert "text" in model.input_modalities
    assert model.output_modalities == ("text",)
    assert {"max_tokens", "tools", "tool_choice", "response_format"} <= model.supported_parameters
    assert model.price.prompt > 0
    assert model.price.completion > 0
    assert model.created > 1_700_000_000
    assert set(offers_of(model_id)) - {"gaterouter"}


@pytest.mark.parametrize(
    ("model_id", "slug", "upstream_id"),
    [
        ("openai/gpt-5-mini", "openai", "gpt-5-mini"),
        ("anthropic/claude-sonnet-4.5", "anthropic", "claude-sonnet-4-5"),
        ("google/gemini-3.1-pro-preview", "google-ai-studio", "gemini-3.1-pro-preview"),
        ("google/gemini-3.1-pro-preview", "gaterouter", "google/gemini-3.1-pro"),
        ("deepseek/deepseek-v3.1", "deepinfra", "deepseek-ai/DeepSeek-V3.1"),
        ("deepseek/deepseek-v3.1", "openrouter", "deepseek/deepseek-chat-v3.1"),
        ("x-ai/grok-4", "xai", "grok-4-0709"),
        ("z-ai/glm-5", "z-ai", "glm-5"),
        ("minimax/minimax-m2.5", "minimax", "MiniMax-M2.5"),
    ],
)
def test_providers_are_asked_in_their_own_words(model_id, slug, upstream_id):
    assert offers_of(model_id)[slug].upstream_id == upstream_id


def test_the_snapshot_is_sound():
    assert set(SHIPPED.offers) <= set(BY_SLUG)
    assert set(SHIPPED.spellings.values()) <= set(SHIPPED.models)
    assert not set(SHIPPED.spellings) & set(SHIPPED.models)
    for slug, offers in SHIPPED.offers.items():
        assert len({offer.model_id for offer in offers}) == len(offers), slug
        assert len({offer.upstream_id for offer in offers}) == len(offers), slug
    assert {offer.model_id for offers in SHIPPED.offers.values() for offer in offers} == set(SHIPPED.models)
    assert all(model.price is not None for model in SHIPPED.models.values())


def test_sampling_parameters_are_only_claimed_where_they_are_accepted():
    assert "temperature" not in SHIPPED.models["openai/gpt-5-mini"].supported_parameters
    assert "temperature" in SHIPPED.models["openai/gpt-4.1"].supported_parameters


def test_long_prompts_have_their_price():
    (tier,) = SHIPPED.models["google/gemini-2.5-pro"].price.tiers
    assert (tier.above_tokens, tier.price.prompt) == (200_000, 2_500_000)


def test_the_generator_would_write_the_file_as_it_is():
    try:
        installed = f"genai-prices {version('genai-prices')}"
    except PackageNotFoundError:
        pytest.skip("genai-prices is not installed")
    if not SHIPPED.source.startswith(f"{installed},"):
        pytest.skip(f"the file is made from {SHIPPED.source}; {installed} is installed")
    run = subprocess.run([sys.executable, GENERATE, "--check"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


# What is built of it


def test_a_cold_start_serves_what_is_known():
    catalog = catalogue(ProviderModels(provider("openrouter")), ProviderModels(provider("openai")))
    assert served(catalog) == [
        "openai/gpt-5 = openrouter:openai/gpt-5",
        "openai/gpt-5 = openai:gpt-5",
        "qwen/qwen3-8b = openrouter:qwen/qwen3-8b",
    ]
    assert catalog.endpoints["openai/gpt-5"][0].id == "openrouter:openai/gpt-5"


def test_what_is_discovered_replaces_what_is_known():
    listed = (DiscoveredModel("gpt-5-2025-08-07"), DiscoveredModel("gpt-5"), DiscoveredModel("GPT-9", 500_000))
    catalog = catalogue(ProviderModels(provider("openai"), discovered=listed))
    assert served(catalog) == ["openai/gpt-5 = openai:gpt-5", "openai/gpt-9 = openai:GPT-9"]
    assert catalog.models["openai/gpt-9"] == Model("openai/gpt-9", "openai/gpt-9", context_length=500_000)
    assert price(catalog, "openai/gpt-9") is None


def test_an_empty_list_means_that_nothing_is_served():
    assert served(catalogue(ProviderModels(provider("openai"), discovered=()))) == []


def test_what_is_declared_wins():
    declared = (("openai/gpt-5", "my-gpt"), ("house", "house-v2"), ("gpt-5-2025-08-07", "old"), ("acme/x", "x"))
    listed = (DiscoveredModel("gpt-5"),)
    catalog = catalogue(ProviderModels(provider("acme"), declared=declared, discovered=listed))
    assert served(catalog) == [
        "openai/gpt-5 = acme:my-gpt",
        "acme/house = acme:house-v2",
        "acme/x = acme:x",
    ]
    assert catalog.models["acme/house"].context_length is None


def test_what_a_listing_tells_describes_a_new_model():
    listed = DiscoveredModel(
        "new/model", 8192, Price(1, 2), "New: Model", 4096, ("text", "image"), ("text",), frozenset({"tools"})
    )
    catalog = catalogue(ProviderModels(provider("openrouter"), discovered=(listed,)))
    assert catalog.models["new/model"] == Model(
        id="new/model",
        name="New: Model",
        context_length=8192,
        max_completion_tokens=4096,
        input_modalities=("text", "image"),
        supported_parameters=frozenset({"tools"}),
        price=Price(1, 2),
    )


def test_overrides_change_and_add():
    catalog = catalogue(
        ProviderModels(provider("azure")),
        ProviderModels(provider("acme"), declared=(("acme/house", "house"),)),
        overrides="""
        [models."openai/gpt-5"]
        context_length = 8000
        endpoints.azure = "my-deployment"
        endpoints.elsewhere = "x"
        [models."acme/house"]
        name = "The house model"
        endpoints.acme = "house-v2"
        """,
    )
    assert served(catalog) == ["openai/gpt-5 = azure:my-deployment", "acme/house = acme:house-v2"]
    assert catalog.models["openai/gpt-5"].context_length == 8000
    assert catalog.models["openai/gpt-5"].name == "OpenAI: GPT-5"
    assert catalog.models["acme/house"].name == "The house model"


ENDPOINT_PRICE = """
[models."openai/gpt-5".endpoints.openrouter]
upstream_id = "openai/gpt-5"
price = { prompt = 7, completion = 8 }
"""
MODEL_PRICE = '[models."openai/gpt-5"]\nprice = { prompt = 5, completion = 6 }\n'


def test_an_override_does_not_forget_what_the_provider_lists():
    catalog = catalogue(
        ProviderModels(provider("acme"), discovered=(DiscoveredModel("gpt5-prod", price=Price(3, 4)),)),
        overrides='[models."openai/gpt-5"]\nendpoints.acme = "gpt5-prod"',
    )
    assert served(catalog) == ["openai/gpt-5 = acme:gpt5-prod", "acme/gpt5-prod = acme:gpt5-prod"]
    assert price(catalog, "openai/gpt-5") == Price(3, 4)


def test_prices_by_precedence():
    own, listed = Price(1, 2), (DiscoveredModel("openai/gpt-5", price=Price(3, 4)),)
    router = provider("openrouter")

    def paid(overrides="", of=router, discovered=listed):
        return price(catalogue(ProviderModels(of, discovered=discovered), overrides=overrides), "openai/gpt-5")

    both = MODEL_PRICE + ENDPOINT_PRICE
    assert paid(both, provider("openrouter", price=own)) == own
    assert paid(both) == Price(7_000_000, 8_000_000)
    assert paid(MODEL_PRICE) == Price(5_000_000, 6_000_000)
    assert paid() == Price(3, 4)
    assert paid(discovered=(DiscoveredModel("openai/gpt-5"),)) == Price(90, 900)
    assert price(catalogue(ProviderModels(provider("openai"))), "openai/gpt-5") == LIST
    assert price(catalogue(ProviderModels(provider("acme"), declared=(("openai/gpt-5", "x"),))), "openai/gpt-5") == LIST


def test_an_engine_of_ones_own_is_free_unless_said_otherwise():
    listed = ProviderModels(provider("vllm"), discovered=(DiscoveredModel("Qwen/Qwen3-8B"),))
    assert price(catalogue(listed), "qwen/qwen3-8b") == FREE
    priced = ProviderModels(provider("vllm", price=Price(1, 2)), discovered=(DiscoveredModel("Qwen/Qwen3-8B"),))
    assert price(catalogue(priced), "qwen/qwen3-8b") == Price(1, 2)


def test_every_spelling_resolves():
    catalog = catalogue(
        ProviderModels(provider("openai")),
        ProviderModels(provider("ollama"), discovered=(DiscoveredModel("qwen3:8b"), DiscoveredModel("smollm9:7b"))),
    )
    for spelling, model_id in {
        "gpt-5": "openai/gpt-5",
        "openai/gpt-5-2025-08-07": "openai/gpt-5",
        "gpt-5-2025-08-07": "openai/gpt-5",
        "qwen3:8b": "qwen/qwen3-8b",
        "ollama/qwen3:8b": "qwen/qwen3-8b",
        "qwen3-8b": "qwen/qwen3-8b",
        "smollm9:7b": "ollama/smollm9:7b",
        "never-heard-of": "never-heard-of",
    }.items():
        assert catalog.resolve(spelling) == model_id


def test_what_can_be_served_is_meant_before_what_is_merely_known():
    listed = ProviderModels(provider("vllm"), discovered=(DiscoveredModel("gpt-5"),))
    assert served(catalogue(listed)) == ["openai/gpt-5 = vllm:gpt-5"]
    other = ProviderModels(provider("vllm"), declared=(("vllm/gpt-5", "gpt-5"),))
    assert catalogue(other).resolve("gpt-5") == "vllm/gpt-5"


def test_one_upstream_id_with_two_meanings_is_no_alias():
    catalog = catalogue(
        ProviderModels(provider("acme"), declared=(("acme/a", "prod"),)),
        ProviderModels(provider("emca"), declared=(("emca/b", "prod"),)),
    )
    assert catalog.resolve("prod") == "prod"
    assert catalog.resolve("acme/prod") == "acme/a"


def test_nothing_of_a_catalogue_can_be_changed():
    catalog = catalogue(ProviderModels(provider("openai")))
    for table in (catalog.models, catalog.endpoints, catalog.aliases):
        with pytest.raises(TypeError):
            table["x"] = None


def test_a_catalogue_of_nothing():
    catalog = build(SHIPPED, NO_OVERRIDES, [])
    assert catalog.endpoints == {}
    assert catalog.resolve("gpt-5-mini") == "openai/gpt-5-mini"
