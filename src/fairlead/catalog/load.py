"""From what is known, said and discovered to one catalogue.

    builtin()       what ships with fairlead: models, prices, who serves what
    build(…)        that, the operator's overrides, and each provider's models

Of a provider's models, those that the operator declared win; else those it lists; else those it is known to have, so
that a cold start serves at once.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import cast

import msgspec

from fairlead.catalog.discovery import DiscoveredModel
from fairlead.catalog.model import FREE, Catalog, Endpoint, Modality, Model, Price, Provider
from fairlead.catalog.names import aliases, canonical
from fairlead.catalog.overrides import ModelChange, Overrides
from fairlead.catalog.providers import BY_SLUG


@dataclass(frozen=True, slots=True)
class Offer:
    """One model of one provider."""

    model_id: str
    upstream_id: str
    price: Price | None = None
    """The provider's own price; None when it is the list price or unknown."""
    discovered: DiscoveredModel | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What ships with fairlead."""

    source: str
    """Of the prices: `genai-prices 0.2.3, 2026-11-21`."""
    models: Mapping[str, Model]
    offers: Mapping[str, tuple[Offer, ...]]
    """By provider slug."""
    spellings: Mapping[str, str]
    """Other ids of the models, such as dated ones."""


@dataclass(frozen=True, slots=True)
class ProviderModels:
    """A configured provider with what is known of its models."""

    provider: Provider
    declared: tuple[tuple[str, str], ...] | None = None
    """(canonical id, upstream id); None when the operator said nothing."""
    discovered: tuple[DiscoveredModel, ...] | None = None
    """None until the provider has answered."""


class _On(msgspec.Struct):
    id: str
    price: Price | None = None


class _Line(msgspec.Struct):
    name: str
    input: str
    parameters: str
    on: dict[str, _On]
    gives: str = "text"
    created: int = 0
    context: int | None = None
    output: int | None = None
    price: Price | None = None
    also: tuple[str, ...] = ()


class _File(msgspec.Struct):
    source: str
    as_of: str
    parameter_sets: dict[str, frozenset[str]]
    models: dict[str, _Line]


def builtin() -> Snapshot:
    """Read the snapshot that ships with the package."""
    text = files("fairlead.catalog").joinpath("data", "models.json").read_bytes()
    file = msgspec.json.decode(text, type=_File)
    offers: dict[str, list[Offer]] = {}
    for model_id, line in file.models.items():
        for slug, on in line.on.items():
            offers.setdefault(slug, []).append(Offer(model_id, on.id, on.price))
    return Snapshot(
        source=f"{file.source}, {file.as_of}",
        models={model_id: _shipped(model_id, line, file) for model_id, line in file.models.items()},
        offers={slug: tuple(offered) for slug, offered in offers.items()},
        spellings={spelling: model_id for model_id, line in file.models.items() for spelling in line.also},
    )


def _shipped(model_id: str, line: _Line, file: _File) -> Model:
    return Model(
        id=model_id,
        name=line.name,
        context_length=line.context,
        max_completion_tokens=line.output,
        input_modalities=cast(tuple[Modality, ...], tuple(line.input.split())),
        output_modalities=cast(tuple[Modality, ...], tuple(line.gives.split())),
        supported_parameters=file.parameter_sets[line.parameters],
        price=line.price,
        created=line.created,
    )


def build(snapshot: Snapshot, overrides: Overrides, providers: Sequence[ProviderModels]) -> Catalog:
    """The catalogue of `providers`, whose order is kept within each model.

    An endpoint's price is the first known of: the provider's own setting, the override of the endpoint, the override of
    the model, what the provider lists, what the snapshot has for the provider, the list price of the model. Models on
    engines of the operator's own are free unless one of the first five says otherwise.
    """
    models = dict(snapshot.models)
    for model_id, change in overrides.models.items():
        start = models.get(model_id) or Model(id=model_id, name=model_id)
        models[model_id] = dataclasses.replace(start, **change.facts)
    known = {**{model_id.lower(): model_id for model_id in models}, **snapshot.spellings}
    endpoints: dict[str, list[Endpoint]] = {}
    for listed in providers:
        for offer in _offers(listed, snapshot, overrides, known):
            model = models.setdefault(offer.model_id, _new_model(offer))
            price = _price(listed.provider, model, offer, overrides.models.get(offer.model_id, ModelChange()))
            endpoint = Endpoint(listed.provider, model, offer.upstream_id, price)
            endpoints.setdefault(offer.model_id, []).append(endpoint)
    return Catalog(
        models=MappingProxyType(models),
        endpoints=MappingProxyType({model_id: tuple(served) for model_id, served in endpoints.items()}),
        aliases=MappingProxyType(_aliases(models, endpoints, snapshot.spellings)),
    )


def _offers(
    listed: ProviderModels, snapshot: Snapshot, overrides: Overrides, known: Mapping[str, str]
) -> Iterator[Offer]:
    """What a provider serves, each model once."""
    slug = listed.provider.slug
    shipped = snapshot.offers.get(slug, ())
    told: Sequence[Offer] = shipped
    if listed.declared is not None:
        told = _declared(listed.declared, slug, known)
    elif listed.discovered is not None:
        told = _discovered(listed.discovered, slug, shipped, known)
    told_by_id = {offer.upstream_id: offer for offer in told}
    shipped_by_id = {offer.upstream_id: offer for offer in shipped}
    offers: dict[str, Offer] = {}
    for model_id, change in overrides.models.items():
        if slug in change.endpoints:
            upstream_id = change.endpoints[slug].upstream_id
            same = told_by_id.get(upstream_id, Offer(model_id, upstream_id))
            offers[model_id] = dataclasses.replace(same, model_id=model_id)
    for offer in told:
        offers.setdefault(offer.model_id, offer)
    for offer in offers.values():
        shipped_offer = shipped_by_id.get(offer.upstream_id)
        yield dataclasses.replace(offer, price=shipped_offer.price) if shipped_offer else offer


def _declared(declared: Iterable[tuple[str, str]], slug: str, known: Mapping[str, str]) -> list[Offer]:
    """As the operator wrote it: a canonical id, another spelling of one, or a name of its own."""
    return [
        Offer(known.get(said.lower()) or (said if "/" in said else canonical(said, slug, known)), upstream_id)
        for said, upstream_id in declared
    ]


def _discovered(
    discovered: Iterable[DiscoveredModel], slug: str, shipped: Iterable[Offer], known: Mapping[str, str]
) -> list[Offer]:
    """The models of a list, the likeliest of several ids for one model first: `gpt-5` before `gpt-5-2025-08-07`."""
    builtin_provider = BY_SLUG.get(slug)
    home = builtin_provider.home if builtin_provider else slug
    are_ids_canonical = builtin_provider is not None and builtin_provider.are_ids_canonical
    by_id = {offer.upstream_id: offer.model_id for offer in shipped}
    offers = []
    for model in discovered:
        model_id = by_id.get(model.upstream_id) or canonical(
            model.upstream_id, home, known, are_ids_canonical=are_ids_canonical
        )
        offers.append(Offer(model_id, model.upstream_id, discovered=model))
    return sorted(offers, key=lambda offer: (offer.upstream_id not in by_id, len(offer.upstream_id)))


def _new_model(offer: Offer) -> Model:
    """A model that nobody described but the provider that lists it."""
    listed = offer.discovered
    if listed is None:
        return Model(id=offer.model_id, name=offer.model_id)
    return Model(
        id=offer.model_id,
        name=listed.name or offer.model_id,
        context_length=listed.context_length,
        max_completion_tokens=listed.max_completion_tokens,
        input_modalities=listed.input_modalities or ("text",),
        output_modalities=listed.output_modalities or ("text",),
        supported_parameters=listed.supported_parameters,
        price=listed.price,
    )


def _price(provider: Provider, model: Model, offer: Offer, change: ModelChange) -> Price | None:
    said = change.endpoints.get(provider.slug)
    builtin_provider = BY_SLUG.get(provider.slug)
    is_local = builtin_provider is not None and builtin_provider.is_local
    prices = (
        provider.price,
        said.price if said else None,
        change.facts.get("price"),
        offer.discovered.price if offer.discovered else None,
        offer.price,
        FREE if is_local else model.price,
    )
    return next((price for price in prices if price is not None), None)


def _aliases(
    models: Mapping[str, Model], endpoints: Mapping[str, Sequence[Endpoint]], spellings: Mapping[str, str]
) -> dict[str, str]:
    """Every accepted spelling. What can be served is meant before what is merely known."""
    meant: dict[str, set[str]] = {}
    for model_id, served in endpoints.items():
        for endpoint in served:
            for spelling in (endpoint.upstream_id, f"{endpoint.provider.slug}/{endpoint.upstream_id}"):
                meant.setdefault(spelling, set()).add(model_id)
    upstream_ids = {spelling: ids.pop() for spelling, ids in meant.items() if len(ids) == 1}
    return aliases(models, spellings) | aliases(endpoints, {**upstream_ids, **spellings})
