import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from fairlead.errors import ApiError
from fairlead.wire.openrouter_shape import encode
from fairlead.wire.responses_tools import MOST_NAME_CHARS, chat_choice, chat_name, read_tools
from harness.jsontext import values

FUNCTION = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
PATCH = {
    "type": "custom", "name": "apply_patch", "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: hunk+"},
}  # fmt: skip
MCP = {"type": "namespace", "name": "mcp__git__", "description": "d", "tools": [FUNCTION, {**PATCH, "format": None}]}


def raw(value):
    return Raw(json.dumps(value).encode())


def in_chat(*tools):
    return [json.loads(encode(tool.chat)) for tool in read_tools(raw(tools))]


def chosen(choice, *tools):
    told, left = chat_choice(raw(choice), read_tools(raw(tools)))
    return json.loads(bytes(told)), [tool.chat_name or tool.kind for tool in left]


def refusal(function, *arguments):
    with pytest.raises(ApiError) as caught:
        function(*arguments)
    assert caught.value.status == 400
    return caught.value.param, caught.value.message


class TestTools:
    def test_a_function_is_nested(self):
        function = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
        assert in_chat({**FUNCTION, "cache_control": {"type": "ephemeral"}, "defer_loading": False}) == [
            {"type": "function", "function": function, "cache_control": {"type": "ephemeral"}}
        ]

    def test_what_is_null_is_left_out(self):
        assert in_chat({"type": "function", "name": "f", "parameters": None, "strict": None, "description": None}) == [
            {"type": "function", "function": {"name": "f"}}
        ]

    def test_a_function_in_chats_shape_stays(self):
        chat = {"type": "function", "function": {"name": "f", "parameters": {}}}
        assert in_chat(chat) == [chat]

    def test_schemas_keep_their_bytes(self):
        [tool] = read_tools(Raw(b'[{"type":"function","name":"f","parameters":{"a": 12345678901234567890.10}}]'))
        assert b'"parameters":{"a": 12345678901234567890.10}' in encode(tool.chat)

    def test_a_custom_tool_is_a_function_of_one_text_that_tells_its_grammar(self):
        [tool] = in_chat(PATCH)
        assert tool["function"]["name"] == "apply_patch"
        assert tool["function"]["description"] == "Edits files."
        assert tool["function"]["parameters"]["required"] == ["input"]
        assert "start: hunk+" in tool["function"]["parameters"]["properties"]["input"]["description"]

    def test_a_namespace_is_its_functions_by_names_of_both(self):
        [function, custom] = read_tools(raw([MCP]))
        assert json.loads(encode(function.chat))["function"]["name"] == function.chat_name == "mcp__git__f"
        assert (function.kind, function.namespace, function.name) == ("function", "mcp__git__", "f")
        assert (custom.kind, custom.chat_name) == ("custom", "mcp__git__apply_patch")

    @pytest.mark.parametrize("kind", ["web_search", "web_search_preview_2025_03_11", "openrouter:datetime"])
    def test_what_chat_has_as_well_stays(self, kind):
        tool = {"type": kind, "parameters": {"a": 1}}
        assert in_chat(tool) == [tool]

    @pytest.mark.parametrize(
        ("tools", "param", "named"),
        [
            ([FUNCTION, {"type": "file_search"}], "tools[1].type", "'file_search'"),
            ([{"type": "mcp", "server_label": "x"}], "tools[0].type", "'mcp'"),
            ([{"name": "f"}], "tools[0].type", "required"),
            ([{"type": "function"}], "tools[0].name", "required"),
            ([{"type": "function", "name": 7}], "tools[0].name", "a string, not a number"),
            ([{"type": "function", "function": {}}], "tools[0].function.name", "required"),
            ([7], "tools[0]", "an object, not a number"),
            ({}, "tools", "a list, not an object"),
            ([{"type": "namespace", "name": "n"}], "tools[0].tools", "required"),
            ([{"type": "namespace", "name": "n", "tools": [MCP]}], "tools[0].tools[0].type", "'namespace'"),
            ([{"type": "custom", "name": "c", "format": "text"}], "tools[0].format", "an object, not a string"),
            ([FUNCTION, {**PATCH, "name": "f"}], "tools", "'f'"),
            ([{**FUNCTION, "name": "mcp__git__f"}, MCP], "tools", "'mcp__git__f'"),
        ],
        ids=str,
    )
    def test_what_cannot_be_translated_is_named(self, tools, param, named):
        told, text = refusal(read_tools, raw(tools))
        assert told == param
        assert named in text


