import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.wire.event_frames import MOST_EVENT_BYTES
from fairlead.wire.resume import NotResumable, Resumption

DONE = b"data: [DONE]\n\n"


def chunk(delta, finish=None, **members):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice], **members}).encode() + b"\n\n"


def stream(*texts, name="content", id="1"):
    begin = chunk({"role": "assistant", "content": ""}, id=id)
    end = chunk({}, "stop", id=id) + b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n' + DONE
    return begin + b"".join(chunk({name: text}, id=id) for text in texts) + end


def begun(*texts, name="content"):
    return chunk({"role": "assistant", "content": ""}) + b"".join(chunk({name: text}) for text in texts)


def call(number, name=None, arguments=None, id=None):
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {"index": number, **({"id": id, "type": "function"} if id else {}), "function": function}


def calling(*calls):
    return chunk({"tool_calls": list(calls)})


def put_together(events):
    """What a client makes of a stream: its texts, and its calls by index."""
    texts, calls, ends = {}, {}, []
    for event in events.split(b"\n\n"):
        payload = event.removeprefix(b"data: ")
        if payload in (b"", b"[DONE]"):
            ends += [payload] if payload else []
            continue
        for choice in json.loads(payload)["choices"]:
            for key, value in choice["delta"].items():
                if key == "tool_calls":
                    for one in value:
                        known = calls.setdefault(one["index"], {"id": one.get("id"), "name": "", "arguments": ""})
                        for part, text in one["function"].items():
                            known[part] += text
                elif key != "role":
                    texts[key] = texts.get(key, "") + value
            ends += [choice["finish_reason"]] if choice["finish_reason"] else []
    return texts, calls, ends


def resumed(had, new):
    follower = Resumption(had)
    return follower, follower.feed(new)


class TestTheSameAnswer:
    def test_it_goes_on_at_the_first_new_character(self):
        follower, new = resumed(begun("The rain ", "in Sp"), stream("The ", "rain in Spain", " stays"))
        assert put_together(new) == ({"content": "ain stays"}, {}, ["stop", b"[DONE]"])
        assert follower.is_caught_up
        assert b'"usage"' in new

    def test_also_where_nothing_but_the_end_is_new(self):
        _, new = resumed(begun("all"), stream("al", "l"))
        assert put_together(new) == ({"content": ""} if b'"content"' in new else {}, {}, ["stop", b"[DONE]"])

    def test_what_is_thought_before_it_is_compared_as_well(self):
        had = begun("hm", "m", name="reasoning_content") + chunk({"content": "So"})
        again = chunk({"reasoning": "hmm"}) + stream("So what")
        assert put_together(resumed(had, again)[1])[0] == {"content": " what"}
        assert resumed(had, chunk({"reasoning": "hmmm"}) + stream("So what"))[0].has_diverged
        assert resumed(had, stream("So what"))[0].has_diverged

    def test_a_call_goes_on_under_the_id_that_the_caller_knows(self):
        had = begun() + calling(call(0, "rain", "", "call_1")) + calling(call(0, arguments='{"a'))
        again = calling(call(0, "rain", '{"at": "', "call_9")) + calling(call(0, arguments='x"}'))
        again += calling(call(1, "snow", "{}", "call_8")) + chunk({}, "tool_calls")
        _, new = resumed(had, again)
        _, calls, ends = put_together(had + new)
        assert calls == {
            0: {"id": "call_1", "name": "rain", "arguments": '{"at": "x"}'},
            1: {"id": "call_8", "name": "snow", "arguments": "{}"},
        }
        assert ends == ["tool_calls"]
        assert b"call_9" not in new


DIFFERENT = [
    stream("The sun"),
    stream("The ra"),
    stream(),
    stream("The rain in Spain", name="reasoning"),
    chunk({"content": "The"}) + DONE,
    chunk({"content": "The ra"}, "length") + DONE,
    b'data: {"error":{"message":"overloaded"}}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n',
    b"data: no JSON\n\n",
    chunk({"audio": {"data": "x"}}),
    chunk({"tool_calls": [call(0, "rain", "{}", "1")]}),
]


@pytest.mark.parametrize("again", DIFFERENT)
def test_another_answer_is_not_gone_on_with(again):
    follower, new = resumed(begun("The rain", " in"), again + stream("The rain in Spain"))
    assert follower.has_diverged
    assert new == b""


@pytest.mark.parametrize(
    "had",
    [
        begun("a") + chunk({}, "stop"),
        begun("a") + b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n',
        begun("a") + b"data: no JSON\n\n",
        begun("a") + chunk({"audio": {"data": "x"}}),
        b'data: {"choices":[{"index":1,"delta":{"content":"a"}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"a"}}]}\n\n',
        b'data: {"error":{"message":"overloaded"}}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}\n\n',
    ],
)
def test_what_cannot_be_compared_is_not_asked_again(had):
    with pytest.raises(NotResumable):
        Resumption(had)


def test_an_event_without_end_is_not_gone_on_with():
    one = Resumption(begun("a"))
    one.feed(chunk({"content": "ab"}))
    assert not one.has_diverged
    one.feed(b"data: " + b"x" * (MOST_EVENT_BYTES + 1))
    assert one.has_diverged


def test_how_much_is_to_be_swallowed():
    assert Resumption(begun("four", "five!")).text_bytes == 9


texts = st.lists(st.text(max_size=6), max_size=6)


@given(texts, texts, st.integers(0, 40), st.data())
def test_the_callers_text_is_always_the_beginning_of_one_that_was_given(first, second, cut, data):
    """Whether both give the same answer in other pieces, or different ones; however the bytes are cut."""
    if data.draw(st.booleans()):
        whole = "".join(first)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=4)))
        second = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    had = begun(*first[:cut])
    follower = Resumption(had)
    sent = stream(*second)
    places = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=5)))
    new = b"".join(follower.feed(sent[a:b]) for a, b in zip([0, *places], [*places, len(sent)], strict=True))
    before = put_together(had)[0].get("content", "")
    text = before + put_together(new)[0].get("content", "")
    if follower.has_diverged:
        assert text == before
        assert not "".join(second).startswith(before) or text == before
    else:
        assert text == "".join(second)
        assert put_together(new)[2] == ["stop", b"[DONE]"]
    assert "".join(second).startswith(before) != follower.has_diverged


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_whatever_comes_nothing_breaks(had, new):
    try:
        follower = Resumption(had)
    except NotResumable:
        return
    follower.feed(new)
