"""The order in which a request's preferences want fit endpoints to be asked.

Specification: wire-api, section 7.1. Each step keeps the order of those that it does not tell apart, so that what is
left open is decided by least latency, as always.

What the sorts go by is what is known now, in seconds rather than minutes: the price of a usual request, the median
first-token time, the median speed. `exacto` (quality with tools) goes by the share of requests that fail; how good the
answers are nobody here measures. Quantiles other than the median are derived from it, by the spread that first-token
times and speeds have (log-normal, coefficient of variation 0.7).
"""

from collections.abc import Callable, Mapping, Sequence

from fairlead.catalog.model import Price
from fairlead.plan.candidate import Candidate
from fairlead.plan.filters import rank
from fairlead.plan.pick import STICKY
from fairlead.plan.wish import Wish

_PROMPT_SHARE = 3
"""Prompt tokens for each token of a completion, in the price that endpoints are sorted by."""


def arranged(candidates: Sequence[Candidate], wish: Wish) -> Sequence[Candidate]:
    """Return candidates, given least latency first, as the wish wants them."""
    if wish.sort:
        candidates = sorted(candidates, key=_SORTS[wish.sort])
    if wish.slowest_tokens_per_s or wish.longest_wait_s:
        candidates = sorted(candidates, key=lambda candidate: not is_fast_enough(candidate, wish))
    if wish.order:
        candidates = sorted(candidates, key=lambda candidate: rank(candidate.endpoint, wish.order))
    elif not wish.has_fallbacks:
        # Not one that comes first to be probed, or looked at: nobody stands behind it.
        candidates = ([one for one in candidates if one.note in ("", STICKY)] or candidates)[:1]
    if wish.adds or wish.options:
        for candidate in candidates:
            candidate.adds = {**wish.adds, **wish.options.get(candidate.endpoint.provider.slug, {})}
    return candidates


def is_fast_enough(candidate: Candidate, wish: Wish) -> bool:
    """Whether an endpoint keeps within every limit of `preferred_min_throughput` and `preferred_max_latency`."""
    known = candidate.health.estimate
    return all(known.first_token_s * factor <= limit for factor, limit in wish.longest_wait_s) and all(
        factor >= limit * known.token_s for factor, limit in wish.slowest_tokens_per_s
    )


def _price(candidate: Candidate) -> float:
    """What nobody knows counts as dear."""
    price: Price | None = candidate.endpoint.price
    if price is None:
        return float("inf")
    return price.prompt * _PROMPT_SHARE + price.completion + price.request * 1_000.0


def _latency(candidate: Candidate) -> float:
    return candidate.health.estimate.first_token_s


def _slowness(candidate: Candidate) -> float:
    return candidate.health.estimate.token_s


def _unreliability(candidate: Candidate) -> float:
    known = candidate.health.estimate
    return round(known.failure + known.cut, 2)


_SORTS: Mapping[str, Callable[[Candidate], float]] = {
    "price": _price,
    "latency": _latency,
    "throughput": _slowness,
    "exacto": _unreliability,
}
