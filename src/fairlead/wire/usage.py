"""Token counts, as providers report them at the end of a reply.

Counts are read strictly first, which is fast, and one by one where that fails: `12.0`, `"12"` and an empty list for
details are in use, and no reason to give a reply away. A count that cannot be one (negative, not a number, larger than
any context) counts as not told; without a count of prompt tokens, and without a cost, the usage is unknown.
"""

import json
import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Annotated, TypeVar

import msgspec

from fairlead.catalog.pricing import Usage

MAX_TOKENS = 10**9
"""Of one request. A hundred times the largest context; a slip beyond it must not become a bill."""
MAX_REPORTED_USD = 10_000
"""Of one request: more than a full context of the dearest model. A slip in the unit must not become a bill either."""

NANO_PER_USD = 10**9
_NANO_USD = Decimal("1e-9")
_XAI_TICKS_PER_NANO_USD = 10

_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)]


class _PromptDetails(msgspec.Struct):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    audio_tokens: _Count | None = None
    image_tokens: _Count | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: _Count | None = None
    audio_tokens: _Count | None = None
    image_tokens: _Count | None = None


class _CacheCreation(msgspec.Struct):
    """Anthropic's, which gateways in front of it pass on."""

    ephemeral_5m_input_tokens: _Count | None = None
    ephemeral_1h_input_tokens: _Count | None = None


class _CostDetails(msgspec.Struct):
    upstream_inference_cost: Decimal | None = None


class _Counts(msgspec.Struct):
    """OpenAI's `usage`, with the names that DeepSeek and Anthropic have for what caches do, and what it cost.

    `cost` is USD (OpenRouter); `cost_in_usd_ticks` is xAI's, 10**-10 USD.
    """

    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    total_tokens: _Count | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    cache_creation: _CacheCreation | None = None
    cost: Decimal | None = None
    cost_in_usd_ticks: int | None = None
    is_byok: bool | None = None
    cost_details: _CostDetails | None = None


