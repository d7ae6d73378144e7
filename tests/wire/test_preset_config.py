import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import ApiError
from fairlead.wire import preset_config
from fairlead.wire.preset_config import FIELDS, SLUG, config_of
from harness.jsontext import damaged

CHAT = "chat/completions"
USER = {"role": "user", "content": "hi"}


def made(kind=CHAT, **members):
    config = config_of(json.dumps(members).encode(), kind)
    return json.loads(config.text), config.system_prompt


def refusal(raw, kind=CHAT):
    with pytest.raises(ApiError) as caught:
        config_of(raw if isinstance(raw, bytes) else json.dumps(raw).encode(), kind)
    assert caught.value.status == 400
    return caught.value


class TestChat:
    def test_only_what_configures_is_kept(self):
        config, prompt = made(
            model="openai/gpt-5",
            models=["a/b"],
            temperature=0.7,
            max_tokens=None,
            tools=[{"type": "openrouter:datetime"}],
            provider={"sort": "price"},
            reasoning={"effort": "low"},
            cache_enabled=True,
            cache_ttl_seconds=600,
            messages=[{"role": "system", "content": "Be brief."}, USER],
            stream=True,
            stream_options={"include_usage": True},
            user="u",
            session_id="s",
            metadata={"a": "b"},
            prompt_cache_key="k",
            safe_prompt=True,
        )
        assert config == {
            "model": "openai/gpt-5", "models": ["a/b"], "temperature": 0.7, "tools": [{"type": "openrouter:datetime"}],
            "provider": {"sort": "price"}, "reasoning": {"effort": "low"}, "cache_enabled": True,
            "cache_ttl_seconds": 600,
        }  # fmt: skip
        assert prompt == "Be brief."

    def test_all_that_the_system_says(self):
        messages = [
            {"role": "system", "content": "One."},
            USER,
            {"role": "developer", "content": [{"type": "text", "text": "Two"}, {"type": "text", "text": "!"}]},
            {"role": "system", "content": ""},
        ]
        assert made(messages=messages) == ({}, "One.\n\nTwo!")

    def test_numbers_keep_their_digits(self):
        config = config_of(b'{ "seed" : 123456789012345678901234567890 , "temperature" : 0.70 }', CHAT)
        assert config.text == b'{"temperature":0.70,"seed":123456789012345678901234567890}'
        assert config.members() == {"temperature": b"0.70", "seed": b"123456789012345678901234567890"}

    @pytest.mark.parametrize(
        ("transforms", "plugin"),
        [
            (["middle-out"], {"id": "context-compression"}),
            ([], {"id": "context-compression", "enabled": False}),
        ],
    )
    def test_transforms_become_the_plugin(self, transforms, plugin):
        assert made(transforms=transforms)[0] == {"plugins": [plugin]}
        assert made(transforms=transforms, plugins=[{"id": "web"}])[0] == {"plugins": [{"id": "web"}]}

    def test_the_same_is_the_same_however_it_is_spelt(self):
        one = config_of(b'{"model":"m","temperature":1,"messages":[]}', CHAT)
        assert config_of(b'{"temperature": 1,\n "model": "m", "stream": true}', CHAT) == one


