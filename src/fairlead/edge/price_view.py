"""A price as the catalogue shows it: decimal strings in USD per token, `request` per request, no digit lost.

| member of `Price`                         | key                                                          |
|-------------------------------------------|--------------------------------------------------------------|
| prompt, completion, request               | the same                                                     |
| cache_read, cache_write, cache_write_1h   | input_cache_read, input_cache_write, input_cache_write_1h    |
| prompt_audio, prompt_image                | audio, image_token                                           |
| completion_audio, completion_image        | audio_output, image_output                                   |
| reasoning                                 | internal_reasoning                                           |
| tiers                                     | overrides, each with its min_prompt_tokens                   |

Specification: wire-api, section 8.1. A price that is not known is "-1", OpenRouter's sign for "depends".
"""

from collections.abc import Iterable
from decimal import Decimal

from fairlead.catalog.model import Price

_KEYS = {
    "cache_read": "input_cache_read",
    "cache_write": "input_cache_write",
    "cache_write_1h": "input_cache_write_1h",
    "prompt_audio": "audio",
    "prompt_image": "image_token",
    "reasoning": "internal_reasoning",
    "completion_audio": "audio_output",
    "completion_image": "image_output",
}
_ELSE = {
    "cache_read": "prompt",
    "cache_write": "prompt",
    "cache_write_1h": "cache_write",
    "prompt_audio": "prompt",
    "prompt_image": "prompt",
    "reasoning": "completion",
    "completion_audio": "completion",
    "completion_image": "completion",
}
"""What such tokens cost where they have no price of their own: as in `catalog/pricing.py`."""


def cheapest(prices: Iterable[Price | None]) -> Price | None:
    """Return the price that a model is shown with: the lowest of those that are known."""
    known = (price for price in prices if price is not None)
    return min(known, key=lambda price: price.prompt + price.completion, default=None)


def price_view(price: Price | None) -> dict[str, object]:
    """Return the `pricing` member of a model or an endpoint."""
    if price is None:
        return {"prompt": "-1", "completion": "-1"}
    names = [name for name in _KEYS if getattr(price, name) is not None]
    shown: dict[str, object] = _shown(price, names)
    overrides: list[dict[str, object]] = []
    for tier in price.tiers:
        # Keys that an override leaves out stay as they were: what loses its own price has to be said as well.
        names = [name for name in _KEYS if name in names or getattr(tier.price, name) is not None]
        overrides.append({"min_prompt_tokens": tier.above_tokens, **_shown(tier.price, names)})
    return shown | {"overrides": overrides} if overrides else shown


def _shown(price: Price, names: Iterable[str]) -> dict[str, object]:
    return {
        "prompt": _usd_per_token(price.prompt),
        "completion": _usd_per_token(price.completion),
        "request": _decimal(Decimal(price.request) / 10**6),
        **{_KEYS[name]: _usd_per_token(_charged(price, name)) for name in names},
    }


def _charged(price: Price, name: str) -> int:
    """Return what tokens of a kind cost, whether or not they have a price of their own."""
    own: int | None = getattr(price, name)
    return _charged(price, _ELSE[name]) if own is None else own


def _usd_per_token(micros_per_mtok: int) -> str:
    return _decimal(Decimal(micros_per_mtok) / 10**12)


def _decimal(value: Decimal) -> str:
    return f"{value.normalize():f}"
