"""What a request says about how `auto` is to choose: the `auto-router` plugin, and the tiers that it names.

Specification: wire-api, sections 3.6 and 6.3. There are two scales from 0 to 10, and they run against each other: of
ours (FAIRLEAD_AUTO_COST_QUALITY) 0 is the cheapest and 10 the best, of OpenRouter's deprecated `cost_quality_tradeoff`
10 is the cheapest. Theirs is turned round where it is read, here, and nowhere else is it known. `cost_tier` has
replaced it, and counts if both are given. `pin_model` changes nothing: a conversation keeps its model anyway, as long
as that is among the best for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

MOST_BYTES = 65_536
"""Of all plugins of a request."""
MOST_WILD = 128
"""Patterns with a wildcard elsewhere than at the end: they take long to match."""

Tier = Literal["low", "medium", "high", "xhigh", "max"]
TIERS: Final[Mapping[str, tuple[float, float]]] = {
    "low": (0.0, 0.2),
    "medium": (0.2, 0.4),
    "high": (0.4, 0.6),
    "xhigh": (0.6, 0.8),
    "max": (0.8, 1.0),
}
"""Of the models that can do a request, by price: from which to which part of them."""

_Pattern = Annotated[str, Meta(min_length=1, max_length=200)]
_Patterns = Annotated[list[_Pattern], Meta(max_length=1_024)]


class _AutoRouter(msgspec.Struct):
    enabled: bool = True
    allowed_models: _Patterns | None = None
    excluded_models: _Patterns | None = None
    cost_tier: Tier | None = None
    cost_quality_tradeoff: Annotated[float, Meta(ge=0, le=10)] | None = None


@dataclass(frozen=True, slots=True)
class AutoOptions:
    """Patterns are in lower case; an empty `allowed` allows everything."""

    allowed: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    tier: str = ""
    cost_quality: float | None = None
    """0 the cheapest, 10 the best; None: as the operator has it."""


NO_OPTIONS: Final = AutoOptions()
_IDS: Final = frozenset(("auto-router", "auto-beta-router"))
_PLUGINS: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]] | None)
_OPTIONS: Final = msgspec.json.Decoder(_AutoRouter)


def auto_options(plugins: bytes | None) -> AutoOptions:
    """Read the `plugins` of a request (JSON). Raises ValueError that says what is wrong with those for `auto`."""
    if not plugins or b"-router" not in plugins:
        return NO_OPTIONS
    if len(plugins) > MOST_BYTES:
        raise ValueError(f"they are longer than {MOST_BYTES} bytes")
    return _read(plugins)


@lru_cache(256)
def _read(plugins: bytes) -> AutoOptions:
    """Kept, since callers send the same over and over."""
    try:
        for members in _PLUGINS.decode(plugins) or ():
            if (name := members.get("id")) is not None and msgspec.json.decode(name) in _IDS:
                return _compiled(_OPTIONS.decode(msgspec.json.encode(members)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError) as error:
        raise ValueError(str(error)) from None
    return NO_OPTIONS


def _compiled(said: _AutoRouter) -> AutoOptions:
    if not said.enabled:
        return NO_OPTIONS
    allowed, excluded = (
        tuple(pattern.lower() for pattern in patterns or ()) for patterns in (said.allowed_models, said.excluded_models)
    )
    if sum(is_wild(pattern) for pattern in (*allowed, *excluded)) > MOST_WILD:
        raise ValueError(f"more than {MOST_WILD} patterns have a wildcard elsewhere than at their end")
    theirs = said.cost_quality_tradeoff
    ours = None if theirs is None or said.cost_tier else 10.0 - theirs
    return AutoOptions(allowed, excluded, said.cost_tier or "", ours)


_WILD: Final = frozenset("*?[")


def is_wild(pattern: str) -> bool:
    """Whether there is a wildcard in it other than a `*` at its end."""
    return not _WILD.isdisjoint(pattern.removesuffix("*"))
