"""Presets: named defaults of a chat request, kept by the gateway and laid under what a caller sends.

A request names one as its model (`@preset/slug`), behind its model (`openai/gpt-5@preset/slug`) or as its member
`preset`. Specification: wire-api, sections 6.2 and 9.11. Where that says nothing it was decided here:

- A member that is null counts as not sent, as do empty `models`.
- Members that say the same thing by other names are one: a request with `max_tokens` gets no `max_completion_tokens`
  of the preset, one with `reasoning_effort` no `reasoning`.
- A request that lists `models` without a `model` gets no model of the preset before them.
- Of two tools that are the same the request's stays, and its tools come first.
- A request that names two different presets is refused.
- Models in `models` name no presets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from fairlead.errors import ApiError
from fairlead.wire.cache_key import PresetCache
from fairlead.wire.request import ChatRequest, RoutingFields

MARK = "@preset/"

_MERGED = frozenset(("model", "models", "tools", "cache_enabled", "cache_ttl_seconds"))
"""What is not simply put where the request has nothing; those about the response cache are no members of a request."""
_SAME: Mapping[str, frozenset[str]] = {
    name: group
    for group in (
        frozenset(("max_tokens", "max_completion_tokens")),
        frozenset(("reasoning", "reasoning_effort", "include_reasoning")),
    )
    for name in group
}
_WEB_SEARCH = frozenset(("web_search", "web_search_preview", "web_search_preview_2025_03_11", "web_search_2025_08_26"))
"""Short for `openrouter:web_search`: wire-api, section 3.4."""
_SYSTEM_ROLES = ("system", "developer")


@dataclass(frozen=True, slots=True)
class Preset:
    """What is laid under a request that names it."""

    slug: str
    members: Mapping[str, bytes]
    """JSON by name: `wire/preset_config.py` says which there can be."""
    system_prompt: bytes = b""
    """A JSON string, or empty."""
    cache: PresetCache | None = None
    """What it says of the response cache; None: nothing."""


class Presets(Protocol):
    """Whoever knows the presets. Asked on the path of requests, so it answers from memory."""

    def find(self, slug: str) -> Preset:
        """Raises ApiError for one that cannot be used."""
        ...

    def default(self) -> Preset | None:
        """Return what applies to requests that name none. Raises ApiError if that cannot be told."""
        ...


class NoPresets:
    """Where there are none."""

    def find(self, slug: str) -> Preset:
        raise ApiError(404, f"There is no preset {slug[:100]!r}", error_type="not_found", param="preset")

    def default(self) -> None:
        return None


class _Message(msgspec.Struct):
    role: str | None = None


class _Function(msgspec.Struct):
    name: str = ""


class _Tool(msgspec.Struct):
    type: str = "function"
    function: _Function | None = None


Members = Mapping[str, msgspec.Raw]
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MESSAGES = msgspec.json.Decoder(list[_Message])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_TOOL = msgspec.json.Decoder(_Tool)
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_chat(raw: bytes, presets: Presets) -> tuple[ChatRequest, Preset | None]:
    """Return the chat request in `raw`, over the preset that it names or that applies to all, and that preset.

    A request without one costs nothing but two questions. Raises ApiError: what `ChatRequest.parse` and `presets` do.
    """
    try:
        request = ChatRequest.parse(raw)
    except ApiError as refusal:
        if refusal.param != "model":
            raise
        preset = _preset_for(raw, presets)
        if preset is None:
            raise
    else:
        is_named = MARK in request.model or request.has("preset")
        preset = _preset_for(raw, presets) if is_named else presets.default()
        if preset is None:
            return request, None
    return ChatRequest.parse(apply(raw, preset)), preset


def _preset_for(raw: bytes, presets: Presets) -> Preset | None:
    slug = preset_of(raw)
    return presets.find(slug) if slug else presets.default()


def is_preset(model: str) -> bool:
    """Whether a model's name is, or has behind it, that of a preset."""
    return MARK in model


def model_of(model: str) -> str:
    """Return the name without its preset: empty for `@preset/slug`."""
    return model.partition(MARK)[0]


