"""A small catalogue: two authors, three providers, one model that nobody describes, one that nobody serves."""

from types import MappingProxyType

from fairlead.catalog.model import Catalog, Endpoint, Model, Price, Provider
from fairlead.edge.model_listing import Listings

ACME = Provider("acme", "Acme", "http://acme.example/v1", api_key="sk-secret", headers={"x": "sk-secret"})
OTHER = Provider("other", "Other AI", "http://other.example/v1", quantization="fp8", is_zdr=True)
LOCAL = Provider("local", "Local", "http://local.example/v1")

LARGE = Model(
    "acme/large",
    "Acme: Large",
    context_length=8192,
    max_completion_tokens=1024,
    input_modalities=("text", "image"),
    supported_parameters=frozenset({"tools", "tool_choice", "seed", "reasoning", "include_reasoning"}),
    created=1_700_000_000,
    description="Large.",
)
SMALL = Model("acme/small", "Acme: Small")
PAINTER = Model(
    "openai/painter",
    "OpenAI: Painter",
    context_length=4096,
    output_modalities=("image",),
    supported_parameters=frozenset({"seed", "own_parameter"}),
    created=1_600_000_000,
)
GPT = Model(
    "openai/gpt-9",
    "OpenAI: GPT-9",
    context_length=200_000,
    input_modalities=("text", "image", "audio"),
    output_modalities=("text", "image"),
    supported_parameters=frozenset({"tools", "temperature"}),
    created=1_750_000_000,
)

DEAR = Price(prompt=2_500_000, completion=10_000_000, cache_read=125_000, cache_write=3_125_000, request=5_000)
CHEAP = Price(prompt=12_500, completion=1)

CATALOG = Catalog(
    MappingProxyType({
        model.id: model for model in (LARGE, SMALL, PAINTER, GPT, Model("acme/unserved", "Acme: Unserved"))
    }),
    MappingProxyType({
        LARGE.id: (Endpoint(ACME, LARGE, "large-1", DEAR), Endpoint(OTHER, LARGE, "m", CHEAP)),
        SMALL.id: (Endpoint(LOCAL, SMALL, "small", None),),
        PAINTER.id: (Endpoint(ACME, PAINTER, "painter", DEAR),),
        GPT.id: (Endpoint(ACME, GPT, "gpt", Price(1_000_000, 4_000_000)),),
    }),
    MappingProxyType({"large": LARGE.id}),
)  # fmt: skip

TEXT_IDS = ["openai/gpt-9", "acme/large", "acme/small"]
"""Those that give text, newest first."""


def listing(catalog=CATALOG, **options):
    return Listings("/v1", lambda: catalog, **options).current()
