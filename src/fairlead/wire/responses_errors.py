"""Failures as the Responses API tells them (wire-api, section 2.7): by a code of its own, and beside it OpenRouter's.

    responses_error(fault, …)    the body, for what fails before the first byte
    failure_of(fault)            for a Response that fails, of an error of ours
    failure_told(error)          the same, of the error in a chat reply

The `error` object has all that chat tells in it, but for `code`: in a Response that is a word.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import orjson
from msgspec import Raw

from fairlead.errors import ApiError
from fairlead.wire.errors import error_object, read_provider_error
from fairlead.wire.openrouter_shape import MEMBERS, UNREADABLE, Members, encode

_CODES: Final[Mapping[str, str]] = {
    "rate_limit_exceeded": "rate_limit_exceeded",
    "context_length_exceeded": "invalid_prompt",
    "invalid_request": "invalid_prompt",
    "invalid_prompt": "invalid_prompt",
    "content_policy_violation": "image_content_policy_violation",
}
_OTHER: Final = "server_error"
_UNTOLD: Final = "The provider has ended its reply with an error"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a Response has failed: its member `error` (JSON), and OpenRouter's word for it."""

    error: bytes
    error_type: str


class _Metadata(msgspec.Struct):
    error_type: str = ""


class _Error(msgspec.Struct):
    metadata: _Metadata | None = None
    code: int | str | None = None


_ERROR = msgspec.json.Decoder(_Error)
UNTOLD: Final = Failure(encode({"code": _OTHER, "message": _UNTOLD}), "provider_unavailable")
"""Of a reply that ends with an error and does not say which."""


def error_code(error_type: str) -> str:
    return _CODES.get(error_type, _OTHER)


def failure_of(fault: ApiError) -> Failure:
    return Failure(orjson.dumps({**error_object(fault), "code": error_code(fault.error_type)}), fault.error_type)


def failure_told(error: Raw) -> Failure:
    """Return the failure of a chat reply with this member `error`."""
    try:
        members: Members = MEMBERS.decode(error)
    except UNREADABLE:
        members = {}
    kind = _kind_of(error)
    said = read_provider_error(b'{"error":%b}' % bytes(error)).message or _UNTOLD
    return Failure(encode({**members, "code": error_code(kind), "message": said}), kind)


def _kind_of(error: Raw) -> str:
    try:
        told = _ERROR.decode(error)
    except UNREADABLE:
        return "provider_unavailable"
    if told.metadata is not None and told.metadata.error_type:
        return told.metadata.error_type
    return "rate_limit_exceeded" if str(told.code) == "429" else "provider_unavailable"


def responses_error(fault: ApiError, response_id: str) -> bytes:
    """Return the JSON body. As with chat's, what is to stand beside the error may be put before the last brace.

    Its code is the HTTP status, as in chat: the reference has a word there too, but OpenRouter's own SDK takes a number
    only, and OpenAI's takes both.
    """
    return b'{"id":%b,"object":"response","status":"failed","error":%b,"error_type":%b}' % (
        encode(response_id),
        orjson.dumps(error_object(fault)),
        encode(fault.error_type),
    )
