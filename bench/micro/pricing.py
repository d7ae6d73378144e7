"""The cost of a reply."""

from collections.abc import Sequence

from bench.micro.timing import Case
from fairlead.catalog.model import Price, Tier
from fairlead.catalog.pricing import Usage, bill_of, cost_usd_nanos


def cases() -> Sequence[Case]:
    """A plain price, and one that rises with the prompt."""
    usage = Usage(prompt_tokens=250_000, completion_tokens=800, cached_tokens=1_024)
    flat = Price(prompt=1_250_000, completion=10_000_000, cache_read=125_000)
    dear = Price(prompt=2_500_000, completion=15_000_000, cache_read=250_000)
    tiered = Price(prompt=1_250_000, completion=10_000_000, tiers=(Tier(above_tokens=200_000, price=dear),))
    return [
        Case("empty call, part of every figure", lambda: None),
        Case("cost, one price", lambda: cost_usd_nanos(flat, usage)),
        Case("cost, two tiers", lambda: cost_usd_nanos(tiered, usage)),
        Case("bill", lambda: bill_of(flat, usage)),
    ]