class TestNames:
    def test_of_both_parts(self):
        assert chat_name("f") == "f"
        assert chat_name("f", "ns") == "ns__f"
        assert chat_name("f", "ns__") == "ns__f"

    def test_long_ones_are_cut_and_stay_distinct(self):
        one, other = (chat_name(name, "n" * 60) for name in ("first", "second"))
        assert len(one) == len(other) == MOST_NAME_CHARS
        assert one != other
        assert one == chat_name("first", "n" * 60)


class TestChoice:
    @pytest.mark.parametrize("word", ["auto", "none", "required"])
    def test_words_stay(self, word):
        assert chosen(word, FUNCTION) == (word, ["f"])

    @pytest.mark.parametrize(
        ("choice", "name"),
        [
            ({"type": "function", "name": "f"}, "f"),
            ({"type": "custom", "name": "apply_patch"}, "apply_patch"),
            ({"type": "function", "name": "f", "namespace": "mcp__git__"}, "mcp__git__f"),
        ],
    )
    def test_one_tool(self, choice, name):
        assert chosen(choice, FUNCTION, PATCH)[0] == {"type": "function", "function": {"name": name}}

    @pytest.mark.parametrize(
        "choice", [{"type": "web_search_preview"}, {"type": "function", "function": {"name": "f"}}]
    )
    def test_what_chat_has_as_well_stays(self, choice):
        assert chosen(choice, FUNCTION)[0] == choice

    @pytest.mark.parametrize(
        ("allowed", "left"),
        [
            ([{"type": "function", "name": "f"}], ["f"]),
            ([{"type": "custom", "name": "apply_patch"}, {"type": "web_search"}], ["apply_patch", "web_search"]),
            ([{"type": "function", "name": "f", "namespace": "mcp__git__"}], ["mcp__git__f"]),
            ([{"type": "namespace", "name": "mcp__git__"}], ["mcp__git__f", "mcp__git__apply_patch"]),
        ],
        ids=str,
    )
    def test_of_some_tools_the_others_are_left_out(self, allowed, left):
        choice = {"type": "allowed_tools", "mode": "required", "tools": allowed}
        assert chosen(choice, FUNCTION, PATCH, {"type": "web_search"}, MCP) == ("required", left)

    @pytest.mark.parametrize(
        ("choice", "param"),
        [
            ("any", "tool_choice"),
            (7, "tool_choice"),
            ({}, "tool_choice.type"),
            ({"type": "mcp"}, "tool_choice.type"),
            ({"type": "function"}, "tool_choice.name"),
            ({"type": "allowed_tools"}, "tool_choice.tools"),
            ({"type": "allowed_tools", "mode": "none", "tools": []}, "tool_choice.mode"),
            ({"type": "allowed_tools", "tools": [{"type": "function", "name": "g"}]}, "tool_choice.tools"),
            ({"type": "allowed_tools", "tools": [{"type": "function"}]}, "tool_choice.tools[0].name"),
        ],
        ids=str,
    )
    def test_what_cannot_be_translated_is_named(self, choice, param):
        assert refusal(chat_choice, raw(choice), read_tools(raw([FUNCTION])))[0] == param


_TYPES = st.sampled_from(["function", "custom", "namespace", "web_search", "mcp", "allowed_tools"])
_TOOLS = st.dictionaries(st.sampled_from(["name", "tools", "format", "function", "parameters", "mode"]), values)
_LIKE = st.lists(st.builds(lambda kind, tool: {"type": kind, **tool}, _TYPES, _TOOLS), max_size=3)


@given(_LIKE | values, values | _LIKE.map(lambda tools: tools[0] if tools else {}))
def test_nothing_else_is_raised(tools, choice):
    with contextlib.suppress(ApiError):
        told, left = chat_choice(raw(choice), read_tools(raw(tools)))
        encode([tool.chat for tool in left])
        json.loads(bytes(told))
