"""The key that an app asks for: what is shown to whoever approves it, kept with its code, and made in the end."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import cast, get_args

import msgspec

from fairlead.access.iso import unix_of
from fairlead.access.keys import ApiKey, Reset, from_token
from fairlead.access.pkce import Method, check_challenge, is_proven, origin_of, read_method
from fairlead.access.usd import usd_nanos
from fairlead.errors import ApiError

MAX_LABEL_CHARS = 100


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """Checked: what it says can be granted. Times are Unix seconds."""

    callback: str | None = None
    """Where the code goes; None: it is shown, to be copied into the app."""
    challenge: str | None = None
    method: Method = "plain"
    name: str = ""
    """As the app would call the key; empty if it does not say."""
    limit_usd_nanos: int | None = None
    limit_reset: Reset | None = None
    expires: int | None = None

    @property
    def origin(self) -> str:
        """Of the app, as far as is known; empty without a callback."""
        return "" if self.callback is None else origin_of(self.callback)

    def packed(self) -> bytes:
        return _ENCODER.encode(self)

    def key(self, token: str, now: float) -> ApiKey:
        """Return the record of the key that is made of it."""
        origin = self.origin or "copied"  # the code was, from one window into another
        name = self.name or self.origin or "app without a callback"
        return replace(
            from_token(token, name[:MAX_LABEL_CHARS], int(now)),
            limit_usd_nanos=self.limit_usd_nanos,
            limit_reset=self.limit_reset,
            expires=self.expires,
            creator=f"oauth:{origin}",
        )

    def check_proof(self, verifier: str | None, method: str | None) -> None:
        """Raise ApiError unless `verifier` is what the challenge was made of: 400 for another method, 403 else."""
        if method is not None and self.challenge is not None and method != self.method:
            raise ApiError(400, "Invalid code_challenge_method", param="code_challenge_method")
        if not is_proven(self.challenge, self.method, verifier):
            raise refuse_code()


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(KeyRequest)


def refuse_code() -> ApiError:
    """Return the refusal of a code. It does not say which of the two was wrong: that would be half of the way."""
    return ApiError(403, "Invalid code or code_verifier", error_type="permission_denied")


def unpack(packed: bytes) -> KeyRequest:
    """The reverse of `packed`. Raises msgspec.DecodeError for anything else."""
    try:
        return _DECODER.decode(packed)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error


def read(fields: Mapping[str, object], now: float) -> KeyRequest:
    """Return what an app asks for: the query of `/auth`, where all is text, or the body of `/auth/keys/code`.

    What is None or empty counts as not given; fields with other names are left alone. Raises ApiError 400 that names
    the field and what is wrong with it.
    """
    callback = _text(fields, "callback_url")
    if callback is not None:
        origin_of(callback)
    challenge, given_method = _text(fields, "code_challenge"), _text(fields, "code_challenge_method")
    method = read_method(given_method)
    if challenge is not None:
        check_challenge(challenge, method)
    elif callback is None:
        raise ApiError(400, "code_challenge is required without a callback_url", param="code_challenge")
    elif given_method is not None:
        raise ApiError(400, "code_challenge is missing: there is a code_challenge_method", param="code_challenge")
    return KeyRequest(callback, challenge, method, _label(fields), _limit(fields), _reset(fields), _expiry(fields, now))


def _text(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise ApiError(400, f"{name} must be a string", param=name)
    return value or None


def _label(fields: Mapping[str, object]) -> str:
    label = (_text(fields, "key_label") or "").strip()
    if len(label) > MAX_LABEL_CHARS:
        raise ApiError(400, f"key_label is longer than {MAX_LABEL_CHARS} characters", param="key_label")
    if not label.isprintable():  # nor does what turns the direction of writing, and so the meaning of what follows
        raise ApiError(400, "key_label holds characters that do not print", param="key_label")
    return label


def _limit(fields: Mapping[str, object]) -> int | None:
    """Nano-USD, from USD: a number, or one written out."""
    value = fields.get("limit")
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise ApiError(400, "limit must be a number", param="limit")
    try:
        return usd_nanos(value)
    except ValueError as error:
        raise ApiError(400, f"limit: {error}", param="limit") from None


def _reset(fields: Mapping[str, object]) -> Reset | None:
    value = _text(fields, "usage_limit_type")
    if value is not None and value not in get_args(Reset):
        text = f"usage_limit_type must be one of {', '.join(get_args(Reset))}"
        raise ApiError(400, text, param="usage_limit_type")
    return cast("Reset | None", value)


def _expiry(fields: Mapping[str, object], now: float) -> int | None:
    value = _text(fields, "expires_at")
    if value is None:
        return None
    try:
        expires = unix_of(value)
    except ValueError as error:
        raise ApiError(400, f"expires_at: {error}", param="expires_at") from None
    if expires <= now:
        raise ApiError(400, "expires_at has passed already", param="expires_at")
    return expires
