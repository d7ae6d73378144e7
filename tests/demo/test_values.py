import importlib.util

import pytest

from fairlead.demo import values


def test_what_is_right_is_read():
    assert values.flag(True) is True
    assert values.whole(0, 5)(5) == 5
    assert values.seconds(2) == 2.0
    assert values.header_value(2) == "2"
    assert values.raw_bytes("é") == b"\xc3\xa9"
    assert values.raw_bytes({"base64": "/w=="}) == b"\xff"
    assert values.pairs({"a": "b"}) == (("a", "b"),)
    assert values.pairs([["a", "b"], ["a", 1]]) == (("a", "b"), ("a", "1"))
    assert values.members({"a": 1}) == {"a": 1}
    assert values.one_of("x", "y")("y") == "y"
    assert values.encoding("gzip") == "gzip"


@pytest.mark.parametrize(
    ("read", "value", "says"),
    [
        (values.flag, 1, "true or false"),
        (values.whole(1), 0, "1 or more"),
        (values.whole(1, 9), 10, "from 1 to 9"),
        (values.whole(0), True, "whole number"),
        (values.seconds, -1, "seconds"),
        (values.seconds, "1", "seconds"),
        (values.text, 1, "string"),
        (values.header_value, "a\r\nb: c", "one line"),
        (values.raw_bytes, 1, "base64"),
        (values.raw_bytes, {"base64": "?"}, "not base64"),
        (values.pairs, [["a"]], "name, value"),
        (values.pairs, [["a", None]], "one line"),
        (values.members, [], "object"),
        (values.one_of("x", "y"), "z", "x, y"),
        (values.encoding, "zstd", "gzip, br"),
    ],
)
def test_what_is_wrong_is_named(read, value, says):
    with pytest.raises(ValueError, match=says):
        read(value)


def test_brotli_must_be_there_to_be_asked_for(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="needs the package brotli"):
        values.encoding("br")
