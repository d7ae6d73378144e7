import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from fairlead.wire.openrouter_shape import NULL
from fairlead.wire.responses_item import COMPLETED, INCOMPLETE, Events
from fairlead.wire.responses_message import Message, Reasoning
from harness.responses import Client, events_in, kinds

FIRST, SECOND = Raw(b"0"), Raw(b"1")


def text(value):
    return json.dumps(value).encode()


def read(item, *steps):
    """The item after the steps, as a client has it; and the kinds of events that told it."""
    told = item.begin()
    for name, *arguments in steps:
        told += getattr(item, name)(*arguments) or b""
    events = events_in(told + item.close(COMPLETED))
    [found] = Client().read(events).items
    assert found == json.loads(item.final)
    return found, kinds(events)[1:-1]


def message(*steps):
    return read(Message(Events(), "msg_1", 0), *steps)


def reasoning(*steps):
    return read(Reasoning(Events(), "rs_1", 0, NULL), *steps)


class TestMessage:
    def test_text(self):
        found, events = message(("say", text("Hé"), b""), ("say", b'"\\n\\u00e9"', b""))
        assert found == {
            "id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": "Hé\né", "annotations": [], "logprobs": []}],
        }  # fmt: skip
        assert events == [
            "content_part.added", "output_text.delta", "output_text.delta", "output_text.done", "content_part.done",
        ]  # fmt: skip

    def test_pieces_keep_their_bytes(self):
        told = Message(Events(), "msg_1", 0).say(b'"\\u00e9\\/"', b"")
        assert b'"delta":"\\u00e9\\/"' in told

    def test_log_probabilities(self):
        one, two = ({"token": token, "logprob": -0.5, "bytes": [1], "top_logprobs": []} for token in "ab")
        found, _ = message(("say", text("a"), json.dumps(one).encode()), ("say", text("b"), json.dumps(two).encode()))
        assert found["content"][0]["logprobs"] == [one, two]

    def test_a_refusal_is_a_part_of_its_own(self):
        found, events = message(("say", text("Well"), b""), ("refuse", text("n")), ("refuse", text("o")))
        assert [part["type"] for part in found["content"]] == ["output_text", "refusal"]
        assert found["content"][1] == {"type": "refusal", "refusal": "no"}
        assert events[-4:] == ["refusal.delta", "refusal.delta", "refusal.done", "content_part.done"]

    def test_text_after_it_as_well(self):
        found, _ = message(("refuse", text("no")), ("say", text("a"), b""), ("refuse", text("no")))
        assert [part["type"] for part in found["content"]] == ["refusal", "output_text", "refusal"]

    def test_annotations_are_of_the_text(self):
        one = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1}
        found, events = message(("say", text("a"), b""), ("annotate", text(one)), ("annotate", text(one)))
        assert found["content"][0]["annotations"] == [one, one]
        assert events.count("output_text.annotation.added") == 2

    def test_an_annotation_before_all_text(self):
        found, _ = message(("annotate", b'{"a":1}'), ("say", text("x"), b""))
        assert found["content"] == [
            {"type": "output_text", "text": "x", "annotations": [{"a": 1}], "logprobs": []},
        ]

    def test_its_text_is_all_of_it(self):
        one = Message(Events(), "msg_1", 0)
        for step in (one.say(text("a"), b""), one.refuse(text("no")), one.say(text("b"), b"")):
            assert step
        assert one.text == b"ab"

    def test_what_was_cut_short_says_so(self):
        one = Message(Events(), "msg_1", 0)
        one.close(INCOMPLETE)
        assert json.loads(one.final)["status"] == "incomplete"


class TestReasoning:
    def test_text(self):
        found, events = reasoning(("think", text("a"), FIRST), ("think", text("b"), FIRST))
        assert found == {
            "id": "rs_1", "type": "reasoning", "status": "completed", "summary": [],
            "content": [{"type": "reasoning_text", "text": "ab"}],
        }  # fmt: skip
        assert events == [
            "content_part.added", "reasoning_text.delta", "reasoning_text.delta", "reasoning_text.done",
            "content_part.done",
        ]  # fmt: skip

    def test_summaries_are_parts_by_their_number(self):
        found, events = reasoning(
            ("summarise", text("a"), FIRST),
            ("summarise", text("b"), FIRST),
            ("summarise", text("c"), SECOND),
            ("think", text("t"), FIRST),
        )
        assert found["summary"] == [{"type": "summary_text", "text": "ab"}, {"type": "summary_text", "text": "c"}]
        assert found["content"] == [{"type": "reasoning_text", "text": "t"}]
        assert events.count("reasoning_summary_part.added") == events.count("reasoning_summary_part.done") == 2

    def test_marks(self):
        one = Reasoning(Events(), "rs_1", 0, NULL)
        one.sign(Raw(b'"sig"'))
        one.encrypt(Raw(b'"data"'))
        one.note_format(Raw(b'"anthropic-claude-v1"'))
        one.note_format(Raw(b'"unknown"'))
        assert json.loads(one.json(COMPLETED)) == {
            "id": "rs_1", "type": "reasoning", "status": "completed", "summary": [], "encrypted_content": "data",
            "signature": "sig", "format": "anthropic-claude-v1",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("before", "kind", "key", "fits"),
        [
            ((), "encrypted", FIRST, True),
            (("summarise",), "summary", SECOND, True),
            (("summarise",), "text", FIRST, True),
            (("think",), "text", FIRST, True),
            (("think",), "text", SECOND, False),
            (("think",), "summary", FIRST, False),
            (("think",), "signature", FIRST, True),
            (("think", "sign"), "text", FIRST, False),
            (("think", "sign"), "encrypted", FIRST, True),
            (("encrypt",), "encrypted", FIRST, False),
            (("encrypt",), "text", FIRST, False),
        ],
    )
    def test_what_can_come_next(self, before, kind, key, fits):
        one = Reasoning(Events(), "rs_1", 0, NULL)
        for step in before:
            getattr(one, step)(*((text("x"), FIRST) if step in ("summarise", "think") else (Raw(b'"x"'),)))
        assert one.fits(kind, key, NULL) is fits

    def test_of_another_id_it_is_another(self):
        one = Reasoning(Events(), "rs_theirs", 0, Raw(b'"rs_theirs"'))
        assert one.fits("text", FIRST, Raw(b'"rs_theirs"'))
        assert one.fits("text", FIRST, NULL)
        assert not one.fits("text", FIRST, Raw(b'"rs_other"'))


STEPS = st.lists(st.tuples(st.sampled_from(["say", "refuse", "annotate"]), st.text(min_size=1)), max_size=12)


@given(STEPS)
def test_pieces_make_the_whole(steps):
    told = [
        (name, b'{"a":1}') if name == "annotate" else (name, text(said), b"") if name == "say" else (name, text(said))
        for name, said in steps
    ]
    found, _ = message(*told)
    for name, kind, member in (("say", "output_text", "text"), ("refuse", "refusal", "refusal")):
        whole = "".join(part[member] for part in found["content"] if part["type"] == kind)
        assert whole == "".join(said for step, said in steps if step == name)