class _Reply(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw(b"null")


_REPLY = msgspec.json.Decoder(_Reply)
_COUNTS = msgspec.json.Decoder(_Counts | None)
_USAGE_OBJECT = re.compile(rb'"usage"[ \t\n\r]*:[ \t\n\r]*(?=\{)')


def usage_of_reply(body: bytes) -> Usage | None:
    """Return the usage of a complete JSON reply; None when it tells none."""
    told = usage_object_of(body)
    return None if told is None else usage_of(told)


def usage_object_of(body: bytes) -> bytes | None:
    """Return the `usage` member of a complete JSON reply, as it stands there; None when there is none."""
    try:
        return bytes(_REPLY.decode(body).usage)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def last_usage(tail: bytes) -> Usage | None:
    """Return the last usage object in the end of a reply (a stream's last events, or a cut-off body's end)."""
    for found in reversed(list(_USAGE_OBJECT.finditer(tail))):
        text = tail[found.end() :].decode("utf-8", "replace")
        try:
            _, length = _ANY_JSON.raw_decode(text)
        except (ValueError, RecursionError):
            continue
        if (usage := usage_of(text[:length])) is not None:
            return usage
    return None


def usage_of(usage_object: str | bytes | msgspec.Raw) -> Usage | None:
    """Return what a `usage` object tells; None when it tells nothing, or is no object."""
    try:
        counts = _COUNTS.decode(usage_object)
    except msgspec.ValidationError:
        counts = _sloppy_counts(_any_json(usage_object))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return _usage(counts) if counts is not None else None


def _any_json(text: str | bytes | msgspec.Raw) -> object:
    try:
        return _ANY_JSON.decode(text if isinstance(text, str) else str(bytes(text), "utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def _sloppy_counts(value: object) -> _Counts:
    found = _object(value)
    cost_details = _object(found.get("cost_details"))
    return _Counts(
        prompt_tokens=_count(found.get("prompt_tokens")),
        completion_tokens=_count(found.get("completion_tokens")),
        total_tokens=_count(found.get("total_tokens")),
        prompt_tokens_details=_counts_of(_PromptDetails, found.get("prompt_tokens_details")),
        completion_tokens_details=_counts_of(_CompletionDetails, found.get("completion_tokens_details")),
        prompt_cache_hit_tokens=_count(found.get("prompt_cache_hit_tokens")),
        cache_read_input_tokens=_count(found.get("cache_read_input_tokens")),
        cache_creation_input_tokens=_count(found.get("cache_creation_input_tokens")),
        cache_creation=_counts_of(_CacheCreation, found.get("cache_creation")),
        cost=_amount(found.get("cost")),
        is_byok=found.get("is_byok") is True,
        cost_details=_CostDetails(_amount(cost_details.get("upstream_inference_cost"))),
    )


_Details = TypeVar("_Details", _PromptDetails, _CompletionDetails, _CacheCreation)


def _counts_of(kind: type[_Details], value: object) -> _Details:
    found = _object(value)
    return kind(**{name: _count(found.get(name)) for name in kind.__struct_fields__})


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        count = int(float(value))
    except (ValueError, OverflowError):
        return None
    return count if 0 <= count <= MAX_TOKENS else None


def _amount(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


_ANY_JSON = json.JSONDecoder(parse_float=_amount)


_NO_PROMPT_DETAILS, _NO_COMPLETION_DETAILS, _NO_CACHE_CREATION = (
    _PromptDetails(),
    _CompletionDetails(),
    _CacheCreation(),
)


def _usage(counts: _Counts) -> Usage | None:
    reported = _reported_usd_nanos(counts)
    if counts.prompt_tokens is None and reported is None:
        return None
    prompt = counts.prompt_tokens_details or _NO_PROMPT_DETAILS
    completion = counts.completion_tokens_details or _NO_COMPLETION_DETAILS
    creation = counts.cache_creation or _NO_CACHE_CREATION
    written_1h = creation.ephemeral_1h_input_tokens or 0
    written = prompt.cache_write_tokens or counts.cache_creation_input_tokens or 0
    return Usage(
        prompt_tokens=counts.prompt_tokens or 0,
        completion_tokens=_completion_tokens(counts, completion.reasoning_tokens),
        cached_tokens=prompt.cached_tokens or counts.prompt_cache_hit_tokens or counts.cache_read_input_tokens or 0,
        cache_write_tokens=max(written, written_1h + (creation.ephemeral_5m_input_tokens or 0)),
        reasoning_tokens=completion.reasoning_tokens or 0,
        cache_write_1h_tokens=written_1h,
        prompt_audio_tokens=prompt.audio_tokens or 0,
        prompt_image_tokens=prompt.image_tokens or 0,
        completion_audio_tokens=completion.audio_tokens or 0,
        completion_image_tokens=completion.image_tokens or 0,
        reported_usd_nanos=reported,
    )


def _completion_tokens(counts: _Counts, reasoning_tokens: int | None) -> int:
    """All that was written. xAI counts reasoning beside the completion; of Gemini's only the total knows."""
    told = counts.completion_tokens or 0
    if counts.prompt_tokens is None or counts.total_tokens is None:
        return told
    beside = counts.total_tokens - counts.prompt_tokens - told
    return told + beside if beside > 0 and reasoning_tokens in (beside, 0, None) else told


def _reported_usd_nanos(counts: _Counts) -> int | None:
    """What the provider says that the request cost; None when it does not, or not believably."""
    nanos = _usd_nanos(counts.cost)
    if nanos is not None:
        if counts.is_byok and counts.cost_details is not None:
            # A gateway's fee; the rest it has put on the account at the provider that it was given the key of.
            nanos += _usd_nanos(counts.cost_details.upstream_inference_cost) or 0
        return nanos
    if counts.cost_in_usd_ticks is not None:
        nanos = (counts.cost_in_usd_ticks + _XAI_TICKS_PER_NANO_USD // 2) // _XAI_TICKS_PER_NANO_USD
        return nanos if 0 <= nanos <= MAX_REPORTED_USD * NANO_PER_USD else None
    return None


def _usd_nanos(usd: Decimal | None) -> int | None:
    if usd is None or not usd.is_finite() or not 0 <= usd <= MAX_REPORTED_USD:
        return None
    return int(usd.quantize(_NANO_USD, rounding=ROUND_HALF_UP).scaleb(9))
