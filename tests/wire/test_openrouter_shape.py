import json

import pytest
from msgspec import Raw

from fairlead.wire.openrouter_shape import (
    Identity,
    drop_nulls,
    encode,
    flatten_content,
    normalise_finish,
    offer_reasoning,
)


def members(**values):
    return {name: Raw(json.dumps(value).encode()) for name, value in values.items()}


def plain(said):
    return json.loads(encode(said))


def test_an_identity_is_json_whatever_the_names_are():
    identity = Identity("gen-1", 'A "B"', "acme/größe", 5)
    assert json.loads(b"{%b}" % identity.members("chat.completion")) == {
        "id": "gen-1", "provider": 'A "B"', "model": "acme/größe", "object": "chat.completion", "created": 5,
    }  # fmt: skip


class TestFinishReason:
    @pytest.mark.parametrize(
        ("native", "normal"),
        [
            ("stop", "stop"), ("end_turn", "stop"), ("STOP", "stop"), ("eos", "stop"), ("whatever", "stop"),
            ("length", "length"), ("MAX_TOKENS", "length"), ("model_length", "length"),
            ("tool_calls", "tool_calls"), ("tool_use", "tool_calls"), ("function_call", "tool_calls"),
            ("content_filter", "content_filter"), ("SAFETY", "content_filter"), ("sensitive", "content_filter"),
            ("error", "error"), ("insufficient_system_resource", "error"), ("network_error", "error"),
        ],
    )  # fmt: skip
    def test_stands_beside_the_providers_own(self, native, normal):
        choice = members(finish_reason=native)
        normalise_finish(choice, has_calls=False)
        assert plain(choice) == {"finish_reason": normal, "native_finish_reason": native}

    @pytest.mark.parametrize("choice", [{}, members(finish_reason=None), members(finish_reason="")])
    def test_there_may_be_none_yet(self, choice):
        normalise_finish(choice, has_calls=True)
        assert plain(choice) == {"finish_reason": None, "native_finish_reason": None}

    def test_a_native_one_of_another_gateway_stays(self):
        choice = members(finish_reason="stop", native_finish_reason="end_turn")
        normalise_finish(choice, has_calls=False)
        assert plain(choice)["native_finish_reason"] == "end_turn"

    @pytest.mark.parametrize(("native", "normal"), [("stop", "tool_calls"), ("length", "length")])
    def test_a_stop_after_calls_is_one_for_their_sake(self, native, normal):
        choice = members(finish_reason=native)
        normalise_finish(choice, has_calls=True)
        assert plain(choice) == {"finish_reason": normal, "native_finish_reason": native}


class TestReasoning:
    @pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
    def test_has_all_the_names_that_clients_look_for(self, name):
        said = members(**{name: 'a "b"'})
        offer_reasoning(said)
        assert plain(said) == {
            "reasoning": 'a "b"',
            "reasoning_content": 'a "b"',
            "reasoning_details": [{"type": "reasoning.text", "text": 'a "b"', "format": "unknown", "index": 0}],
        }

    @pytest.mark.parametrize(
        "said", [{}, members(reasoning=None), members(reasoning_content=""), members(reasoning={"effort": "low"})]
    )
    def test_without_a_text_nothing_is_added(self, said):
        before = plain(said)
        offer_reasoning(said)
        assert plain(said) == before

    def test_an_empty_one_does_not_hide_the_other(self):
        said = members(reasoning="", reasoning_content="b")
        offer_reasoning(said)
        assert plain(said)["reasoning"] == "b"

    def test_details_of_the_providers_own_stay(self):
        details = [{"type": "reasoning.encrypted", "data": "x"}]
        said = members(reasoning="a", reasoning_details=details)
        offer_reasoning(said)
        assert plain(said)["reasoning_details"] == details


class TestContent:
    def test_in_parts_becomes_text_and_reasoning(self):
        said = members(
            content=[
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}, {"type": "text", "text": "m"}]},
                {"type": "text", "text": "so "},
                {"type": "text", "text": "be it"},
            ]
        )
        flatten_content(said)
        assert plain(said) == {"content": "so be it", "reasoning": "hmm"}

    @pytest.mark.parametrize("content", ["text", None, [{"type": "image_url", "image_url": {}}], [1]])
    def test_of_other_kinds_stays(self, content):
        said = members(content=content)
        flatten_content(said)
        assert plain(said) == {"content": content}


def test_what_must_not_be_null_is_left_out():
    said = members(tool_calls=None, audio=None, refusal=None, images=[])
    drop_nulls(said)
    assert plain(said) == {"refusal": None, "images": []}
