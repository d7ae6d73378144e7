"""What a model's name asks for beside the model: `author/name:nitro`, `~author/family-latest`.

Specification: wire-api, sections 6.1 and 6.2. A suffix that belongs to the name of a model that is served is part of
that name. Left as the caller wrote them are suffixes that nobody knows: then it is no model's name.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from fairlead.catalog.model import Catalog
from fairlead.catalog.names import strip_gateway_prefix

VARIANTS = frozenset(("free", "extended", "thinking", "nitro", "floor", "online", "exacto"))

_WORDS = re.compile(r"[a-z]+")
_VERSION = re.compile(r"\d+(?:\.\d+)*")
_NO_FAMILY = frozenset(("preview", "exp", "beta", "instruct", "it"))
"""Words that do not make another family."""
_LATEST = "-latest"


@dataclass(frozen=True, slots=True)
class Named:
    """A model that is served, and the variants of it that were asked for."""

    model_id: str
    variants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Spellings:
    """All names that models have."""

    catalog: Catalog

    def __contains__(self, name: object) -> bool:
        return name in self.catalog.endpoints or name in self.catalog.aliases


def find_named(catalog: Catalog, name: str) -> Named | None:
    """Return what `name` means, None when no such model is served."""
    model_id = catalog.resolve(name)
    if catalog.endpoints.get(model_id):
        return Named(model_id)
    name = strip_gateway_prefix(name, _Spellings(catalog))
    variants: list[str] = []
    while True:
        model_id = latest(catalog, name) if name.startswith("~") else catalog.resolve(name)
        if catalog.endpoints.get(model_id):
            return Named(model_id, tuple(variants))
        name, colon, suffix = name.rpartition(":")
        if not colon or suffix not in VARIANTS:
            return None
        variants.insert(0, suffix)


_ADDS: Mapping[str, tuple[str, bytes]] = {
    "thinking": ("reasoning_effort", b'"medium"'),
    "online": ("web_search_options", b"{}"),
}


def added(variants: Iterable[str]) -> dict[str, bytes]:
    """Return the members that variants put into a request: JSON by name."""
    return dict(_ADDS[variant] for variant in variants if variant in _ADDS)


def latest(catalog: Catalog, alias: str) -> str:
    """Return the newest served model of a family, `~anthropic/claude-sonnet-latest`; "" if there is none.

    Of a family are those whose ids have the same words: versions, and words such as `preview`, aside.
    """
    if not alias.startswith("~") or not alias.endswith(_LATEST):
        return ""
    author, _, family = alias[1 : -len(_LATEST)].partition("/")
    wanted = _family(family)
    found = [
        model_id
        for model_id in catalog.endpoints
        if model_id.partition("/")[0] == author and _family(model_id.partition("/")[2]) == wanted
    ]
    return max(found, key=lambda model_id: (catalog.models[model_id].created, _versions(model_id)), default="")


@lru_cache(4096)
def _family(name: str) -> frozenset[str]:
    return frozenset(_WORDS.findall(name.partition(":")[0])) - _NO_FAMILY


def _versions(model_id: str) -> list[list[int]]:
    return [[int(part) for part in version.split(".")] for version in _VERSION.findall(model_id)]
