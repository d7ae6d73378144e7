import re
from decimal import Decimal
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from fairlead.edge.query import Query
from fairlead.errors import ApiError

KNOWN = ("text", "image")


def query(text):
    return Query(QueryParams(text))


def refusal(read):
    with pytest.raises(ApiError) as caught:
        read()
    assert caught.value.status == 400
    assert caught.value.message.startswith(f"'{caught.value.param}' is \"")
    return caught.value.message


def test_what_is_not_given_or_empty():
    for text in ("", "a=", "a=%20", "a=,,"):
        asked = query(text)
        assert (asked.words("a"), asked.words("a", KNOWN)) == ((), ())
    for text in ("", "a=", "a=%20", "b=1"):
        asked = query(text)
        assert (asked.text("a"), asked.choice("a", KNOWN)) == ("", "")
        assert asked.flag("a") is asked.whole("a") is asked.number("a") is None


def test_lists():
    assert query("a=Text,%20image,text&a=image").words("a", KNOWN) == ("text", "image")
    assert query("a=what,ever").words("a") == ("what", "ever")
    assert refusal(lambda: query("a=text,sound").words("a", KNOWN)) == (
        "'a' is \"sound\"; send a comma-separated list of text, image"
    )


def test_choices():
    assert query("a=TEXT").choice("a", KNOWN) == "text"
    assert query("a=image&a=text").choice("a", KNOWN) == "text"
    assert refusal(lambda: query("a=b").choice("a", KNOWN)) == "'a' is \"b\"; send one of text, image"


def test_flags():
    assert query("a=true").flag("a") is True
    assert query("a=False").flag("a") is False
    assert refusal(lambda: query("a=yes").flag("a")) == "'a' is \"yes\"; send one of true, false"


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "1e3", "0x1", "٣", "1_0", "9" * 16])
def test_no_whole_numbers(text):
    assert refusal(lambda: query({"a": text}).whole("a")).endswith("send a whole number of 0 or more")


def test_whole_numbers():
    assert query("a=7").whole("a", 1, 7) == 7
    for text in ("a=0", "a=8"):
        assert refusal(lambda text=text: query(text).whole("a", 1, 7)).endswith("send a whole number from 1 to 7")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("0.1", "0.1"),
        ("2.50", "2.5"),
        ("1e-7", "0.0000001"),
        ("1.", "1"),
        ("0.9098900846618267", "0.9098900846618267"),
        ("5.710503494113876e-236", "5.710503494113876e-236"),
    ],
)
def test_numbers_are_exact(text, value):
    assert query({"a": text}).number("a") == Decimal(value)


@pytest.mark.parametrize("text", ["x", "-1", "nan", "inf", "1e999999999", "--1", "1,5", "9" * 16])
def test_no_numbers(text):
    assert refusal(lambda: query({"a": text}).number("a")).endswith("send a number from 0 up")


def test_numbers_within_limits():
    assert query("a=-1").number("a", least=None) == -1
    assert refusal(lambda: query("a=x").number("a", least=None)).endswith("send a number")
    assert refusal(lambda: query("a=1.1").number("a", most=1)).endswith("send a number from 0 to 1")


def test_a_long_value_is_not_repeated_whole():
    assert len(refusal(lambda: query({"a": "x" * 10_000}).whole("a"))) < 200


ANY = st.text(max_size=20) | st.text("0123456789eE+-._ ", max_size=24) | st.sampled_from(["text", "image,text", "TRUE"])


@given(ANY)
def test_whatever_is_sent_is_read_or_refused_in_words(value):
    asked = query(urlencode({"a": value}))
    readers = {
        asked.text: str,
        lambda name: asked.words(name, KNOWN): tuple,
        asked.words: tuple,
        lambda name: asked.choice(name, KNOWN): str,
        asked.flag: bool | None,
        lambda name: asked.whole(name, 1, 100): int | None,
        asked.number: Decimal | None,
        lambda name: asked.number(name, least=None): Decimal | None,
    }
    for read, kind in readers.items():
        try:
            assert isinstance(read("a"), kind)
        except ApiError as refused:
            assert re.match("'a' is \".{0,180}$", refused.message, re.DOTALL)  # noqa: PT017 - either is right
