from dataclasses import fields

import orjson
import pytest

from fairlead.demo import script as module
from fairlead.demo.script import PLAIN, Script, parse_script


def test_every_field_can_be_written():
    assert set(module._READERS) == {known.name for known in fields(Script) if known.init}


@pytest.mark.parametrize(
    ("written", "script"),
    [
        ("", PLAIN),
        ("{}", PLAIN),
        ("hang", Script(hang=True)),
        ("status=429; retry_after=2", Script(status=429, retry_after="2")),
        ("status=429;retry_after=Fri, 01 Jan 2100 00:00:00 GMT;", None),
        ('{"status": 429, "retry_after": "2"}', Script(status=429, retry_after="2")),
        ("cut_after=3; cut=reset; cut_inside=utf8", Script(cut_after=3, cut="reset", cut_inside="utf8")),
        ("token_delay_s=0.5; text=two words", Script(token_delay_s=0.5, text="two words")),
        ('usage={"prompt_tokens":1}', Script(usage={"prompt_tokens": 1})),
        ('headers=[["a","b"]]; garbage={"base64":"/w=="}', Script(headers=(("a", "b"),), garbage=b"\xff")),
    ],
)
def test_both_forms_are_read(written, script):
    expected = script or Script(status=429, retry_after="Fri, 01 Jan 2100 00:00:00 GMT")
    assert parse_script(written) == expected


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("stattus=429", "unknown field 'stattus'; known are body, chunk_bytes"),
        ("status=ok", "status must be a whole number from 200 to 999"),
        ("status", "status must be a whole number"),
        ("hang; hang", "given twice"),
        ("{", "a script is JSON"),
        ('{"cut": "reset"}', "need cut_after"),
        ('{"cut_after": 1, "cut_inside": "word"}', "cut_inside must be one of chunk, event, utf8"),
    ],
)
def test_mistakes_are_named(written, says):
    with pytest.raises(ValueError, match=says):
        parse_script(written)


def test_nothing_scripted_is_the_plain_script_itself():
    assert parse_script("{}") is PLAIN


def test_a_script_that_is_about_the_words_leaves_the_wire_alone():
    assert not PLAIN.touches_wire
    assert not Script(tokens=3, text="a", usage={}).touches_wire
    assert Script(tokens=3, hang=True).touches_wire


def test_members_must_be_an_object():
    with pytest.raises(ValueError, match="a script is an object"):
        module.script_of(orjson.loads("[]"))
