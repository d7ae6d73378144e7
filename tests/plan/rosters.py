"""Catalogues for tests of `auto`: models with a price, and what else is said of them."""

from types import MappingProxyType

from hypothesis import strategies as st

from fairlead.access.keys import ApiKey
from fairlead.catalog.model import Catalog, Endpoint, Model, Price, Provider
from fairlead.wire.features import Features

ANYONE = ApiKey("", "test", "")
PARAMETERS = frozenset(("tools", "response_format", "structured_outputs", "reasoning"))
GREETING = Features(prompt=b"hi", prompt_tokens=10, user_tokens=2, turns=1, conversation=1)
PROOF = Features(prompt_tokens=900, user_tokens=800, turns=1, reasoning_words=4, has_code=True, conversation=2)


def usd(prompt, completion):
    return Price(round(prompt * 1e6), round(completion * 1e6))


def model(model_id, prompt=1.0, completion=None, **facts):
    """`prompt` None: nobody knows its price."""
    price = None if prompt is None else usd(prompt, prompt * 4 if completion is None else completion)
    facts = {"supported_parameters": PARAMETERS, "context_length": 200_000, **facts}
    return Model(model_id, model_id, price=price, **facts)


def catalog_of(*models, providers=("p",), aliases=(), **settings):
    """Every model at every provider, at its own price."""
    sellers = [Provider(slug, slug, "http://x", **settings) for slug in providers]
    return Catalog(
        MappingProxyType({one.id: one for one in models}),
        MappingProxyType({one.id: tuple(Endpoint(who, one, one.id, one.price) for who in sellers) for one in models}),
        MappingProxyType(dict(aliases)),
    )


LADDER = catalog_of(*(model(f"acme/m{n}", 0.05 * 2.0**n) for n in range(10)))
"""Ten models, each twice the price of the one before."""

amounts = st.sampled_from([None, 0.0, 0.05, 0.2, 1.0, 3.0, 15.0])
modalities = st.sets(st.sampled_from(["image", "audio", "file", "video"])).map(lambda some: ("text", *sorted(some)))
facts = st.fixed_dictionaries({
    "input_modalities": modalities,
    "output_modalities": st.sampled_from([("text",), ("text", "image"), ("text", "audio"), ("image",)]),
    "supported_parameters": st.just(frozenset()) | st.frozensets(st.sampled_from(sorted(PARAMETERS))),
    "context_length": st.sampled_from([None, 4_000, 32_000, 1_000_000]),
    "max_completion_tokens": st.sampled_from([None, 2_000, 64_000]),
    "created": st.sampled_from([0, 1_700_000_000, 1_790_000_000]),
})  # fmt: skip
catalogs = st.lists(st.tuples(amounts, facts), min_size=1, max_size=12).map(
    lambda drawn: catalog_of(*(model(f"a{n % 3}/m{n}", price, **said) for n, (price, said) in enumerate(drawn)))
)
requests = st.builds(
    Features,
    prompt_tokens=st.sampled_from([0, 100, 10_000, 100_000, 2_000_000]),
    user_tokens=st.sampled_from([0, 100, 5_000]),
    output_tokens=st.sampled_from([0, 1_000, 32_000]),
    turns=st.integers(0, 5),
    has_code=st.booleans(),
    reasoning_words=st.integers(0, 4),
    inputs=st.frozensets(st.sampled_from(["image", "audio", "file", "video"])),
    outputs=st.frozensets(st.sampled_from(["image", "audio"]), max_size=1),
    needs=st.frozensets(st.sampled_from(sorted(PARAMETERS))),
)
