"""What makes two requests the same to the response cache, and what a caller may ask of it (wire-api, section 11).

    X-OpenRouter-Cache: true         keep the reply, and give it again to the same question
    X-OpenRouter-Cache-TTL: 600      for so many seconds
    X-OpenRouter-Cache-Clear: true   forget the one that there is, ask anew, keep the new one

The same are requests of one API key to one path, for one model, both streamed or both not, whose bodies are alike but
for white space between the tokens of JSON. The order of members counts, and one left out is not one that says what is
the default anyway: what was sent is compared, not what it means. Headers do not count.

Where the specification is silent: `true` and `false` in any case, and anything else says nothing; the path stands for
the kind of endpoint, since replies under one base need not be those under another.
"""

import contextlib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

ASKED = b"x-openrouter-cache"
"""The header without which nothing here is looked at."""
_TTL = b"x-openrouter-cache-ttl"
_CLEAR = b"x-openrouter-cache-clear"

DEFAULT_TTL_S = 300
MIN_TTL_S = 1
MAX_TTL_S = 86_400

_DIGITS = re.compile(rb"[ \t]*0*([0-9]*)")
_MOST_DIGITS = 6
"""More of them are more than MAX_TTL_S, and Python refuses to read some thousand."""


@dataclass(frozen=True, slots=True)
class PresetCache:
    """What a preset says (`cache_enabled`, `cache_ttl_seconds`); None: nothing."""

    is_enabled: bool | None = None
    ttl_s: int | None = None


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How the cache serves one request."""

    ttl_s: int = DEFAULT_TTL_S
    is_cleared: bool = False
    """Whatever is kept is not the answer, and goes."""


def cache_policy(fields: Mapping[bytes, bytes], preset: PresetCache | None = None) -> CachePolicy | None:
    """Return what the caller wants of the cache, None if nothing. `fields`: headers by lower-case name.

    A preset that turns it off beats everything, the header beats a preset that turns it on.
    """
    is_wanted = _switch(fields.get(ASKED))
    ttl_s = _ttl_s(fields.get(_TTL))
    if preset is not None:
        if preset.is_enabled is False:
            return None
        is_wanted = preset.is_enabled if is_wanted is None else is_wanted
        ttl_s = preset.ttl_s if ttl_s is None else ttl_s
    if not is_wanted:
        return None
    ttl_s = DEFAULT_TTL_S if ttl_s is None else min(max(ttl_s, MIN_TTL_S), MAX_TTL_S)
    return CachePolicy(ttl_s, is_cleared=_switch(fields.get(_CLEAR)) is True)


def cache_key(body: bytes, *, path: str, api_key: str, model: str, is_stream: bool) -> str:
    """Return the name of a request's entry: 64 hex digits. `api_key`: its hash; `body`: what was sent.

    Of a body that cannot be read as JSON the bytes count as they are.
    """
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        body = msgspec.json.format(body, indent=-1)  # takes out white space, and leaves all else as it is
    digest = hashlib.sha256(body).hexdigest()
    return hashlib.sha256(f"{api_key}\0{path}\0{is_stream:d}\0{digest}\0{model}".encode()).hexdigest()


def _switch(value: bytes | None) -> bool | None:
    return None if value is None else {b"true": True, b"false": False}.get(value.strip().lower())


def _ttl_s(value: bytes | None) -> int | None:
    """Return the digits in front, as a number; None if there are none."""
    found = _DIGITS.match(value or b"")
    if found is None or not found[0].strip():
        return None
    return MAX_TTL_S if len(found[1]) > _MOST_DIGITS else int(found[1] or b"0")