class TestOthers:
    def test_messages(self):
        config, prompt = made(
            "messages",
            model="anthropic/claude",
            max_tokens=1024,
            system=[{"type": "text", "text": "Be kind."}],
            stop_sequences=["x"],
            thinking={"type": "enabled", "budget_tokens": 2000},
            tools=[{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
            tool_choice={"type": "any"},
            messages=[USER],
        )
        function = {"name": "f", "description": "d", "parameters": {"type": "object"}}
        assert config == {
            "model": "anthropic/claude", "max_tokens": 1024, "stop": ["x"], "reasoning": {"max_tokens": 2000},
            "tools": [{"type": "function", "function": function}], "tool_choice": "required",
        }  # fmt: skip
        assert prompt == "Be kind."

    def test_responses(self):
        config, prompt = made(
            "responses",
            model="openai/gpt-5",
            input="hello",
            instructions="Be exact.",
            max_output_tokens=50,
            text={"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "low"},
            tools=[{"type": "function", "name": "f", "parameters": {}}, {"type": "web_search"}],
            tool_choice={"type": "function", "name": "f"},
            store=False,
        )
        assert config == {
            "model": "openai/gpt-5", "max_tokens": 50, "verbosity": "low",
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}, {"type": "web_search"}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
        }  # fmt: skip
        assert prompt == "Be exact."

    @pytest.mark.parametrize(
        ("kind", "members", "prompt"),
        [
            ("messages", {"system": "S", "messages": [USER]}, "S"),
            ("messages", {"model": "m", "messages": [{"role": "system", "content": "S"}]}, "S"),
            ("responses", {"model": "m", "input": [{"role": "developer", "content": "S"}, USER]}, "S"),
            ("responses", {"model": "m", "input": [{"type": "function_call", "name": "f"}]}, None),
            ("responses", {"model": "m", "instructions": ""}, None),
        ],
    )
    def test_where_the_system_speaks(self, kind, members, prompt):
        assert made(kind, **members)[1] == prompt

    @pytest.mark.parametrize(
        ("choice", "chat"),
        [
            ("auto", "auto"),
            ({"type": "auto"}, "auto"),
            ({"type": "none"}, "none"),
            ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
            ({"type": "openrouter:datetime"}, {"type": "openrouter:datetime"}),
            ({"type": "allowed_tools", "mode": "auto", "tools": []}, None),
        ],
    )
    def test_tool_choices(self, choice, chat):
        assert made("responses", model="m", tool_choice=choice)[0].get("tool_choice") == chat

    @pytest.mark.parametrize(
        ("thinking", "reasoning"),
        [({"type": "disabled"}, {"enabled": False}), ({"type": "adaptive"}, {"enabled": True})],
    )
    def test_thinking(self, thinking, reasoning):
        assert made("messages", thinking=thinking)[0] == {"reasoning": reasoning}

    @pytest.mark.parametrize(
        ("text", "chat"),
        [
            ({"format": {"type": "text"}}, {}),
            ({"format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
            ({"verbosity": "high"}, {"verbosity": "high"}),
        ],
    )
    def test_text(self, text, chat):
        assert made("responses", model="m", text=text)[0] == {"model": "m"} | chat


class TestRefusals:
    @pytest.mark.parametrize("raw", [b"", b"[]", b"5", b"{", b"\xff{}"])
    def test_no_object(self, raw):
        assert "JSON object" in refusal(raw).message

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("model", 5),
            ("model", ""),
            ("models", "m"),
            ("models", []),
            ("models", ["m"] * 33),
            ("provider", []),
            ("plugins", {}),
            ("tools", [1]),
            ("max_tokens", "5"),
            ("cache_enabled", 1),
            ("cache_ttl_seconds", 0),
            ("cache_ttl_seconds", 86_401),
        ],
    )
    def test_what_no_request_could_have(self, name, value):
        error = refusal({name: value})
        assert error.param == name
        assert error.message.startswith(f"'{name}' is wrong: ")

    @pytest.mark.parametrize("members", [{"model": "@preset/x"}, {"models": ["a", "b@preset/x"]}])
    def test_presets_are_not_made_of_presets(self, members):
        assert "cannot be made of another" in refusal(members).message

    @pytest.mark.parametrize("members", [{}, {"messages": [USER], "stream": True}, {"model": None}])
    def test_nothing_to_configure(self, members):
        assert "Nothing" in refusal(members).message

    @pytest.mark.parametrize(
        ("kind", "members"),
        [
            (CHAT, {"messages": 5}),
            (CHAT, {"messages": [{"role": "system", "content": 5}]}),
            (CHAT, {"transforms": "middle-out"}),
            ("messages", {"system": 5}),
            ("messages", {"tools": [5]}),
            ("responses", {"instructions": 5}),
            ("responses", {"text": 5}),
        ],
    )
    def test_what_cannot_be_read(self, kind, members):
        assert "The request body is wrong" in refusal(members, kind).message

    def test_too_long(self, monkeypatch):
        monkeypatch.setattr(preset_config, "MOST_BYTES", 100)
        assert "no more than 100 bytes" in refusal({"stop": "x" * 100}).message
        assert "no more than 100 bytes" in refusal({"messages": [{"role": "system", "content": "x" * 101}]}).message


def test_slugs():
    for slug in ("a", "email-copywriter", "x_1", "0", "a" * 64):
        assert SLUG.fullmatch(slug), slug
    for slug in ("", "-a", "A", "a/b", "a b", "a:nitro", "é", "a" * 65):
        assert not SLUG.fullmatch(slug), slug


def test_nothing_of_a_single_request_is_a_field():
    of_one = {"messages", "prompt", "stream", "stream_options", "usage", "user", "session_id", "metadata", "trace"}
    assert not FIELDS.keys() & (of_one | {"debug", "preset", "prompt_cache_key", "transforms"})


NAMES = [
    *sorted(FIELDS),
    "system",
    "instructions",
    "messages",
    "input",
    "text",
    "thinking",
    "transforms",
    "stop_sequences",
]


@given(
    st.dictionaries(st.sampled_from([name.encode() for name in NAMES]), damaged(), max_size=4),
    st.sampled_from(["chat/completions", "messages", "responses"]),
)
def test_whatever_is_sent_configures_or_is_refused(members, kind):
    """And what configures once configures the same again."""
    raw = b"{%b}" % b",".join(b'"%b":%b' % member for member in members.items())
    try:
        config = config_of(raw, kind)
    except ApiError as refusal:
        assert refusal.status == 400  # noqa: PT017 - either is right
        return
    assert config.members().keys() <= FIELDS.keys()
    assert config_of(config.text, CHAT).text == config.text
