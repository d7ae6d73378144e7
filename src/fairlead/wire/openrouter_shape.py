"""What OpenRouter's replies have in common, whole or in chunks (wire-api, sections 3.2 and 4.1).

Replies are taken apart only as deep as something of ours stands: every other value stays the bytes that it came as, so
that long numbers, escapes and members that nobody knows arrive as the provider has sent them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import msgspec
from msgspec import Raw

Members = dict[str, Any]
"""A JSON object: `Raw` what came, and what we have put there instead."""

NULL, EMPTY, ASSISTANT = Raw(b"null"), Raw(b'""'), Raw(b'"assistant"')
NOTHING = Raw(b"[]")
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoders raise for what is not JSON, or not of the shape that it should have."""

MEMBERS = cast("msgspec.json.Decoder[Members]", msgspec.json.Decoder(dict[str, Raw]))
OBJECTS = cast("msgspec.json.Decoder[list[Members]]", msgspec.json.Decoder(list[dict[str, Raw]]))
encode = msgspec.json.Encoder().encode


def on_one_line(json: bytes) -> bytes:
    """Return JSON without white space between its parts: an event's line must not end inside it."""
    return msgspec.json.format(json, indent=-1)


NEVER_NULL = ("tool_calls", "function_call", "audio", "images", "annotations", "reasoning_details")
"""Of a message or delta: `@openrouter/sdk` takes a list or nothing, and several providers send null for nothing."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What every reply and chunk of one request says of itself. `created` is in Unix seconds."""

    id: str
    """As in `x-generation-id`."""
    provider: str
    """For people."""
    model: str
    """Canonical id of what served."""
    created: int
    hides_reasoning: bool = False
    """The caller does not want to read what the model thought."""

    def members(self, kind: str) -> bytes:
        """Return them as JSON, without braces; `kind` is the member `object`."""
        named = {"id": self.id, "provider": self.provider, "model": self.model, "object": kind, "created": self.created}
        return encode(named)[1:-1]


REPLACED = ("id", "provider", "model", "object", "created")
"""What makes way for our identity."""

_FINISH_REASONS: Mapping[bytes, Raw] = {
    b'"%b"' % native.encode(): Raw(b'"%b"' % normal.encode())
    for normal, natives in {
        "stop": "stop end_turn stop_sequence eos eos_token completed complete finished pause_turn",
        "length": "length max_tokens max_output_tokens model_length model_context_window_exceeded max_length",
        "tool_calls": "tool_calls tool_call tool_use function_call",
        "content_filter": "content_filter content_filtered safety recitation blocklist prohibited_content spii "
        "image_safety language refusal sensitive guardrail_intervened",
        "error": "error network_error insufficient_system_resource malformed_function_call malformed_tool_call abort "
        "aborted failed cancelled",
    }.items()
    for native in natives.split()
}
"""By their names in lower case: those of OpenAI, Anthropic, Google, Cohere, Mistral, DeepSeek, Z.AI, Bedrock, vLLM."""
_STOP, _TOOL_CALLS = _FINISH_REASONS[b'"stop"'], _FINISH_REASONS[b'"tool_calls"']


def normalise_finish(choice: Members, *, has_calls: bool) -> None:
    """Put OpenRouter's word for why the model has stopped beside the provider's own.

    A reason that is not known counts as `stop`: the reply has come to its end, and `native_finish_reason` tells more.
    A stop after calls of tools is one for their sake, which not every provider says.
    """
    native = choice.get("finish_reason", NULL)
    if native in (NULL, EMPTY):
        choice["finish_reason"] = NULL
        choice.setdefault("native_finish_reason", NULL)
        return
    if choice.get("native_finish_reason", NULL) == NULL:
        choice["native_finish_reason"] = native
    normal = _FINISH_REASONS.get(bytes(native).lower(), _STOP)
    choice["finish_reason"] = _TOOL_CALLS if has_calls and normal is _STOP else normal


def hide_reasoning(said: Members) -> None:
    """Let a message or delta tell none of its reasoning."""
    for name in ("reasoning", "reasoning_content", "reasoning_details"):
        said.pop(name, None)


def offer_reasoning(said: Members) -> None:
    """Let a message or delta tell its reasoning by each of the names that clients look for.

    `reasoning` is OpenRouter's (and vLLM's new) name, `reasoning_content` DeepSeek's, which most others have taken up.
    """
    text = said.get("reasoning")
    if not _is_text(text):
        text = said.get("reasoning_content")
        if not _is_text(text):
            return
    assert text is not None  # or it would be no text
    said["reasoning"] = said["reasoning_content"] = text
    if said.get("reasoning_details", NOTHING) == NOTHING:
        said["reasoning_details"] = Raw(
            b'[{"type":"reasoning.text","text":%b,"format":"unknown","index":0}]' % bytes(text)
        )


def flatten_content(said: Members) -> None:
    """Make text of content in parts, and reasoning of the thinking among them (Mistral's way to send it)."""
    content = said["content"]
    if bytes(memoryview(content)[:1]) != b"[":
        return
    try:
        parts = _PARTS.decode(content)
    except UNREADABLE:  # an image, say
        return
    said["content"] = Raw(encode("".join(part.text for part in parts)))
    if thought := "".join(one.text for part in parts for one in part.thinking):
        said["reasoning"] = Raw(encode(thought))


class _Thought(msgspec.Struct):
    text: str = ""


class _Part(msgspec.Struct):
    type: Literal["text", "thinking"]
    text: str = ""
    thinking: list[_Thought] = []


_PARTS = msgspec.json.Decoder(list[_Part])


def _is_text(value: Raw | None) -> bool:
    return value is not None and bytes(memoryview(value)[:1]) == b'"' and value != EMPTY


def drop_nulls(said: Members) -> None:
    """Leave out what may be missing, but not null."""
    for name in NEVER_NULL:
        if name in said and said[name] == NULL:
            del said[name]
