"""From a request's headers to its key, and whether that key may do what it asks for; or to the refusal."""

import functools
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from fairlead.access.iso import iso_utc
from fairlead.access.keys import ApiKey, is_well_formed, looks_like_ours
from fairlead.errors import ApiError

_CHALLENGE = {"www-authenticate": 'Bearer realm="fairlead"'}

SHOWN = 10
"""Patterns that a refusal names."""


def token_of(fields: Mapping[bytes, bytes]) -> bytes:
    """Return the key that a request carries: `Authorization: Bearer …`, or `x-api-key` (Anthropic's clients).

    `fields`: its headers by lower-case name. Raises ApiError 401 when there is none.
    """
    authorization = fields.get(b"authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(b" ")
        token = token.strip()
        if scheme.lower() == b"bearer" and token:
            return token
        raise unauthorized("The Authorization header must be 'Bearer <key>'")
    if token := fields.get(b"x-api-key", b"").strip():
        return token
    raise unauthorized("Missing Authentication header: send 'Authorization: Bearer <key>'")


def unauthorized(text: str) -> ApiError:
    return ApiError(401, text, error_type="authentication", headers=_CHALLENGE)


def refuse_unknown(token: bytes) -> ApiError:
    """Return the refusal of a key that nobody knows; it says so when the key was mistyped or cut."""
    if looks_like_ours(token) and not is_well_formed(token):
        return unauthorized("This API key is mistyped or incomplete: its check digits do not match. Copy it again")
    return unauthorized("Unknown API key. Create one with: fairlead keys create --name NAME")


def check(key: ApiKey, now: float) -> None:
    """Raise ApiError if the key must not be used for inference: 401, or 403 for one that only manages.

    `now` is Unix seconds.
    """
    check_alive(key, now)
    if key.is_management:
        text = (
            f"The management key {key.label} manages and does not infer. "
            "Create a key for inference with: fairlead keys create --name NAME"
        )
        raise ApiError(403, text, error_type="permission_denied")


def check_alive(key: ApiKey, now: float) -> None:
    """Raise ApiError 401 if the key must not be used for anything. `now` is Unix seconds."""
    if key.is_disabled:
        raise unauthorized(f"The API key {key.label} is disabled")
    if key.expires is not None and now >= key.expires:
        raise unauthorized(f"The API key {key.label} expired on {iso_utc(key.expires)}. Use another one")


def may_use_model(key: ApiKey, model_id: str) -> bool:
    """Whether the key's patterns allow the model with this canonical id."""
    return not key.allowed_models or _matches(key.allowed_models, model_id)


def may_use_provider(key: ApiKey, slug: str) -> bool:
    """Whether the key's patterns allow the provider."""
    return not key.allowed_providers or _matches(key.allowed_providers, slug)


@functools.lru_cache(maxsize=16_384)  # of what the catalogue has, not of what callers make up
def _matches(patterns: tuple[str, ...], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def refuse_model(key: ApiKey, model_id: str) -> ApiError:
    """Return the refusal of a model that the key's patterns leave out."""
    text = f"The API key {key.label} may not use {model_id[:200]}: it allows only {_shown(key.allowed_models)}"
    return ApiError(403, text, error_type="permission_denied", param="model")


def refuse_providers(key: ApiKey, model_id: str) -> ApiError:
    """Return the refusal of a model that none of the key's providers serves."""
    text = (
        f"The API key {key.label} allows only the providers {_shown(key.allowed_providers)}, "
        f"none of which serves {model_id[:200]}"
    )
    return ApiError(403, text, error_type="permission_denied", param="model")


def _shown(patterns: Sequence[str]) -> str:
    more = f" and {len(patterns) - SHOWN} more" if len(patterns) > SHOWN else ""
    return ", ".join(patterns[:SHOWN]) + more
