"""API keys: how they look, how they are recognised, what is kept of them.

    sk-fl-v1-<64 hex digits of randomness><8 hex digits of CRC-32>

Only SHA-256 of a key is kept. A slow hash would protect passwords; a key of 256 random bits cannot be guessed from its
hash. Keys are looked up by that hash, so no comparison's duration tells anything about a key. The check digits tell a
mistyped key from an unknown one without asking the store, and keep junk from reaching it.
"""

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass
from typing import Literal

PREFIX = "sk-fl-v1-"
_FORM = re.compile(rb"sk-fl-v1-([0-9a-f]{64})([0-9a-f]{8})")

DEMO_KEY = "sk-fl-demo"
"""Works only while nothing but the demo providers is behind a loopback listener."""

Reset = Literal["daily", "weekly", "monthly"]

MOST_RESUMED = 100_000
"""The highest `resume_tokens`: some 30 MB of a stream are kept for so many."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key. `hash` (hex) is its identity everywhere; the key itself is shown once and forgotten.

    Times are Unix seconds. A limit of None does not limit; an empty list allows everything.
    """

    hash: str
    name: str
    label: str
    """The key with its middle left out, to recognise it by: `sk-fl-v1-1a2…9f0`."""
    created: int = 0
    """0 for keys from the environment."""
    is_disabled: bool = False
    updated: int = 0
    """0: never since it was created."""
    expires: int | None = None
    is_management: bool = False
    """It manages keys, credits and usage, and does not infer."""
    limit_usd_nanos: int | None = None
    """What may be spent with it: in each window of `limit_reset`, or ever."""
    limit_reset: Reset | None = None
    allowed_models: tuple[str, ...] = ()
    """Patterns as in a shell, matched against canonical ids: `openai/*`."""
    allowed_providers: tuple[str, ...] = ()
    """The same, matched against slugs."""
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_concurrency: int | None = None
    preferences: str = ""
    """Default routing preferences: a JSON object in the shape of a request's `provider`; empty for none."""
    is_auto_routing: bool | None = None
    """The auto-routing switch of this key; None: the instance's."""
    resume_tokens: int | None = None
    """A stream that breaks off after no more than so many is asked for again; None: as for others, 0: never."""
    creator: str = ""
    """Who made it: empty for the operator, `key:<hash>` for a management key, `oauth:<origin of the callback>` for an
    app."""


def generate() -> str:
    """Return a new random key."""
    digits = secrets.token_hex(32)
    return f"{PREFIX}{digits}{_check_digits(digits.encode())}"


def _check_digits(digits: bytes) -> str:
    return f"{zlib.crc32(PREFIX.encode() + digits):08x}"


def key_hash(token: bytes) -> str:
    """Return the identity of a key: SHA-256 in hex."""
    return hashlib.sha256(token).hexdigest()


def is_well_formed(token: bytes) -> bool:
    """Whether `token` is a key that we could have made: right form, right check digits."""
    form = _FORM.fullmatch(token)
    return form is not None and _check_digits(form[1]).encode() == form[2]


def looks_like_ours(token: bytes) -> bool:
    """Whether `token` was meant to be one of our keys, whatever became of it on the way."""
    return token.startswith(PREFIX.encode())


def label_of(token: str) -> str:
    """Return `token` with all but its ends left out: an eighth of what is secret at most, nothing of a short one."""
    prefix = PREFIX if token.startswith(PREFIX) else ""
    secret = token.removeprefix(prefix)
    shown = min(3, len(secret) // 16)
    return f"{prefix}{secret[:shown]}…{secret[len(secret) - shown :]}"


def from_token(token: str, name: str, created: int = 0) -> ApiKey:
    """Return the record of a key, without the key."""
    return ApiKey(key_hash(token.encode()), name, label_of(token), created)
