"""The models that `auto` may choose from, and which of them a request can use: read once per catalogue.

What a model can do is a set of bits, and what a request needs another, so that to compare them takes one operation.
About a model of which nothing is known anything may be asked (as elsewhere), but it comes after those that are known to
be able.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final

from fairlead.access.admit import may_use_model, may_use_provider
from fairlead.access.keys import ApiKey
from fairlead.catalog.model import Catalog, Endpoint, Price
from fairlead.plan.auto_options import AutoOptions, is_wild
from fairlead.plan.filters import excluded
from fairlead.plan.quality import PROMPT_SHARE, abilities, blended
from fairlead.plan.wish import Wish
from fairlead.wire.features import Features

MARGIN = 1.25
"""Prompts are estimated at four bytes a token, and one that is too long is refused."""
_SMALL_CONTEXT: Final = 8_000
"""Tokens that any model takes, one about which nothing is known too."""
_MOST_KEPT: Final = 256


@dataclass(slots=True)
class Entry:
    """A model that can be chosen."""

    model_id: str
    endpoints: Sequence[Endpoint]
    can: int
    """Parameters and modalities, a bit each."""
    makes: int
    """What its replies may have beside text."""
    is_known: bool
    """Whether its parameters are."""
    is_free: bool
    context: int
    """Tokens; 0: nobody knows."""
    most_output: int
    usd_per_mtok: float
    """Of a usual request, where it is cheapest."""
    ability: float
    place: int = 0
    """By rising price."""

    def is_wanted(self, wish: Wish, providers: frozenset[str]) -> bool:
        """Whether any endpoint passes the filters of a request, which `providers` do as such."""
        return any(one.provider.slug in providers and excluded(one, wish) is None for one in self.endpoints)


@dataclass(slots=True)
class Needs:
    """What of a request decides who can answer it."""

    parameters: int
    inputs: int
    outputs: int
    tokens: int
    output_tokens: int
    is_free: bool

    def met_by(self, entry: Entry) -> bool | None:
        """Whether they are; None if nobody knows."""
        if self.inputs & ~entry.can or self.tokens > entry.context > 0 or (self.is_free and not entry.is_free):
            return False
        # What paints or speaks does so when asked to, and is priced for it.
        if (entry.makes or self.outputs) and not self.outputs & entry.makes:
            return False
        if self.parameters & ~entry.can:
            return False if entry.is_known else None
        if self.tokens > _SMALL_CONTEXT and not entry.context:
            return None
        # Some providers refuse a limit above their own, most lower it.
        return None if self.output_tokens > entry.most_output > 0 else True


class _Bits(dict[str, int]):
    """A bit for each name."""

    def __missing__(self, name: str) -> int:
        self[name] = bit = 1 << len(self)
        return bit


class Roster:
    """The served models that make text, by rising price."""

    def __init__(self, catalog: Catalog, patterns: Sequence[str] = ()) -> None:
        """`patterns`: ids that may be chosen, those with a `!` before them excepted; without any all may be."""
        self._catalog = catalog
        self._bits = _Bits()
        self._samples = {one.provider.slug: one for served in catalog.endpoints.values() for one in served}
        self._allowed: dict[tuple[tuple[str, ...], ...], frozenset[str]] = {}
        wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
        unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
        self.entries = self._read(_matching(wanted or ["*"], catalog) - _matching(unwanted, catalog))

    def _read(self, ids: frozenset[str]) -> list[Entry]:
        catalog = self._catalog
        ability = abilities(catalog.models[model_id] for model_id in catalog.endpoints)
        entries = [self._entry(model_id, ability[model_id]) for model_id in catalog.endpoints if model_id in ids]
        entries = [entry for entry in entries if self._bits["out:text"] & entry.can]
        dearest = max((entry.usd_per_mtok for entry in entries if entry.usd_per_mtok < math.inf), default=1.0)
        for entry in entries:
            entry.usd_per_mtok = min(entry.usd_per_mtok, dearest)  # a price nobody knows counts as the dearest
        entries.sort(key=lambda entry: (entry.usd_per_mtok, entry.model_id))
        for place, entry in enumerate(entries):
            entry.place = place
        return entries

    def _entry(self, model_id: str, ability: float) -> Entry:
        endpoints, model = self._catalog.endpoints[model_id], self._catalog.models[model_id]
        makes = {f"out:{one}" for one in model.output_modalities}
        names = {*model.supported_parameters, *(f"in:{one}" for one in model.input_modalities), *makes}
        return Entry(
            model_id,
            endpoints,
            can=sum(self._bits[name] for name in names),
            makes=sum(self._bits[name] for name in makes - {"out:text"}),
            is_known=bool(model.supported_parameters),
            is_free=any(one.price is not None and one.price.is_free for one in endpoints),
            context=model.context_length or 0,
            most_output=model.max_completion_tokens or 0,
            usd_per_mtok=min((_usd_per_mtok(one.price) for one in endpoints), default=math.inf),
            ability=ability,
        )

    def needs(self, features: Features, wish: Wish) -> Needs:
        """Return what a request needs, for `Needs.met_by`."""
        bits = self._bits
        return Needs(
            parameters=sum(bits[name] for name in features.needs | wish.needs),
            inputs=sum(bits[f"in:{one}"] for one in features.inputs),
            outputs=sum(bits[f"out:{one}"] for one in features.outputs),
            tokens=round(features.prompt_tokens * MARGIN) + features.output_tokens,
            output_tokens=features.output_tokens,
            is_free=wish.is_free,
        )

    def providers(self, wish: Wish, key: ApiKey) -> frozenset[str]:
        """Return the slugs of those who may be asked, as far as it does not matter for what: to look at few endpoints.

        What is left of the wish without its needs and prices is about providers.
        """
        wish = replace(wish, needs=frozenset(), max_prompt=None, max_completion=None, max_request=None, is_free=False)
        return frozenset(
            slug for slug, one in self._samples.items() if may_use_provider(key, slug) and excluded(one, wish) is None
        )

    def allowed(self, key: ApiKey, options: AutoOptions) -> frozenset[str]:
        """Return the ids that the key and the request's own patterns allow."""
        limits = key.allowed_models, key.allowed_providers, options.allowed, options.excluded
        ids = self._allowed.get(limits)
        if ids is None:
            if len(self._allowed) >= _MOST_KEPT:
                self._allowed.clear()
            asked = _matching(options.allowed or ["*"], self._catalog) - _matching(options.excluded, self._catalog)
            ids = self._allowed[limits] = frozenset(
                entry.model_id
                for entry in self.entries
                if entry.model_id in asked
                and may_use_model(key, entry.model_id)
                and any(may_use_provider(key, one.provider.slug) for one in entry.endpoints)
            )
        return ids


def _usd_per_mtok(price: Price | None) -> float:
    if price is None:
        return math.inf
    # A usual request has a thousand tokens for its completion, and PROMPT_SHARE times as many for its prompt.
    return (blended(price) + price.request * 1_000.0 / (PROMPT_SHARE + 1)) / 1e6


def _matching(patterns: Sequence[str], catalog: Catalog) -> frozenset[str]:
    """Return the ids that match any of the patterns. What has no wildcard may be any spelling of a model."""
    exact = {catalog.resolve(pattern) for pattern in patterns if not pattern.endswith("*")}
    heads = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*") and not is_wild(pattern))
    wild = [pattern for pattern in patterns if is_wild(pattern)]
    return frozenset(
        model_id
        for model_id in catalog.endpoints
        if model_id in exact or model_id.startswith(heads) or any(fnmatchcase(model_id, one) for one in wild)
    )
