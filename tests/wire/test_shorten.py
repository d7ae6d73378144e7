import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.wire.shorten import MARK, MARK_BYTES, shortened, text_lengths
from harness.jsontext import string_text, value_text, values

contents = (
    st.text(max_size=80)
    | st.none()
    | values
    | st.lists(
        st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=40)})
        | st.fixed_dictionaries({"type": st.just("image_url"), "image_url": st.just({"url": "data:x"})})
        | values,
        max_size=3,
    )
)


def texts_of(message):
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    return [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]


def size(text):
    return len(msgspec.json.encode(text)) - 2


def test_of_a_text_both_ends_stay():
    message = json.dumps({"role": "user", "content": "a" * 500 + "b" * 500}).encode()
    assert json.loads(shortened(message, 10)) == {"role": "user", "content": f"aaaaa{MARK}bbbbb"}
    assert json.loads(shortened(message, 3))["content"] == f"aa{MARK}b"
    assert json.loads(shortened(message, 0))["content"] == MARK


def test_what_is_short_enough_keeps_its_bytes():
    message = b'{ "content" : "\\u0061bc", "role":"user" }'
    assert shortened(message, 8) is message


def test_a_part_that_is_no_text_stays():
    parts = [{"type": "text", "text": "x" * 100}, {"type": "image_url", "image_url": {"url": "u" * 100}}, "y" * 100]
    found = json.loads(shortened(json.dumps({"content": parts}).encode(), 2))["content"]
    assert found == [{"type": "text", "text": f"x{MARK}x"}, *parts[1:]]


@given(contents, st.integers(0, 100), st.randoms(use_true_random=False))
def test_any_message(content, length, random):
    message = {"role": "user", "content": content, "é": 10**30}
    raw = value_text(message, random).encode()
    lengths = text_lengths(raw)
    assert len(lengths) == len(texts_of(message))
    short = shortened(raw, length)
    found = json.loads(short)
    assert found.keys() == message.keys()
    assert found["é"] == 10**30
    assert len(short) <= len(raw)
    for before, after, was in zip(texts_of(message), texts_of(found), lengths, strict=True):
        if was <= length + MARK_BYTES:
            assert after == before
        else:
            head, mark, tail = after.partition(MARK)
            assert mark or MARK in before
            assert size(after) <= length + MARK_BYTES
            assert before.startswith(head)
            assert before.endswith(tail) or MARK in before


@given(st.text(min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_lengths_are_those_of_what_stands_there(text, random):
    spelt = string_text(text, random)
    assert text_lengths(f'{{"content":{spelt}}}'.encode()) == [len(spelt.encode()) - 2]


@pytest.mark.parametrize("message", [b'{"content":"\\ud83d%b"}' % (b"x" * 50), b'{"content":"\xff%b"}' % (b"x" * 50)])
def test_what_is_no_text_is_told(message):
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        shortened(message, 3)
