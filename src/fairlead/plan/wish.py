"""What a request wants of the endpoints that may answer it: the `provider` object, compiled.

Specification: wire-api, section 7.1. Of a key's defaults and a request's own preferences the request's count, member by
member; `ignore` is united with the key's, `only` narrowed by it, and what protects data can only be tightened.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache

import msgspec

from fairlead.access.keys import ApiKey
from fairlead.access.preferences import Cutoffs, MaxPrice, Preferences, Sort, read_preferences
from fairlead.catalog.model import Endpoint

DECIDED = frozenset((
    "model", "models", "messages", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "tools",
    "route", "provider", "plugins", "transforms", "preset", "session_id", "trace", "debug", "usage",
    "stop_server_tools_when", "deferred_tools", "max_tool_calls",
))  # fmt: skip
"""What `provider.options` cannot say: it is decided here, or what is held for the request rests on it."""

Factors = tuple[tuple[float, float], ...]
"""Pairs of a factor and a limit: the median × the factor is compared with the limit."""

_SIGMA = math.sqrt(math.log(1.0 + 0.7 * 0.7))
"""Of the log-normal that first-token times and speeds follow closely (coefficient of variation 0.7)."""
_QUANTILES: Mapping[str, float] = {"p50": 0.0, "p75": 0.6745, "p90": 1.2816, "p99": 2.3263}
"""In standard deviations of a normal distribution."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What must hold of an endpoint, what should, and the order in which endpoints are asked.

    Prices are in micro-USD: per million tokens, and per request. Slugs are in lower case.
    """

    order: tuple[str, ...] = ()
    only: frozenset[str] | None = None
    ignore: frozenset[str] = frozenset()
    has_fallbacks: bool = True
    needs: frozenset[str] = frozenset()
    """Parameters that the endpoint has to support."""
    denies_collection: bool = False
    is_zdr: bool = False
    quantizations: frozenset[str] | None = None
    sort: str = ""
    is_pooled: bool = False
    """Whether endpoints of all models compete, rather than the first model's going before the second's."""
    max_prompt: int | None = None
    max_completion: int | None = None
    max_request: int | None = None
    limited: frozenset[str] = frozenset()
    """Kinds of input (`image`, `audio`) that have a price limit by the piece, which no price list here tells."""
    slowest_tokens_per_s: Factors = ()
    longest_wait_s: Factors = ()
    is_free: bool = False
    """Only what costs nothing."""
    inputs: frozenset[str] = frozenset()
    """Kinds of input that the model has to take: `image`, `audio`."""
    is_distillable: bool = False
    """Only models whose authors allow distillation."""
    adds: Mapping[str, bytes] = field(default_factory=dict)
    """Members (JSON) that the request gets unless the caller has said them."""
    key: ApiKey | None = None
    """Whose allowed models and providers count, if it has such."""
    options: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    """By provider: further members (JSON) of a request to it."""

    @property
    def has_price_limit(self) -> bool:
        return not (self.max_prompt is None and self.max_completion is None and self.max_request is None)


ANYTHING = Wish()


def wish_of(key_text: str, given: bytes | None, parameters: Iterable[str]) -> Wish:
    """Compile a key's default preferences (JSON, "" if it has none) and a request's own (`provider`, raw JSON).

    `parameters`: those that the request has, for `require_parameters`. Raises ValueError that says what is wrong.
    """
    if not key_text and not given:
        return ANYTHING
    wish, is_strict = _compiled(key_text.encode(), given or b"")
    return replace(wish, needs=frozenset(parameters)) if is_strict else wish


def with_needs(wish: Wish, parameters: frozenset[str]) -> Wish:
    """Return the wish with parameters that the endpoint has to support as well."""
    if wish is ANYTHING and parameters in _ONLY_NEEDS:
        return _ONLY_NEEDS[parameters]
    return replace(wish, needs=wish.needs | parameters)


_ONLY_NEEDS = {needs: Wish(needs=needs) for needs in (frozenset(("tools",)),)}
"""What nearly all requests of agents want: made once."""


def with_variants(wish: Wish, variants: Iterable[str]) -> Wish:
    """Return the wish with what a model's name asks for: wire-api, section 6.1. What was said outright goes before.

    `extended` is no wish: a model has one context length here, whoever serves it.
    """
    for variant in variants:
        if variant == "free":
            wish = replace(wish, is_free=True)
        elif variant in _SORTS:
            wish = replace(wish, sort=wish.sort or _SORTS[variant])
        elif variant in _NEEDS:
            wish = replace(wish, needs=wish.needs | {_NEEDS[variant]})
    return wish


_SORTS: Mapping[str, str] = {"nitro": "throughput", "floor": "price", "exacto": "exacto"}
_NEEDS: Mapping[str, str] = {"thinking": "reasoning"}


@lru_cache(1024)
def _compiled(key_text: bytes, given: bytes) -> tuple[Wish, bool]:
    """The wish without what depends on the rest of the request, and whether all parameters are needed.

    Kept, since callers send the same preferences over and over.
    """
    default, own = read_preferences(key_text), read_preferences(given)
    chosen = _laid_over(default, own)
    only = _slugs(chosen.only)
    if default.only and own.only:
        only = _narrowed(_slugs(default.only) or frozenset(), _slugs(own.only) or frozenset())
    sort = Sort(chosen.sort) if isinstance(chosen.sort, str) else chosen.sort or Sort()
    limits = chosen.max_price or MaxPrice()
    return Wish(
        order=tuple(slug.lower() for slug in chosen.order or ()),
        only=only,
        ignore=(_slugs(default.ignore) or frozenset()) | (_slugs(own.ignore) or frozenset()),
        has_fallbacks=chosen.allow_fallbacks is not False,
        denies_collection="deny" in (default.data_collection, own.data_collection),
        is_zdr=bool(default.zdr or own.zdr),
        is_distillable=bool(default.enforce_distillable_text or own.enforce_distillable_text),
        quantizations=frozenset(chosen.quantizations) if chosen.quantizations else None,
        sort=sort.by or "",
        is_pooled=sort.partition == "none",
        max_prompt=_micro_usd(limits.prompt),
        max_completion=_micro_usd(limits.completion),
        max_request=_micro_usd(limits.request),
        limited=frozenset(kind for kind in ("image", "audio") if getattr(limits, kind) is not None),
        slowest_tokens_per_s=_factors(chosen.preferred_min_throughput, -1.0),
        longest_wait_s=_factors(chosen.preferred_max_latency, 1.0),
        options={
            slug.lower(): {name: msgspec.json.encode(value) for name, value in members.items() if name not in DECIDED}
            for slug, members in (chosen.options or {}).items()
        },
    ), bool(chosen.require_parameters)


def _laid_over(default: Preferences, own: Preferences) -> Preferences:
    said = {name: value for name in Preferences.__struct_fields__ if (value := getattr(own, name)) is not None}
    return msgspec.structs.replace(default, **said)


def _slugs(slugs: Iterable[str] | None) -> frozenset[str] | None:
    """An empty list says nothing."""
    return frozenset(slug.lower() for slug in slugs) if slugs else None


def _narrowed(some: frozenset[str], others: frozenset[str]) -> frozenset[str]:
    """Return what both lists allow."""
    return frozenset(one for one in some if _is_within(one, others)) | {one for one in others if _is_within(one, some)}


def _is_within(slug: str, allowed: Iterable[str]) -> bool:
    return any(slug == one or slug.startswith(f"{one}/") for one in allowed)


def _micro_usd(usd: float | str | None) -> int | None:
    return None if usd is None else int(Decimal(str(usd)) * 10**6)


def _factors(cutoffs: float | Cutoffs | None, direction: float) -> Factors:
    """A slower quantile of a wait is a longer one, of a speed a lower one."""
    if cutoffs is None:
        return ()
    if not isinstance(cutoffs, Cutoffs):
        return ((1.0, cutoffs),)
    said = ((_QUANTILES[name], getattr(cutoffs, name)) for name in _QUANTILES)
    return tuple((math.exp(direction * _SIGMA * z), limit) for z, limit in said if limit is not None)


def tag(endpoint: Endpoint) -> str:
    """Return what names exactly this endpoint in `order` and the like: `deepinfra/fp4`, or the slug of its provider."""
    quantization = endpoint.provider.quantization
    return f"{endpoint.provider.slug}/{quantization}" if quantization else endpoint.provider.slug


def is_named(endpoint: Endpoint, slug: str) -> bool:
    """Whether a slug means this endpoint: its provider's means all that it has, one with a suffix exactly one."""
    return slug == endpoint.provider.slug or slug == tag(endpoint)
