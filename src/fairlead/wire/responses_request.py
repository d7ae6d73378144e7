"""A request to POST /responses as the chat request that it comes to (wire-api, section 9.2).

Members that chat has by the same name pass as they came, as do those that nobody knows; of those known, what is null
counts as not sent. Nothing is kept between requests: what would need that is refused. Where the specification is
silent it was decided here:

- `truncation` is chat's context compression: `auto` asks for it and `disabled` forbids it, unless `transforms` or the
  plugin says something of its own.
- `top_logprobs` asks for log probabilities, with or without `include`.
- Without tools, a `tool_choice` of `auto` or `none` and `parallel_tool_calls` go: OpenAI's chat would refuse them.
- `context_management`, `client_metadata` and the rest of `include` are the business of whoever keeps responses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from msgspec import Raw

from fairlead.errors import ApiError
from fairlead.wire.middle_out import PLUGIN
from fairlead.wire.openrouter_shape import MEMBERS, NULL, UNREADABLE, Members, encode, on_one_line
from fairlead.wire.request import ChatRequest
from fairlead.wire.responses_config import chat_text
from fairlead.wire.responses_input import messages_of
from fairlead.wire.responses_read import count_of, flag_of, given, list_of, object_of, text_of, wrong
from fairlead.wire.responses_tools import Tool, chat_choice, read_tools

_OURS: Final = frozenset((
    "input", "instructions", "max_output_tokens", "text", "reasoning", "tools", "tool_choice", "include",
    "top_logprobs", "truncation", "stream_options", "store", "background", "previous_response_id", "conversation",
    "prompt", "context_management", "client_metadata",
))  # fmt: skip
"""Told in chat by other names, in another shape, or not at all."""
_REPEATED: Final[Mapping[str, bytes]] = {
    "background": b"false",
    "frequency_penalty": b"null",
    "instructions": b"null",
    "max_output_tokens": b"null",
    "max_tool_calls": b"null",
    "metadata": b"{}",
    "parallel_tool_calls": b"true",
    "presence_penalty": b"null",
    "previous_response_id": b"null",
    "prompt_cache_key": b"null",
    "reasoning": b"null",
    "safety_identifier": b"null",
    "store": b"false",
    "temperature": b"null",
    "text": b'{"format":{"type":"text"}}',
    "tool_choice": b'"auto"',
    "tools": b"[]",
    "top_logprobs": b"0",
    "top_p": b"null",
    "truncation": b'"disabled"',
    "user": b"null",
}
"""What a Response repeats of its request, and what it says instead where that is silent."""
_KNOWN: Final = frozenset((*_REPEATED, "provider", "service_tier", "stop", "stream"))
_REASONING: Final = ("effort", "max_tokens", "enabled", "exclude")
_IDLE: Final = (Raw(b'"auto"'), Raw(b'"none"'))
_LOGPROBS: Final = "message.output_text.logprobs"
_TRANSFORMS: Final[Mapping[str, bytes]] = {"auto": b'["middle-out"]', "disabled": b"[]"}
_STATE: Final[Mapping[str, str]] = {
    "previous_response_id": "send the items of the conversation so far in 'input'",
    "conversation": "send the items of the conversation so far in 'input'",
    "prompt": "send its text in 'instructions' or 'input'",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the reply has to know of its request."""

    repeated: bytes
    """Members of the Response (JSON on one line, without braces)."""
    service_tier: bytes = b"null"
    """JSON; the reply may know better."""
    tools: Mapping[str, Tool] = field(default_factory=dict)
    """By their names in chat: those that the caller knows by another name or in another shape."""


def chat_request(raw: bytes) -> tuple[bytes, Asked]:
    """Return the body of the chat request, and what its reply has to know.

    Raises ApiError 400 that names what is wrong. What chat has by the same name is left to `ChatRequest.parse`.
    """
    sent = _members(raw)
    _refuse_state(sent)
    if "messages" in sent:
        raise ApiError(400, "'messages' belongs to chat completions: send 'input' only", param="messages")
    if given(sent, "input") is None:
        raise ApiError(400, "'input' is required: a string, or a list of items", param="input")
    chat: Members = {
        name: value for name, value in sent.items() if name not in _OURS and not (value == NULL and name in _KNOWN)
    }
    chat["messages"] = Raw(messages_of(sent["input"], given(sent, "instructions")))
    tools = _add_tools(chat, sent)
    _add_limits(chat, sent)
    _add_shape(chat, sent)
    _add_logprobs(chat, sent)
    if (told := given(sent, "truncation")) is not None:
        _add_compression(chat, text_of(told, "truncation"))
    if given(sent, "stream") == Raw(b"true"):
        chat["stream_options"] = {"include_usage": True}
    return encode(chat), _asked(sent, tools)


