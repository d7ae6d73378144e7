import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.wire.keywords import Keywords, Text


def found(text, *words, is_ascii=False):
    return Keywords(words).found(Text(json.dumps(text, ensure_ascii=is_ascii).encode()))


@pytest.mark.parametrize("is_ascii", [False, True], ids=["utf-8", "escaped"])
@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Prove it", "prove"),
        ("please PROVE", "Prove"),
        ("first line\nprove it", "prove"),
        ("列1:prove这个", "prove"),
        ("请证明这个定理", "证明"),
        ("Докажите теорему", "докаж"),
        ("ДОКАЖИ", "докаж"),
        ("Étape par étape", "étape par étape"),
        ("𝔸 is algebraic", "𝔸"),
        ("I write c++.", "c++"),
        ('He said "prove it"', '"prove it"'),
        ("Sie sagte «größe» und \\größe", "\\größe"),
        ("for a\nstep by step proof", "Step by step"),
        ("أثبت أن العدد", "أثبت"),
    ],
)
def test_a_word_is_found_however_it_is_written(text, word, is_ascii):
    assert found(text, word, is_ascii=is_ascii) == (word,)


@pytest.mark.parametrize("text", ["improve", "proven", "prove_it", "x2prove", "disproved", ""])
def test_a_latin_word_is_not_found_in_another(text):
    assert found(text, "prove") == ()


def test_a_word_is_found_behind_one_that_only_contains_it():
    assert found("improve, then prove", "prove") == ("prove",)


def test_words_are_told_once_and_no_more_than_wanted():
    words, text = Keywords(("a", "证明", "b", "c")), Text("a a b 证明 c".encode())
    assert sorted(words.found(text)) == ["a", "b", "c", "证明"]
    assert len(words.found(text, 2)) == 2
    assert words.found(text, 0) == ()


def test_what_is_no_text_is_no_keyword():
    assert Keywords(("", "\udc80", "a")).words == ("a",)


letters = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), min_size=1, max_size=6)


@given(st.text(st.characters(codec="utf-8"), max_size=30), letters, st.text(st.characters(codec="utf-8"), max_size=10))
def test_utf8_and_escapes_say_the_same(before, word, after):
    text = f"{before} {word} {after}"
    assert found(text, word, is_ascii=True) == found(text, word, is_ascii=False)


@given(st.binary(max_size=60), letters)
def test_whatever_the_bytes_are_nothing_is_raised(raw, word):
    assert Keywords([word]).found(Text(raw)) in ((), (word,))
