import contextlib
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import ApiError
from fairlead.wire.preset import NoPresets, Preset, apply, is_preset, model_of, preset_of, read_chat, united
from harness.jsontext import names, texts, value_text, values

MESSAGES = [{"role": "user", "content": "hi"}]


def preset(slug="p", *, system=None, **members):
    config = {name: json.dumps(value).encode() for name, value in members.items()}
    return Preset(slug, config, b"" if system is None else json.dumps(system).encode())


class Known:
    """Presets by slug; `default` is that of requests that name none."""

    def __init__(self, *presets, default=None):
        self._presets = {one.slug: one for one in presets}
        self._default = default

    def find(self, slug):
        if slug not in self._presets:
            raise ApiError(404, f"no preset {slug}")
        return self._presets[slug]

    def default(self):
        return self._default


def body(**members):
    return json.dumps({"model": "m", "messages": MESSAGES} | members).encode()


def applied(given, /, **members):
    return json.loads(apply(body(**members), given))


def refusal(function, *arguments):
    with pytest.raises(ApiError) as caught:
        function(*arguments)
    return caught.value


class TestNames:
    def test_in_a_model(self):
        assert is_preset("@preset/p")
        assert is_preset("openai/gpt-5:nitro@preset/p")
        assert not is_preset("openai/gpt-5")
        assert (model_of("@preset/p"), model_of("openai/gpt-5:nitro@preset/p")) == ("", "openai/gpt-5:nitro")

    @pytest.mark.parametrize(
        ("members", "slug"),
        [
            ({}, ""),
            ({"model": "@preset/p"}, "p"),
            ({"model": "openai/gpt-5@preset/p"}, "p"),
            ({"preset": "p"}, "p"),
            ({"preset": "@preset/p"}, "p"),
            ({"preset": "p", "model": "m@preset/p"}, "p"),
            ({"preset": None, "model": "m@preset/p"}, "p"),
            ({"preset": ""}, ""),
            ({"preset": None}, ""),
        ],
    )
    def test_of_a_request(self, members, slug):
        assert preset_of(body(**members)) == slug

    @pytest.mark.parametrize("value", [1, True, {}, ["p"]])
    def test_what_cannot_be_one(self, value):
        assert refusal(preset_of, body(preset=value)).param == "preset"

    def test_two_of_them(self):
        error = refusal(preset_of, body(model="m@preset/a", preset="b"))
        assert (error.status, error.param) == (400, "preset")
        assert "'a'" in error.message
        assert "'b'" in error.message


class TestModels:
    @pytest.mark.parametrize(
        ("config", "sent", "model", "models"),
        [
            ({"model": "p"}, {"model": "@preset/p"}, "p", None),
            ({"model": "p"}, {"model": "own@preset/p"}, "own", None),
            ({"model": "p"}, {"model": "own", "preset": "p"}, "own", None),
            ({"model": "p"}, {"model": None, "preset": "p"}, "p", None),
            ({"model": "p"}, {"model": "", "preset": "p"}, "p", None),
            ({"model": "p", "models": ["q"]}, {"model": "@preset/p"}, "p", ["q"]),
            ({"models": ["q", "r"]}, {"model": "@preset/p"}, None, ["q", "r"]),
            ({"models": ["q"]}, {"model": "own@preset/p"}, "own", ["q"]),
            ({"model": "p", "models": ["q"]}, {"model": "own", "models": ["z"], "preset": "p"}, "own", ["z"]),
            ({"model": "p", "models": ["q"]}, {"model": "own", "models": [], "preset": "p"}, "own", ["q"]),
            ({"model": "p"}, {"model": None, "models": ["z"], "preset": "p"}, None, ["z"]),
            ({"model": "p"}, {"model": "@preset/p", "models": ["z"]}, "p", ["z"]),
            ({}, {"model": "@preset/p", "models": ["z"]}, None, ["z"]),
        ],
    )
    def test_which_are_asked(self, config, sent, model, models):
        found = applied(preset(**config), **sent)
        assert (found.get("model"), found.get("models")) == (model, models)

    def test_none_at_all(self):
        error = refusal(apply, body(model="@preset/p"), preset(temperature=1))
        assert (error.status, error.param) == (400, "model")
        assert "'p' names no model" in error.message

    def test_no_member_model(self):
        raw = b'{"preset":"p","messages":[]}'
        assert json.loads(apply(raw, preset(model="m"))) == {"model": "m", "messages": []}


