"""`usage` as the Responses API tells it, made of chat's in OpenRouter's shape (wire-api, section 5.1)."""

from collections.abc import Mapping
from typing import Final

from msgspec import Raw

from fairlead.wire.openrouter_shape import MEMBERS, UNREADABLE, Members, encode

_NAMES: Final[Mapping[str, str]] = {
    "prompt_tokens": "input_tokens",
    "prompt_tokens_details": "input_tokens_details",
    "completion_tokens": "output_tokens",
    "completion_tokens_details": "output_tokens_details",
    "upstream_inference_prompt_cost": "upstream_inference_input_cost",
    "upstream_inference_completions_cost": "upstream_inference_output_cost",
}
_ZERO: Final = Raw(b"0")
_EXPECTED: Final[Mapping[str, Members]] = {
    "input_tokens_details": {"cached_tokens": _ZERO, "cache_write_tokens": _ZERO},
    "output_tokens_details": {"reasoning_tokens": _ZERO},
}
"""What OpenAI's client counts on."""


def responses_usage(told: Raw) -> bytes:
    """Return the object (JSON); `null` for what is none. Other members stay as they are."""
    try:
        usage = _renamed(MEMBERS.decode(told))
        for name, expected in _EXPECTED.items():
            usage[name] = {**expected, **(MEMBERS.decode(usage[name]) if name in usage else {})}
        if "cost_details" in usage:
            usage["cost_details"] = _renamed(MEMBERS.decode(usage["cost_details"]))
    except UNREADABLE:
        return b"null"
    return encode(usage)


def _renamed(members: Members) -> Members:
    return {_NAMES.get(name, name): value for name, value in members.items()}
