import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.wire.utf8 import paired, repaired


@given(st.text())
def test_what_is_whole_is_returned_as_the_object_it_is(text):
    data = text.encode()
    assert repaired(data) is data


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (b"a\xe6\xbcb", "a\ufffdb"),
        (b"\xff", "\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        ("漢".encode()[:2], "\ufffd"),
    ],
    ids=["cut", "never valid", "a surrogate", "at the end"],
)
def test_what_is_broken_is_marked(broken, text):
    assert repaired(broken) == text.encode()


@given(st.binary())
def test_any_bytes_come_out_as_text(data):
    repaired(data).decode()


@given(st.text())
def test_escapes_of_whole_characters_stay(text):
    escaped = json.dumps(text).encode()
    assert paired(escaped) == escaped


@pytest.mark.parametrize(
    ("half", "text"),
    [
        (rb'"a\ud83d"', "a\ufffd"),
        (rb'"\uDE00b"', "\ufffdb"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (rb'"\\ud83d"', r"\ud83d"),
        (rb'"\ud83d\\ude00"', "\ufffd\\ude00"),
    ],
)
def test_half_a_character_is_marked(half, text):
    assert json.loads(paired(half)) == text