class TestMembers:
    def test_what_was_sent_wins(self):
        found = applied(preset(temperature=0.2, top_p=0.5, provider={"sort": "price"}), temperature=1, provider={})
        assert (found["temperature"], found["top_p"], found["provider"]) == (1, 0.5, {})

    def test_null_was_not_sent(self):
        assert applied(preset(temperature=0.2), temperature=None)["temperature"] == 0.2

    @pytest.mark.parametrize(
        ("config", "sent"),
        [
            ({"max_tokens": 5}, {"max_completion_tokens": 9}),
            ({"max_completion_tokens": 5}, {"max_tokens": 9}),
            ({"reasoning": {"effort": "high"}}, {"reasoning_effort": "low"}),
            ({"reasoning_effort": "high"}, {"include_reasoning": False}),
        ],
    )
    def test_other_names_of_the_same(self, config, sent):
        found = applied(preset(**config), **sent)
        assert not config.keys() & found.keys()

    def test_what_is_of_the_cache_is_no_member(self):
        assert "cache_enabled" not in applied(preset(cache_enabled=True, cache_ttl_seconds=5))

    def test_no_preset_is_named_any_more(self):
        found = applied(preset(model="m"), model="a/b@preset/p", preset="p")
        assert "preset" not in found
        assert found["model"] == "a/b"

    @given(
        st.dictionaries(names.filter(lambda name: name not in ("model", "preset", "tools")), values, max_size=5),
        st.dictionaries(st.sampled_from(["temperature", "stop", "top_p", "", "é"]), values, max_size=3),
        st.randoms(use_true_random=False),
    )
    def test_what_was_sent_keeps_its_bytes(self, sent, config, random):
        sent |= {"model": "m", "messages": []}
        spelt = {name: value_text(value, random) for name, value in sent.items()}
        raw = ("{" + ",".join(f"{json.dumps(name)}: {text}" for name, text in spelt.items()) + "}").encode()
        merged = apply(raw, Preset("p", {name: value_text(value, random).encode() for name, value in config.items()}))
        expected = config | {name: value for name, value in sent.items() if value is not None or name not in config}
        assert json.loads(merged) == expected
        for name, text in spelt.items():
            if sent[name] is not None:
                assert f"{json.dumps(name)}: {text}".encode() in merged


class TestTools:
    @staticmethod
    def function(name, **members):
        return {"type": "function", "function": {"name": name, **members}}

    def test_of_both(self):
        own = [self.function("a", description="own"), {"type": "openrouter:datetime"}]
        more = [self.function("a", description="more"), self.function("b"), {"type": "web_search"}]
        found = applied(preset(tools=more), tools=own)["tools"]
        assert found == [*own, self.function("b"), {"type": "web_search"}]

    @pytest.mark.parametrize("sent", [{}, {"tools": None}, {"tools": []}])
    def test_of_the_preset_alone(self, sent):
        assert applied(preset(tools=[self.function("a")]), **sent)["tools"] == [self.function("a")]

    def test_short_names_mean_the_same(self):
        own = b'[{"type":"openrouter:web_search","parameters":{"max_results":3}}]'
        assert united(own, b'[{"type":"web_search_preview"}]') == own

    def test_several_of_one_type_stay_together(self):
        advisors = [{"type": "openrouter:advisor", "parameters": {"name": name}} for name in "ab"]
        assert applied(preset(tools=advisors), tools=[self.function("f")])["tools"] == [self.function("f"), *advisors]
        assert applied(preset(tools=advisors), tools=advisors[:1])["tools"] == advisors[:1]

    @pytest.mark.parametrize("own", [b"5", b"{}", b'[1,"x"]', b'[{"type":5}]', b'[{"function":[]}]'])
    def test_what_cannot_be_read_is_left(self, own):
        assert united(own, b'[{"type":"web_search"}]') == own


