"""The tools of a Responses request as chat completions has them, and the way back for what the model then calls.

    function                     a function
    custom                       a function with one argument, `input`; chat's own custom tools only OpenAI has
    namespace                    each of its functions, by the name `<namespace>__<name>` (Codex has those of MCP so)
    web_search*, openrouter:*    as they are: chat has the same (wire-api, section 3.4)

Any other runs on its maker's servers, and is refused by name.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from msgspec import Raw

from fairlead.errors import ApiError
from fairlead.wire.openrouter_shape import NULL, Members, encode
from fairlead.wire.responses_config import chat_function
from fairlead.wire.responses_read import first_byte, given, needed, object_of, objects_of, text_of, wrong

MOST_NAME_CHARS = 64
"""Of a function's name in chat."""

_FUNCTION: Final = Raw(b'"function"')
_CALLED: Final = ("function", "custom")
_WORDS: Final = ("auto", "none", "required")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as the caller knows it, and as chat does. `name` is empty where the kind says it all."""

    kind: str
    name: str
    namespace: str
    chat_name: str
    chat: Members


def chat_name(name: str, namespace: str = "") -> str:
    """Return the name that chat knows a function by."""
    if not namespace:
        return name
    whole = f"{namespace}{'' if namespace.endswith('__') else '__'}{name}"
    if len(whole) <= MOST_NAME_CHARS:
        return whole
    return f"{whole[: MOST_NAME_CHARS - 9]}_{zlib.crc32(whole.encode()):08x}"


def read_tools(told: Raw) -> list[Tool]:
    """Return the tools of the member `tools`. Raises ApiError 400 for what cannot be translated."""
    tools: list[Tool] = []
    for index, members in enumerate(objects_of(told, "tools")):
        tools += _tools(members, f"tools[{index}]")
    named: dict[str, Tool] = {}
    for tool in tools:
        if tool.kind in _CALLED and (other := named.setdefault(tool.chat_name, tool)) is not tool:
            _check_distinct(tool, other)
    return tools


def _check_distinct(tool: Tool, other: Tool) -> None:
    """Refuse two tools whose calls could not be told apart. A function that is there twice its provider may judge."""
    if (tool.kind, tool.namespace) != (other.kind, other.namespace) or tool.kind == "custom":
        raise wrong("tools", f"two of them are called {tool.chat_name[:100]!r}: give each a name of its own")


def _tools(members: Members, where: str) -> Iterable[Tool]:
    kind = text_of(needed(members, "type", where), f"{where}.type")
    if kind == "namespace":
        namespace = text_of(needed(members, "name", where), f"{where}.name")
        inner = f"{where}.tools"
        for index, one in enumerate(objects_of(needed(members, "tools", where), inner)):
            yield _called(one, f"{inner}[{index}]", namespace)
    elif kind in _CALLED:
        yield _called(members, where, "")
    elif kind.startswith(("web_search", "openrouter:")):
        yield Tool(kind, "", "", "", members)
    else:
        text = f"a tool of type {kind[:100]!r} cannot be used here: take functions, custom tools or 'web_search'"
        raise wrong(f"{where}.type", text)


def _called(members: Members, where: str, namespace: str) -> Tool:
    kind = text_of(needed(members, "type", where), f"{where}.type")
    if kind not in _CALLED:
        raise wrong(f"{where}.type", f"a namespace has functions and custom tools, not {kind[:100]!r}")
    if kind == "function" and not namespace and "name" not in members and "function" in members:  # chat's shape
        inner = object_of(members["function"], f"{where}.function")
        name = text_of(needed(inner, "name", f"{where}.function"), f"{where}.function.name")
        return Tool(kind, name, namespace, name, members)
    name = text_of(needed(members, "name", where), f"{where}.name")
    flat = chat_name(name, namespace)
    function: Members = {one: value for one, value in chat_function(members).items() if value != NULL}
    if kind == "custom":
        function["parameters"] = _input_of(members, where)
    if flat != name:
        function["name"] = flat
    chat: Members = {"type": _FUNCTION, "function": function}
    if "cache_control" in members:
        chat["cache_control"] = members["cache_control"]
    return Tool(kind, name, namespace, flat, chat)


def _input_of(members: Members, where: str) -> Members:
    """Return the schema of a custom tool's input. No provider can hold a function to a grammar, so it is told."""
    told = "The whole input of the tool, as it is."
    if (found := given(members, "format")) is not None:
        grammar = object_of(found, f"{where}.format")
        if (definition := given(grammar, "definition")) is not None:
            syntax = text_of(needed(grammar, "syntax", f"{where}.format"), f"{where}.format.syntax")
            rules = text_of(definition, f"{where}.format.definition")
            told = f"{told} It has to match this grammar ({syntax[:100]}):\n{rules}"
    return {
        "type": "object",
        "properties": {"input": {"type": "string", "description": told}},
        "required": ["input"],
        "additionalProperties": False,
    }


def chat_choice(told: Raw, tools: list[Tool]) -> tuple[Raw, list[Tool]]:
    """Return chat's `tool_choice` (JSON), and the tools that the model may then choose from.

    `allowed_tools` leaves out the others, which every provider understands. Raises ApiError 400.
    """
    where = "tool_choice"
    if first_byte(told) == b'"':
        if (word := text_of(told, where)) not in _WORDS:
            raise wrong(where, f"it must be 'auto', 'none', 'required' or an object, not {word[:100]!r}")
        return told, tools
    choice = object_of(told, where)
    kind = text_of(needed(choice, "type", where), f"{where}.type")
    if kind == "allowed_tools":
        return _allowed(choice, tools)
    if kind in _CALLED:
        if "function" in choice:  # chat's shape
            return told, tools
        return Raw(encode({"type": "function", "function": {"name": _name_in(choice, where)}})), tools
    if kind.startswith(("web_search", "openrouter:")):
        return told, tools
    text = f"a tool of type {kind[:100]!r} cannot be used here: name a function, or say 'auto', 'none' or 'required'"
    raise wrong(f"{where}.type", text)


def _name_in(choice: Members, where: str) -> str:
    name = text_of(needed(choice, "name", where), f"{where}.name")
    namespace = given(choice, "namespace")
    return chat_name(name, "" if namespace is None else text_of(namespace, f"{where}.namespace"))


def _allowed(choice: Members, tools: list[Tool]) -> tuple[Raw, list[Tool]]:
    found = given(choice, "mode")
    mode = "auto" if found is None else text_of(found, "tool_choice.mode")
    if mode not in ("auto", "required"):
        raise wrong("tool_choice.mode", f"it must be 'auto' or 'required', not {mode[:100]!r}")
    inner = "tool_choice.tools"
    allowed = set()
    for index, one in enumerate(objects_of(needed(choice, "tools", "tool_choice"), inner)):
        where = f"{inner}[{index}]"
        kind = text_of(needed(one, "type", where), f"{where}.type")
        allowed.add((kind, _name_in(one, where) if kind in (*_CALLED, "namespace") else ""))
    left = [
        tool for tool in tools if (tool.kind, tool.chat_name) in allowed or ("namespace", tool.namespace) in allowed
    ]
    if not left:
        raise ApiError(400, "'tool_choice' allows none of the tools: name some of those in 'tools'", param=inner)
    return Raw(encode(mode)), left
