"""The operator's own catalogue file (FAIRLEAD_CATALOG), laid over the built-in one.

    [models."openai/gpt-5"]
    context_length = 400_000
    price = { prompt = 1.25, completion = 10, cache_read = 0.125 }     # USD per million tokens
    endpoints.azure = "my-gpt-5-deployment"
    endpoints.acme = { upstream_id = "gpt5", price = { prompt = 1, completion = 8 } }

A price may have any member of `Price`, so that sound, pictures, reasoning and what caches keep can be charged apart.
The same tree in JSON is as good. Whatever is not said stays as it was. Every mistake is an error that names the key.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, get_args

from fairlead.catalog.model import Modality, Price, Tier
from fairlead.catalog.pricing import price_from_usd_per_mtok
from fairlead.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ServedAt:
    """One `endpoints.<provider>` entry."""

    upstream_id: str
    price: Price | None = None


@dataclass(frozen=True, slots=True)
class ModelChange:
    """What an operator says of one model: `facts` are members of `Model` with their new values."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    endpoints: Mapping[str, ServedAt] = field(default_factory=dict)
    """By provider slug."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """By canonical model id."""

    models: Mapping[str, ModelChange] = field(default_factory=dict)


NO_OVERRIDES: Final = Overrides()

_MODEL_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]*/[^\s/]+")


def parse_overrides(text: str, format: Literal["toml", "json"]) -> Overrides:
    """Read a catalogue file. Raises ConfigError with the key, its value and what to write instead."""
    try:
        tree = tomllib.loads(text, parse_float=Decimal) if format == "toml" else json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"FAIRLEAD_CATALOG is not valid {format.upper()}: {error}") from None
    root = _table("the file", tree, ("models",))
    models = _table("models", root.get("models", {}))
    return Overrides({model: _model(model, value) for model, value in models.items()})


def _model(model: str, value: object) -> ModelChange:
    at = f'models."{model}"'
    if not _MODEL_ID.fullmatch(model):
        raise _wrong(at, model, "write the canonical id, author/name in lower case, such as openai/gpt-5-mini")
    table = _table(at, value, (*_FACTS, "endpoints"))
    facts = {key: _FACTS[key](f"{at}.{key}", said) for key, said in table.items() if key != "endpoints"}
    endpoints = _table(f"{at}.endpoints", table.get("endpoints", {}))
    return ModelChange(facts, {slug: _served(f"{at}.endpoints.{slug}", said) for slug, said in endpoints.items()})


def _served(at: str, value: object) -> ServedAt:
    if isinstance(value, str):
        return ServedAt(_text(at, value))
    table = _table(at, value, ("upstream_id", "price"))
    if "upstream_id" not in table:
        raise ConfigError(f"FAIRLEAD_CATALOG: {at} has no upstream_id; add the provider's name of the model")
    price = _price(f"{at}.price", table["price"]) if "price" in table else None
    return ServedAt(_text(f"{at}.upstream_id", table["upstream_id"]), price)


_PRICE_KEYS: Final = (
    "prompt", "completion", "cache_read", "cache_write", "cache_write_1h", "prompt_audio", "prompt_image", "reasoning",
    "completion_audio", "completion_image", "request",
)  # fmt: skip


def _price(at: str, value: object) -> Price:
    table = _table(at, value, (*_PRICE_KEYS, "tiers"))
    for key in ("prompt", "completion"):
        if key not in table:
            raise ConfigError(f"FAIRLEAD_CATALOG: {at} has no {key}; a price has at least prompt and completion")
    tiers = table.pop("tiers", [])
    if not isinstance(tiers, list):
        raise _wrong(f"{at}.tiers", tiers, "write a list of { above_tokens, prompt, completion }")
    micros = {key: _usd(f"{at}.{key}", said) for key, said in table.items()}
    return Price(**micros, tiers=tuple(_tier(f"{at}.tiers[{i}]", tier) for i, tier in enumerate(tiers)))


def _tier(at: str, value: object) -> Tier:
    table = dict(_table(at, value, ("above_tokens", *_PRICE_KEYS)))
    return Tier(_tokens(f"{at}.above_tokens", table.pop("above_tokens", None)), _price(at, table))


def _usd(at: str, value: object) -> int:
    if not isinstance(value, int | str | Decimal):
        raise _wrong(at, value, "write USD per million tokens, such as 1.25")
    try:
        return price_from_usd_per_mtok(value)
    except ValueError as error:
        raise ConfigError(f"FAIRLEAD_CATALOG: {at}: {error}; write USD per million tokens, such as 1.25") from None


def _tokens(at: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise _wrong(at, value, "write a whole number of tokens above 0")
    return value


def _created(at: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _wrong(at, value, "write the release as Unix seconds")
    return value


def _text(at: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _wrong(at, value, "write some text")
    return value


def _texts(at: str, value: object) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise _wrong(at, value, 'write a list of words, such as ["text"]')
    return value


def _modalities(at: str, value: object) -> tuple[Modality, ...]:
    words = _texts(at, value)
    for word in words:
        if word not in get_args(Modality):
            raise _wrong(at, word, f"choose from {', '.join(get_args(Modality))}{_meant(word, get_args(Modality))}")
    return tuple(modality for modality in get_args(Modality) if modality in words)


def _parameters(at: str, value: object) -> frozenset[str]:
    return frozenset(_texts(at, value))


_FACTS: Final = {
    "name": _text,
    "description": _text,
    "context_length": _tokens,
    "max_completion_tokens": _tokens,
    "input_modalities": _modalities,
    "output_modalities": _modalities,
    "supported_parameters": _parameters,
    "price": _price,
    "created": _created,
}


def _table(at: str, value: object, known: tuple[str, ...] | None = None) -> dict[str, Any]:
    """`value` as a table, whose keys have to be `known` unless any may occur."""
    if not isinstance(value, dict):
        raise _wrong(at, value, "write a table")
    for key in value:
        if known is not None and key not in known:
            meant = _meant(key, known)
            raise ConfigError(f"FAIRLEAD_CATALOG: {at} has no member {key!r}{meant}; known are {', '.join(known)}")
    return dict(value)


def _meant(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _wrong(at: str, value: object, remedy: str) -> ConfigError:
    shown = str(value) if isinstance(value, Decimal) else repr(value)
    return ConfigError(f"FAIRLEAD_CATALOG: {at} is {shown[:80]}; {remedy}")
