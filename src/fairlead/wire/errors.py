"""Errors in OpenAI's shape, carrying OpenRouter's extra members; and the reading of providers' errors."""

from collections.abc import Mapping

import msgspec
import orjson

from fairlead.errors import ApiError

_OPENAI_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}

AVAILABILITY_DOCS = "https://openrouter.ai/docs/api/reference/errors-and-debugging"
"""The vocabulary is OpenRouter's, and explained there."""
_RAW_LIMIT_CHARS = 2_000
"""How much of a provider's error text is passed on. Enough for any message; not a way to mirror a page."""


def error_object(error: ApiError) -> dict[str, object]:
    """Return the `error` member: `code` is the HTTP status (as OpenRouter's), `type` and `param` are OpenAI's."""
    kind = _OPENAI_TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "server_error")
    told: dict[str, object] = {
        "message": error.message,
        "type": kind,
        "param": error.param,
        "code": error.status,
        "metadata": {"error_type": error.error_type, **error.metadata},
    }
    if error.availability is not None:
        told |= {
            "error_type": error.error_type,
            "http_status": error.status,
            "availability": {**error.availability, "docs_url": AVAILABILITY_DOCS},
        }
    return told


def error_body(error: ApiError) -> bytes:
    """Return the JSON body of an error reply."""
    return orjson.dumps({"error": error_object(error)})


def error_event(error: ApiError, *, generation_id: str, model: str, provider: str, created: int) -> bytes:
    """Return the SSE event that ends a stream after its content has begun (OpenRouter's mid-stream shape)."""
    chunk = {
        "id": generation_id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
        "provider": provider,
        "error": error_object(error),
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error", "native_finish_reason": None}],
    }
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


class ProviderError(msgspec.Struct, frozen=True):
    """What a provider says of its refusal; empty strings where it says nothing."""

    message: str = ""
    code: str = ""
    param: str | None = None
    number: int = 0
    """What of the code is a number: an HTTP status, for most."""


NOTHING_SAID = ProviderError()


def read_provider_error(body: bytes) -> ProviderError:
    """Find message and code in any of the shapes in use: `{"error": {…}}`, `{"error": "…"}`, `{"message": …}`,
    `[{"error": {…}}]` (Google), `{"detail": …}` (FastAPI servers), or plain text."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body.decode("utf-8", "replace").strip()
        return ProviderError("" if text.startswith("<") else text[:_RAW_LIMIT_CHARS])
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return NOTHING_SAID
    inner = value.get("error") or value
    if isinstance(inner, str):
        inner = {**value, "message": inner}
    if not isinstance(inner, dict):
        return NOTHING_SAID
    param = inner.get("param")
    return ProviderError(
        _sentence(inner.get("message") or inner.get("detail"))[:_RAW_LIMIT_CHARS],
        _code(inner)[:100],
        param[:100] if isinstance(param, str) else None,
        next((value for name in ("code", "status") if isinstance(value := inner.get(name), int)), 0),
    )


def _code(error: Mapping[str, object]) -> str:
    """The word for the error rather than the number: Google's `code` repeats the HTTP status, `status` says more."""
    said = [value for name in ("code", "status", "type") if (value := error.get(name))]
    words = [value for value in said if isinstance(value, str)]
    numbers = [str(value) for value in said if isinstance(value, int)]
    return (words + numbers + [""])[0]


def _sentence(message: object, levels: int = 3) -> str:
    """A message as text; of lists of faults (FastAPI's, Mistral's) what is wrong and where.

    The rest of such a list is left out: its `input` repeats the caller's content, which must not reach a log.
    """
    if isinstance(message, str) or levels == 0:
        return message if isinstance(message, str) else ""
    if isinstance(message, list):
        return "; ".join(filter(None, (_sentence(one, levels - 1) for one in message[:5])))
    if not isinstance(message, dict):
        return ""
    if isinstance(what := message.get("msg"), str):
        where = message.get("loc")
        return f"{what} ({'.'.join(map(str, where))})" if isinstance(where, list) else what
    return _sentence(message.get("message") or message.get("detail"), levels - 1)
