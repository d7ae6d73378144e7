"""Routing preferences: what a request's `provider` may hold. A key's defaults are checked when they are set.

Names and types as in OpenRouter's `ProviderPreferences`. Whether a slug exists is not checked: providers come and go.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MOST_BYTES = 8_192

_Amount = Annotated[float, Meta(ge=0)]
_Price = _Amount | Annotated[str, Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,12})?$")]
"""OpenRouter takes text as well as numbers."""
_Slugs = Annotated[list[Annotated[str, Meta(min_length=1, max_length=100)]], Meta(max_length=100)]
_Quantization = Literal[
    "int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32", "unknown"
]
_Order = Literal["price", "throughput", "latency", "exacto"]


class _Known(msgspec.Struct, forbid_unknown_fields=True):
    """What is misspelt must not go unnoticed."""


class Sort(_Known):
    by: _Order | None = None
    partition: Literal["model", "none"] | None = None


class MaxPrice(_Known):
    """USD: per million tokens of prompt and completion, else per unit."""

    prompt: _Price | None = None
    completion: _Price | None = None
    image: _Price | None = None
    audio: _Price | None = None
    request: _Price | None = None


class Cutoffs(_Known):
    p50: _Amount | None = None
    p75: _Amount | None = None
    p90: _Amount | None = None
    p99: _Amount | None = None


class Preferences(_Known):
    order: _Slugs | None = None
    only: _Slugs | None = None
    ignore: _Slugs | None = None
    allow_fallbacks: bool | None = None
    require_parameters: bool | None = None
    data_collection: Literal["allow", "deny"] | None = None
    zdr: bool | None = None
    enforce_distillable_text: bool | None = None
    quantizations: list[_Quantization] | None = None
    sort: _Order | Sort | None = None
    max_price: MaxPrice | None = None
    preferred_min_throughput: _Amount | Cutoffs | None = None
    preferred_max_latency: _Amount | Cutoffs | None = None
    options: dict[str, dict[str, object]] | None = None


_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(Preferences)


def pack_preferences(value: object) -> str:
    """Return preferences as ApiKey keeps them: JSON. Raises ValueError that says what is wrong with `value`."""
    text = _ENCODER.encode(value)
    if len(text) > MOST_BYTES:
        raise ValueError(f"it is longer than {MOST_BYTES} bytes")
    try:
        _ = _DECODER.decode(text)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    return text.decode()


_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)


def read_preferences(text: bytes) -> Preferences:
    """Return the preferences in a `provider` object; none in `b""` and `null`. Raises ValueError: what is wrong.

    Members of other names are left out of account, since OpenRouter may add some any day.
    """
    if not text:
        return Preferences()
    try:
        members = _MEMBERS.decode(text) or {}
        known = {name: members[name] for name in Preferences.__struct_fields__ if name in members}
        return _DECODER.decode(_ENCODER.encode(known))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None