class TestSystemPrompt:
    def test_it_comes_first(self):
        found = applied(preset(system='say "é"'))["messages"]
        assert found == [{"role": "system", "content": 'say "é"'}, *MESSAGES]

    def test_no_messages_yet(self):
        assert applied(preset(system="s"), messages=[])["messages"] == [{"role": "system", "content": "s"}]

    @pytest.mark.parametrize("role", ["system", "developer"])
    def test_the_request_has_one(self, role):
        messages = [*MESSAGES, {"role": role, "content": "own"}]
        assert applied(preset(system="s"), messages=messages)["messages"] == messages

    def test_white_space_before_the_first(self):
        raw = b'{"model":"m","messages":[ \n ]}'
        assert json.loads(apply(raw, preset(system="s")))["messages"] == [{"role": "system", "content": "s"}]

    @pytest.mark.parametrize("messages", [5, "x", {"role": "system"}])
    def test_what_is_no_list_is_left(self, messages):
        assert applied(preset(system="s"), messages=messages)["messages"] == messages

    def test_messages_that_cannot_be_read(self):
        assert applied(preset(system="s"), messages=[1])["messages"] == [{"role": "system", "content": "s"}, 1]


class TestReadChat:
    def test_none_costs_nothing(self):
        raw = body()
        request, found = read_chat(raw, NoPresets())
        assert request.raw is raw
        assert found is None

    def test_by_model(self):
        known = preset("p", model="openai/gpt-5", temperature=0.5)
        request, found = read_chat(body(model="@preset/p"), Known(known))
        assert found is known
        assert request.model == "openai/gpt-5"
        assert request.member("temperature") == b"0.5"

    def test_by_member_without_a_model(self):
        raw = json.dumps({"preset": "p", "messages": MESSAGES}).encode()
        request, found = read_chat(raw, Known(preset("p", models=["a", "b"])))
        assert request.models == ("a", "b")
        assert found.slug == "p"

    def test_the_default_is_for_those_that_name_none(self):
        default, named = preset("d", temperature=0.1), preset("p", temperature=0.9)
        known = Known(named, default=default)
        assert read_chat(body(), known)[0].member("temperature") == b"0.1"
        assert read_chat(body(preset="p"), known)[0].member("temperature") == b"0.9"
        assert read_chat(body(preset=""), known)[1] is default

    def test_the_default_may_name_the_model(self):
        raw = json.dumps({"messages": MESSAGES}).encode()
        assert read_chat(raw, Known(default=preset("d", model="x")))[0].model == "x"

    def test_no_model_anywhere(self):
        raw = json.dumps({"messages": MESSAGES}).encode()
        for known in (NoPresets(), Known(default=preset("d", temperature=1))):
            error = refusal(read_chat, raw, known)
            assert (error.status, error.param) == (400, "model")

    def test_an_unknown_one(self):
        assert refusal(read_chat, body(model="@preset/q"), Known()).status == 404
        error = refusal(read_chat, body(preset="q"), NoPresets())
        assert (error.status, error.param) == (404, "preset")
        assert "'q'" in error.message

    @pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"model":5,"messages":[]}', b'{"model":"m"}'])
    def test_what_is_wrong_anyway_is_told_as_ever(self, raw):
        assert refusal(read_chat, raw, Known(default=preset("d", model="m"))).status == 400

    @given(texts, texts)
    def test_no_name_does_harm(self, model, slug):
        raw = json.dumps({"model": f"{model}@preset/{slug}", "messages": []}).encode()
        with contextlib.suppress(ApiError):
            request, found = read_chat(raw, Known(preset("p", model="m")))
            assert (found is None) is (slug == "")
            assert request.model == (model if slug else f"{model}@preset/") or "@preset/" in model

    def test_a_default_of_nothing_leaves_the_body(self):
        raw = body()
        assert read_chat(raw, Known(default=preset("d")))[0].raw == raw

    def test_the_question_is_cheap(self):
        """No second look at the body: its parts are not decoded, whatever it holds."""
        raw = body(messages=[{"role": "user", "content": "x" * 100_000}])
        calls = []
        sys.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_name) if event == "call" else None)
        try:
            read_chat(raw, NoPresets())
        finally:
            sys.setprofile(None)
        assert not {"preset_of", "apply"} & set(calls)