def is_for_responses(raw: bytes) -> bool:
    """Whether a body that chat cannot take is one for the Responses API."""
    try:
        sent = MEMBERS.decode(raw)
    except UNREADABLE:
        return False
    return "messages" not in sent and "input" in sent


def _members(raw: bytes) -> Members:
    try:
        sent = MEMBERS.decode(raw)
    except UNREADABLE:
        ChatRequest.parse(raw)  # which says why not
        raise ApiError(400, "The request body cannot be read: send a JSON object") from None
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            raise ApiError(400, f"The request body is not valid UTF-8: {error.reason}") from None
    return sent


def _refuse_state(sent: Members) -> None:
    for name, remedy in _STATE.items():
        if given(sent, name) is not None:
            raise ApiError(
                400, f"'{name}' cannot be used here: nothing is kept between requests, so {remedy}", param=name
            )
    for name, what in (("store", "responses are not kept"), ("background", "a response is answered at once")):
        if (told := given(sent, name)) is not None and flag_of(told, name):
            raise ApiError(400, f"'{name}' cannot be used here: {what}, so send it as false or not at all", param=name)
    if (told := given(sent, "n")) is not None and count_of(told, "n", 1) > 1:
        raise ApiError(400, "'n' is wrong: a response has one answer, so send several requests", param="n")


def _add_tools(chat: Members, sent: Members) -> list[Tool]:
    told, choice = given(sent, "tools"), given(sent, "tool_choice")
    tools = read_tools(told) if told is not None else []
    if choice is not None:
        chosen, tools = chat_choice(choice, tools)
        if tools or chosen not in _IDLE:
            chat["tool_choice"] = chosen
    if tools:
        chat["tools"] = [tool.chat for tool in tools]
    else:
        chat.pop("parallel_tool_calls", None)
    return tools


def _add_limits(chat: Members, sent: Members) -> None:
    if (limit := given(sent, "max_output_tokens")) is not None:
        count_of(limit, "max_output_tokens", 1)
        chat["max_tokens"] = limit
    if (most := given(sent, "max_tool_calls")) is not None:
        count_of(most, "max_tool_calls", 1)


def _add_shape(chat: Members, sent: Members) -> None:
    if (told := given(sent, "text")) is not None:
        object_of(told, "text")
        try:
            chat |= {name: Raw(value) for name, value in chat_text(told).items()}
        except UNREADABLE as error:
            raise wrong("text", str(error)) from None
    if (told := given(sent, "reasoning")) is not None:
        reasoning = object_of(told, "reasoning")
        if known := {name: reasoning[name] for name in _REASONING if given(reasoning, name) is not None}:
            chat["reasoning"] = known
    if "audio" in _words(sent, "modalities"):
        raise wrong("modalities", "sound cannot be told in a response: ask for it in chat completions")


def _add_logprobs(chat: Members, sent: Members) -> None:
    top = given(sent, "top_logprobs")
    if top is not None and count_of(top, "top_logprobs", 0) > 0:
        chat |= {"logprobs": True, "top_logprobs": top}
    if _LOGPROBS in _words(sent, "include"):
        chat["logprobs"] = True


def _words(sent: Members, name: str) -> list[str]:
    told = given(sent, name)
    return [] if told is None else [text_of(one, f"{name}[{at}]") for at, one in enumerate(list_of(told, name))]


def _add_compression(chat: Members, truncation: str) -> None:
    if truncation not in _TRANSFORMS:
        raise wrong("truncation", f"it must be 'auto' or 'disabled', not {truncation[:100]!r}")
    plugins = given(chat, "plugins")
    if given(chat, "transforms") is None and (plugins is None or PLUGIN.encode() not in bytes(plugins)):
        chat["transforms"] = Raw(_TRANSFORMS[truncation])


def _asked(sent: Members, tools: list[Tool]) -> Asked:
    repeated = [b'"%b":%b' % (name.encode(), _repeated(sent, name, silent)) for name, silent in _REPEATED.items()]
    renamed = {tool.chat_name: tool for tool in tools if tool.kind == "custom" or tool.namespace}
    return Asked(b",".join(repeated), _repeated(sent, "service_tier", b"null"), renamed)


def _repeated(sent: Members, name: str, silent: bytes) -> bytes:
    found = given(sent, name)
    if found is None:
        return silent
    try:
        return on_one_line(bytes(found))
    except UNREADABLE:
        raise wrong(name, "it is nested too deeply") from None
