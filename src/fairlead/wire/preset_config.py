"""What of an inference request becomes a preset: its configuration, in the language of chat completions.

A preset made from a request to /messages or /responses serves chat requests as well, so what these call by other names
is told in chat's: `max_output_tokens`, `stop_sequences`, `system`, `instructions`, tools without a `function` object.
Messages other than the system's, `stream`, and whatever is about one request (`user`, `session_id`, `metadata`,
`prompt_cache_key`, `trace`, `debug`) are left out, as are members that nobody knows. `transforms` becomes what it is
short for: the plugin `context-compression`.

Specification: wire-api, section 9.11. It lists the members only in part; FIELDS is all that configures.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from fairlead.errors import ApiError
from fairlead.wire.preset import MARK
from fairlead.wire.request import MOST_MODELS
from fairlead.wire.responses_config import chat_function, chat_text

Kind = Literal["chat/completions", "messages", "responses"]

MOST_BYTES = 131_072
"""Of a configuration with its system prompt: every worker holds all presets in memory."""
SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

_Word = Annotated[str, Meta(min_length=1)]
_Objects = list[dict[str, msgspec.Raw]]
FIELDS: Mapping[str, Any] = {
    "model": _Word,
    "models": Annotated[list[_Word], Meta(min_length=1, max_length=MOST_MODELS)],
    "provider": dict[str, msgspec.Raw],
    "plugins": _Objects,
    "tools": _Objects,
    "max_tokens": int,
    "max_completion_tokens": int,
    "cache_enabled": bool,
    "cache_ttl_seconds": Annotated[int, Meta(ge=1, le=86_400)],
    **dict.fromkeys(
        (
            "temperature", "top_p", "top_k", "min_p", "top_a", "frequency_penalty", "presence_penalty",
            "repetition_penalty", "seed", "stop", "logit_bias", "logprobs", "top_logprobs", "tool_choice",
            "parallel_tool_calls", "max_tool_calls", "stop_server_tools_when", "deferred_tools", "response_format",
            "structured_outputs", "reasoning", "reasoning_effort", "include_reasoning", "verbosity", "modalities",
            "image_config", "audio", "web_search_options", "service_tier", "cache_control", "prompt_cache_options",
        ),
        msgspec.Raw,
    ),
}  # fmt: skip
"""What a preset may hold, with the type that the gateway reads; of the others the provider knows what they may be."""

_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_COMPRESSION = {True: b'{"id":"context-compression"}', False: b'{"id":"context-compression","enabled":false}'}


@dataclass(frozen=True, slots=True)
class Config:
    """`text` is a JSON object without white space between its members."""

    text: bytes
    system_prompt: str | None

    def members(self) -> dict[str, bytes]:
        """JSON by name."""
        return {name: bytes(value) for name, value in _MEMBERS.decode(self.text).items()}


def config_of(raw: bytes, kind: Kind) -> Config:
    """Return what the body of a request to `kind` configures. Raises ApiError 400 for what no request could have."""
    try:
        sent = _MEMBERS.decode(raw)
    except _FAULTS:
        raise ApiError(400, "The request body must be a JSON object: that of an inference request") from None
    members = {name: bytes(value) for name, value in sent.items() if bytes(value) != b"null"}
    try:
        prompt = _PROMPTS[kind](members)
        if "transforms" in members and "plugins" not in members:
            wants = "middle-out" in msgspec.json.decode(members["transforms"], type=list[str])
            members["plugins"] = b"[%b]" % _COMPRESSION[wants]
        if kind != "chat/completions":
            members = _in_chat(members)
    except _FAULTS as error:
        raise ApiError(400, f"The request body is wrong: {error}") from None
    kept = {name: _checked(name, members[name]) for name in FIELDS if name in members}
    config = Config(b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), text) for name, text in kept.items()), prompt)
    if len(config.text) + len(prompt or "") > MOST_BYTES:
        raise ApiError(400, f"A preset may have no more than {MOST_BYTES} bytes with its system prompt")
    if not kept and prompt is None:
        raise ApiError(400, "Nothing in the request body configures anything: send a model, a temperature, tools …")
    return config


def _checked(name: str, text: bytes) -> bytes:
    try:
        value = msgspec.json.decode(text, type=FIELDS[name])
    except _FAULTS as error:
        raise ApiError(400, f"'{name}' is wrong: {error}", param=name) from None
    if any(MARK in model for model in (value if name == "models" else [value] if name == "model" else [])):
        raise ApiError(400, f"'{name}' names a preset, and a preset cannot be made of another", param=name)
    return msgspec.json.format(text, indent=-1)


class _Message(msgspec.Struct):
    role: str | None = None
    content: msgspec.Raw = msgspec.Raw(b"null")


class _Part(msgspec.Struct):
    text: str = ""


def _chat_prompt(members: Mapping[str, bytes]) -> str | None:
    return _joined(members.get("messages"))


def _messages_prompt(members: Mapping[str, bytes]) -> str | None:
    return _content(members["system"]) if "system" in members else _joined(members.get("messages"))


def _responses_prompt(members: Mapping[str, bytes]) -> str | None:
    if "instructions" in members:
        return msgspec.json.decode(members["instructions"], type=str) or None
    given = members.get("input", b'""')
    return None if given.startswith(b'"') else _joined(given)


_PROMPTS: Mapping[Kind, Callable[[Mapping[str, bytes]], str | None]] = {
    "chat/completions": _chat_prompt,
    "messages": _messages_prompt,
    "responses": _responses_prompt,
}


def _joined(messages: bytes | None) -> str | None:
    """Return what the system says in messages, with an empty line between two of its messages."""
    if messages is None:
        return None
    found = msgspec.json.decode(messages, type=list[_Message])
    texts = [_content(bytes(one.content)) for one in found if one.role in ("system", "developer")]
    return "\n\n".join(filter(None, texts)) or None


def _content(text: bytes) -> str | None:
    """Return the text of a message: a string, or the text among its parts."""
    if text.startswith(b"["):
        return "".join(part.text for part in msgspec.json.decode(text, type=list[_Part])) or None
    return msgspec.json.decode(text, type=str | None) or None


_OTHER_NAMES: Mapping[str, str] = {"max_output_tokens": "max_tokens", "stop_sequences": "stop"}


class _Thinking(msgspec.Struct):
    type: str = "enabled"
    budget_tokens: int | None = None


def _in_chat(members: dict[str, bytes]) -> dict[str, bytes]:
    """Return members of /messages and /responses by the names and in the shapes that they have in chat completions.

    What has no counterpart there is left out by whoever calls.
    """
    found = {_OTHER_NAMES.get(name, name): value for name, value in members.items()}
    if "tools" in found:
        tools = msgspec.json.decode(found["tools"], type=_Objects)
        found["tools"] = b"[%b]" % b",".join(map(_chat_tool, tools))
    if "tool_choice" in found:
        choice = _chat_choice(msgspec.json.decode(found.pop("tool_choice")))
        found |= {} if choice is None else {"tool_choice": msgspec.json.encode(choice)}
    if "text" in found:
        found |= chat_text(found["text"])
    if "thinking" in found:
        found |= _chat_reasoning(msgspec.json.decode(found["thinking"], type=_Thinking))
    return found


def _chat_reasoning(thinking: _Thinking) -> dict[str, bytes]:
    if thinking.type == "disabled":
        return {"reasoning": b'{"enabled":false}'}
    if thinking.budget_tokens is not None:
        return {"reasoning": b'{"max_tokens":%d}' % thinking.budget_tokens}
    return {"reasoning": b'{"enabled":true}'}


def _chat_tool(tool: dict[str, msgspec.Raw]) -> bytes:
    """Flat functions of /responses, and of /messages, which have no type there; others as they are."""
    kind = msgspec.json.decode(tool.get("type", b'"function"'))
    if "name" not in tool or kind not in ("function", "custom") or "function" in tool:
        return msgspec.json.encode(tool)
    function = chat_function(tool)
    if "input_schema" in tool:
        function["parameters"] = tool["input_schema"]
    return msgspec.json.encode({"type": "function", "function": function})


def _chat_choice(choice: Any) -> Any:
    """None for what chat has no word for."""
    if not isinstance(choice, dict):
        return choice
    kind = str(choice.get("type"))
    if kind in ("function", "tool") and "name" in choice:
        return {"type": "function", "function": {"name": choice["name"]}}
    return {"auto": "auto", "any": "required", "none": "none"}.get(kind, choice if ":" in kind else None)