def preset_of(raw: bytes) -> str:
    """Return the slug of the preset that a chat request names, else an empty string.

    Raises ApiError 400 for a `preset` that is no string, and for two of them.
    """
    try:
        members = _MEMBERS.decode(raw)
    except _FAULTS:
        return ""  # nor can it be read as a request, which will be told
    behind = _text(members, "model").partition(MARK)[2]
    beside = _text(members, "preset").removeprefix(MARK)
    if beside == "" and is_given(members, "preset") and bytes(members["preset"]) != b'""':
        raise ApiError(400, "'preset' must be a string: the slug of a preset", param="preset")
    if behind and beside and behind != beside:
        text = f"The request names two presets, {behind[:100]!r} in 'model' and {beside[:100]!r} in 'preset': name one"
        raise ApiError(400, text, param="preset")
    return behind or beside


def apply(raw: bytes, preset: Preset) -> bytes:
    """Return the body of a chat request with the preset under it; what the caller has sent keeps its bytes.

    The result names no preset any more. Raises ApiError 400 when nothing is left that could answer.
    """
    members = _MEMBERS.decode(raw)
    edits: dict[str, bytes | None] = {} if "preset" not in members else {"preset": None}
    edits |= _models(members, preset)
    for name, value in preset.members.items():
        if name not in _MERGED and not any(is_given(members, one) for one in _SAME.get(name, (name,))):
            edits[name] = value
    if "tools" in preset.members:
        edits["tools"] = united(members.get("tools"), preset.members["tools"])
    if preset.system_prompt and "messages" in members and not _has_system(members["messages"]):
        edits["messages"] = _with_system(bytes(members["messages"]), preset.system_prompt)
    return b"".join(ChatRequest(raw, dict(members), RoutingFields(), ("",)).spliced(edits))


def is_given(members: Members, name: str) -> bool:
    return name in members and bytes(memoryview(members[name])[:4]) != b"null"


def _models(members: Members, preset: Preset) -> dict[str, bytes | None]:
    edits: dict[str, bytes | None] = {}
    named = _text(members, "model")
    has_list = is_given(members, "models") and bytes(members["models"]).strip(b"[] \t\r\n") != b""
    if "models" in preset.members and not has_list:
        edits["models"] = preset.members["models"]
    if own := model_of(named):
        return edits | {"model": msgspec.json.encode(own)} if is_preset(named) else edits
    if not named and is_given(members, "model") and bytes(members["model"]) != b'""':
        return edits  # no string: refused by whoever reads it next
    if "model" in preset.members and (named or not has_list):
        return edits | {"model": preset.members["model"]}
    if named and not has_list and "models" not in preset.members:
        raise _without_model(preset.slug)
    return edits | {"model": None} if "model" in members else edits


def _without_model(slug: str) -> ApiError:
    text = f"The preset {slug!r} names no model: send one with it, as in author/model{MARK}{slug}"
    return ApiError(400, text, param="model")


def united(own: msgspec.Raw | bytes | None, more: bytes) -> bytes:
    """Return the tools of both lists (JSON), but for those of `more` that `own` has as well.

    Functions are the same by their name, the gateway's tools by their type. What cannot be read as a list of tools is
    left as it is, for the provider to refuse.
    """
    if own is None or bytes(memoryview(own)[:4]) == b"null":
        return more
    try:
        sent = _LIST.decode(own)
        known = {_identity(tool) for tool in sent}
        added = [bytes(tool) for tool in _LIST.decode(more) if _identity(tool) not in known]
    except _FAULTS:
        return bytes(own)
    return b"[%b]" % b",".join([*map(bytes, sent), *added]) if added else bytes(own)


def _identity(tool: msgspec.Raw) -> str:
    read = _TOOL.decode(tool)
    if read.type == "function":
        return f"function {read.function.name if read.function else ''}"
    return "openrouter:web_search" if read.type in _WEB_SEARCH else read.type


def _has_system(messages: msgspec.Raw) -> bool:
    try:
        return any(message.role in _SYSTEM_ROLES for message in _MESSAGES.decode(messages))
    except _FAULTS:
        return False


def _with_system(messages: bytes, prompt: bytes) -> bytes:
    """Messages that are no list are left for others to refuse."""
    if not messages.startswith(b"["):
        return messages
    rest = messages[1:].lstrip(b" \t\r\n")
    return b'[{"role":"system","content":%b}%b%b' % (prompt, b"" if rest == b"]" else b",", rest)


def _text(members: Members, name: str) -> str:
    """Return a member that is a string, else an empty one."""
    try:
        return str(msgspec.json.decode(members[name], type=str))
    except (KeyError, *_FAULTS):
        return ""
