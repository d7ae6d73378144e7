"""What a request costs, in whole numbers.

Prices are micro-USD per million tokens, so tokens times price is pico-USD (10**-12 USD) and exact. The sum is rounded
once, half up, to nano-USD: the unit of the ledger. No float takes part, since 0.1 + 0.2 in a ledger is a bug report.
"""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

import msgspec

from fairlead.catalog.model import Price

PICO_PER_NANO = 1_000
PICO_PER_MICRO = 1_000_000

DEAREST_USD_PER_MTOK = Decimal(100_000)
"""Above this a price is taken for a mistake in the unit; the dearest model so far cost 600 USD per million tokens."""


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one request as providers count them, in OpenAI's sense of the words.

    `prompt_tokens` and `completion_tokens` include all the others, `cache_write_tokens` those written for an hour.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_1h_tokens: int = 0
    prompt_audio_tokens: int = 0
    prompt_image_tokens: int = 0
    completion_audio_tokens: int = 0
    completion_image_tokens: int = 0
    reported_usd_nanos: int | None = None
    """What the provider itself says the request cost."""


class Bill(msgspec.Struct, frozen=True):
    """What one request cost in nano-USD, and which parts of it the prompt and the completion are: they add up.

    The parts are None where only the provider's own word is known.
    """

    usd_nanos: int
    prompt_usd_nanos: int | None = None
    completion_usd_nanos: int | None = None


def cost_of(price: Price | None, usage: Usage) -> int | None:
    """Cost of one request in nano-USD: what the provider says, else its price; None when nobody knows."""
    if usage.reported_usd_nanos is not None:
        return usage.reported_usd_nanos
    return None if price is None else cost_usd_nanos(price, usage)


def bill_of(price: Price | None, usage: Usage) -> Bill | None:
    """As `cost_of`, with the parts. Of a cost that the provider reports, the prompt's is what it costs by price."""
    reported = usage.reported_usd_nanos
    if price is None:
        return None if reported is None else Bill(reported)
    prompt, completion = parts_usd_nanos(price, usage)
    if reported is None:
        return Bill(prompt + completion, prompt, completion)
    prompt = min(prompt, reported)
    return Bill(reported, prompt, reported - prompt)


def cost_usd_nanos(price: Price, usage: Usage) -> int:
    """Cost of one request by price, in nano-USD (10**-9 USD), never negative.

    Providers' counters are not trusted to add up: negative ones count as 0, and every token is charged once, first as
    cached, then as written to the cache, then as audio, as image; reasoning, audio, image. Cached audio is cached.
    """
    prompt, completion = _picos(price, usage)
    return _nanos(prompt + completion)


def most_usd_nanos(price: Price, prompt_tokens: int, completion_tokens: int) -> int:
    """The most that so many tokens can cost by price, in nano-USD: were each of the dearest kind of its side."""
    if price.tiers:
        price = _tier(price, prompt_tokens)
    prompt = (price.prompt, price.cache_write, price.cache_write_1h, price.prompt_audio, price.prompt_image)
    completion = (price.completion, price.reasoning, price.completion_audio, price.completion_image)
    dearest, dearest_out = (max(one for one in side if one is not None) for side in (prompt, completion))
    picos = prompt_tokens * dearest + completion_tokens * dearest_out + price.request * PICO_PER_MICRO
    return _nanos(picos)


def parts_usd_nanos(price: Price, usage: Usage) -> tuple[int, int]:
    """`cost_usd_nanos` in two parts that add up to it: of the prompt (and the request), and of the completion."""
    prompt, completion = _picos(price, usage)
    prompt_nanos = _nanos(prompt)
    return prompt_nanos, _nanos(prompt + completion) - prompt_nanos


def _nanos(picos: int) -> int:
    return (picos + PICO_PER_NANO // 2) // PICO_PER_NANO


def _picos(price: Price, usage: Usage) -> tuple[int, int]:
    prompt_tokens = usage.prompt_tokens
    if price.tiers:
        price = _tier(price, prompt_tokens)
    prompt = max(prompt_tokens, 0) * price.prompt
    is_written = usage.cache_write_tokens or usage.cache_write_1h_tokens
    if usage.cached_tokens or is_written or usage.prompt_audio_tokens or usage.prompt_image_tokens:
        write, write_1h = price.cache_write, price.cache_write_1h
        written_1h = max(usage.cache_write_1h_tokens, 0)
        prompt = _each_once(
            prompt_tokens,
            price.prompt,
            (
                (usage.cached_tokens, price.cache_read),
                (written_1h, write if write_1h is None else write_1h),
                (usage.cache_write_tokens - written_1h, write),
                (usage.prompt_audio_tokens, price.prompt_audio),
                (usage.prompt_image_tokens, price.prompt_image),
            ),
        )
    completion = max(usage.completion_tokens, 0) * price.completion
    if usage.reasoning_tokens or usage.completion_audio_tokens or usage.completion_image_tokens:
        completion = _each_once(
            usage.completion_tokens,
            price.completion,
            (
                (usage.reasoning_tokens, price.reasoning),
                (usage.completion_audio_tokens, price.completion_audio),
                (usage.completion_image_tokens, price.completion_image),
            ),
        )
    return prompt + price.request * PICO_PER_MICRO, completion


def _each_once(tokens: int, price: int, parts: tuple[tuple[int, int | None], ...]) -> int:
    """Pico-USD of `tokens`: as many as there are by the price of each part in turn, what is left by `price`."""
    left, picos = max(tokens, 0), 0
    for told, own_price in parts:
        if told > 0:
            count = min(told, left)
            left -= count
            picos += count * (price if own_price is None else own_price)
    return picos + left * price


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
