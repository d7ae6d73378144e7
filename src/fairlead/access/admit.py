"""From a request's headers to its key, or to the refusal."""

from collections.abc import Mapping

from fairlead.access.keys import ApiKey, is_well_formed, looks_like_ours
from fairlead.errors import ApiError

_CHALLENGE = {"www-authenticate": 'Bearer realm="fairlead"'}


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
        raise _refusal("The Authorization header must be 'Bearer <key>'")
    if token := fields.get(b"x-api-key", b"").strip():
        return token
    raise _refusal("Missing Authentication header: send 'Authorization: Bearer <key>'")


def _refusal(text: str) -> ApiError:
    return ApiError(401, text, error_type="authentication", headers=_CHALLENGE)


def refuse_unknown(token: bytes) -> ApiError:
    """Return the refusal of a key that nobody knows; it says so when the key was mistyped or cut."""
    if looks_like_ours(token) and not is_well_formed(token):
        text = "This API key is mistyped or incomplete: its check digits do not match. Copy it again"
    else:
        text = "Unknown API key. Create one with: fairlead keys create --name NAME"
    return ApiError(401, text, error_type="authentication", headers=_CHALLENGE)


def check(key: ApiKey) -> None:
    """Raise ApiError 401 if the key must not be used."""
    if key.is_disabled:
        raise ApiError(401, f"The API key {key.label} is disabled", error_type="authentication", headers=_CHALLENGE)
