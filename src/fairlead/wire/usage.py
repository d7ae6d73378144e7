"""Token counts, as providers report them at the end of a reply.

Counts are read strictly first, which is fast, and one by one where that fails: `12.0`, `"12"` and an empty list for
details are in use, and no reason to give a reply away. A count that cannot be one (negative, not a number, larger than
any context) counts as not told; without a count of prompt tokens the usage is unknown.
"""

import json
import re
from typing import Annotated

import msgspec

from fairlead.catalog.pricing import Usage

MAX_TOKENS = 10**9
"""Of one request. A hundred times the largest context; a slip beyond it must not become a bill."""
_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)]


class _PromptDetails(msgspec.Struct):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: _Count | None = None


class _Counts(msgspec.Struct):
    """OpenAI's `usage`, with DeepSeek's name for cache hits."""

    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: _Count | None = None


class _Reply(msgspec.Struct):
    usage: _Counts | None = None


_REPLY = msgspec.json.Decoder(_Reply)
_COUNTS = msgspec.json.Decoder(_Counts)
_USAGE_OBJECT = re.compile(rb'"usage"[ \t\n\r]*:[ \t\n\r]*(?=\{)')
_ANY_JSON = json.JSONDecoder()


def usage_of_reply(body: bytes) -> Usage | None:
    """Return the usage of a complete JSON reply; None when it tells none."""
    try:
        return _usage(_REPLY.decode(body).usage)
    except msgspec.ValidationError:
        return _usage(_sloppy_counts(_object(_any_json(body)).get("usage")))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def last_usage(tail: bytes) -> Usage | None:
    """Return the last usage object in the end of a reply (a stream's last events, or a cut-off body's end)."""
    for found in reversed(list(_USAGE_OBJECT.finditer(tail))):
        text = tail[found.end() :].decode("utf-8", "replace")
        try:
            value, length = _ANY_JSON.raw_decode(text)
        except (ValueError, RecursionError):
            continue
        try:
            counts = _COUNTS.decode(text[:length])
        except (msgspec.DecodeError, RecursionError):
            counts = _sloppy_counts(value)
        if (usage := _usage(counts)) is not None:
            return usage
    return None


def _any_json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _sloppy_counts(value: object) -> _Counts:
    found = _object(value)
    prompt, completion = _object(found.get("prompt_tokens_details")), _object(found.get("completion_tokens_details"))
    return _Counts(
        prompt_tokens=_count(found.get("prompt_tokens")),
        completion_tokens=_count(found.get("completion_tokens")),
        prompt_tokens_details=_PromptDetails(
            cached_tokens=_count(prompt.get("cached_tokens")),
            cache_write_tokens=_count(prompt.get("cache_write_tokens")),
        ),
        completion_tokens_details=_CompletionDetails(reasoning_tokens=_count(completion.get("reasoning_tokens"))),
        prompt_cache_hit_tokens=_count(found.get("prompt_cache_hit_tokens")),
    )


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        count = int(float(value))
    except (ValueError, OverflowError):
        return None
    return count if 0 <= count <= MAX_TOKENS else None


def _usage(counts: _Counts | None) -> Usage | None:
    if counts is None or counts.prompt_tokens is None:
        return None
    prompt, completion = counts.prompt_tokens_details, counts.completion_tokens_details
    return Usage(
        prompt_tokens=counts.prompt_tokens,
        completion_tokens=counts.completion_tokens or 0,
        cached_tokens=(prompt and prompt.cached_tokens) or counts.prompt_cache_hit_tokens or 0,
        cache_write_tokens=(prompt and prompt.cache_write_tokens) or 0,
        reasoning_tokens=(completion and completion.reasoning_tokens) or 0,
    )
