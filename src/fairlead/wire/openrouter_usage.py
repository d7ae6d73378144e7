"""`usage` as OpenRouter tells it (wire-api, section 5.1), whatever names and sums the provider has for it."""

from msgspec import Raw

from fairlead.catalog.pricing import Usage
from fairlead.wire.cost import BillOf, with_cost
from fairlead.wire.openrouter_shape import MEMBERS, NULL, UNREADABLE, Members, encode
from fairlead.wire.usage import usage_of


def canonical_usage(told: Raw) -> tuple[bytes, Usage] | None:
    """Return the provider's usage object with OpenRouter's members, and what it says; None if that is nothing.

    `completion_tokens` and `total_tokens` include reasoning, which not every provider counts as part of them. What is
    null is left out; members that nobody knows stay.
    """
    usage = usage_of(told)
    return (_json(_without_nulls(told), usage), usage) if usage is not None else None


def usage_json(usage: Usage) -> bytes:
    """Return the object for a reply whose provider told none."""
    return _json({}, usage)


def priced(usage: bytes, bill_of: BillOf) -> bytes:
    """Return the object with what that costs."""
    opening, end = b'{"usage":', b"}"
    return with_cost(b"%b%b%b" % (opening, usage, end), bill_of).body.removeprefix(opening).removesuffix(end)


def _json(members: Members, usage: Usage) -> bytes:
    prompt, completion = _details(members, "prompt_tokens_details"), _details(members, "completion_tokens_details")
    prompt["cached_tokens"] = usage.cached_tokens
    if usage.cache_write_tokens:
        prompt["cache_write_tokens"] = usage.cache_write_tokens
    completion["reasoning_tokens"] = usage.reasoning_tokens
    counts = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": completion,
    }
    return encode({**counts, **{name: value for name, value in members.items() if name not in counts}})


def _details(members: Members, name: str) -> Members:
    return _without_nulls(members[name]) if name in members else {}


def _without_nulls(told: Raw) -> Members:
    try:
        return {name: value for name, value in MEMBERS.decode(told).items() if value != NULL}
    except UNREADABLE:  # a list for details, or numbers that only a lenient reader takes
        return {}
