"""What a request costs, in whole numbers.

Prices are micro-USD per million tokens, so tokens times price is pico-USD (10**-12 USD) and exact. The sum is rounded
once, half up, to nano-USD: the unit of the ledger. No float takes part, since 0.1 + 0.2 in a ledger is a bug report.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from fairlead.catalog.model import Price

PICO_PER_NANO = 1_000
PICO_PER_MICRO = 1_000_000

DEAREST_USD_PER_MTOK = Decimal(100_000)
"""Above this a price is taken for a mistake in the unit; the dearest model so far cost 600 USD per million tokens."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request as providers count them, in OpenAI's sense of the words.

    `prompt_tokens` includes the cached and the cache-written ones, `completion_tokens` includes the reasoning ones.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


def cost_usd_nanos(price: Price, usage: Usage) -> int:
    """Cost of one request in nano-USD (10**-9 USD), never negative.

    Providers' counters are not trusted to add up: negative ones count as 0, cached tokens are at most the prompt, and
    written ones at most the rest of it.
    """
    prompt = max(usage.prompt_tokens, 0)
    cached = min(max(usage.cached_tokens, 0), prompt)
    written = min(max(usage.cache_write_tokens, 0), prompt - cached)
    price = _tier(price, prompt)
    cache_read = price.prompt if price.cache_read is None else price.cache_read
    cache_write = price.prompt if price.cache_write is None else price.cache_write
    picos = (
        (prompt - cached - written) * price.prompt
        + cached * cache_read
        + written * cache_write
        + max(usage.completion_tokens, 0) * price.completion
        + price.request * PICO_PER_MICRO
    )
    return (picos + PICO_PER_NANO // 2) // PICO_PER_NANO


def _tier(price: Price, prompt_tokens: int) -> Price:
    chosen = price
    for tier in price.tiers:
        if prompt_tokens > tier.above_tokens:
            chosen = tier.price
    return chosen


def price_from_usd_per_token(value: str | float | Decimal) -> int:
    """Micro-USD per million tokens from USD per single token, as OpenRouter publishes it: `"0.0000025"` is 2_500_000.

    Raises ValueError when it is no number, negative (OpenRouter's `"-1"` means "depends") or out of range.
    """
    return _micros(_decimal(value) * 1_000_000, value)


def price_from_usd_per_mtok(value: str | float | Decimal) -> int:
    """Micro-USD per million tokens from USD per million tokens, as people write it: 2.5 is 2_500_000.

    Raises ValueError as above.
    """
    return _micros(_decimal(value), value)


def _decimal(value: str | float | Decimal) -> Decimal:
    try:
        # A float goes by its shortest text, so that 0.1 is one tenth and not 0.1000000000000000055.
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a number") from None
    if isinstance(value, bool) or not number.is_finite():
        raise ValueError(f"{value!r} is not a number")
    if number < 0:
        raise ValueError(f"{value!r} is negative; a price is 0 or more")
    if number > DEAREST_USD_PER_MTOK:  # also keeps exponents out that would not fit the arithmetic below
        raise ValueError(f"{value!r} is no price per token or million tokens; check the unit")
    return number


def _micros(usd_per_mtok: Decimal, value: object) -> int:
    if usd_per_mtok > DEAREST_USD_PER_MTOK:
        raise ValueError(f"{value!r} comes to {usd_per_mtok:f} USD per million tokens; check the unit")
    return int((usd_per_mtok * 1_000_000).to_integral_value(rounding=ROUND_HALF_UP))
