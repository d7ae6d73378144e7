import contextlib
import json

import pytest
from hypothesis import given as given_values
from hypothesis import strategies as st
from msgspec import Raw

from fairlead.errors import ApiError
from fairlead.wire import responses_read as read
from harness.jsontext import values


def raw(value):
    return Raw(json.dumps(value).encode())


def refusal(function, *arguments):
    with pytest.raises(ApiError) as caught:
        function(*arguments)
    assert caught.value.status == 400
    return caught.value.param, caught.value.message


READERS = {
    read.string: "a string", read.text_of: "a string", read.object_of: "an object", read.list_of: "a list",
    read.objects_of: "a list", read.flag_of: "true or false",
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@pytest.mark.parametrize(
    ("told", "kind"),
    [("x", "a string"), ({}, "an object"), ([], "a list"), (True, "true"), (1.5, "a number"), (None, "null")],
    ids=str,
)
def test_each_reads_its_kind_and_names_others(reader, told, kind):
    expected = READERS[reader]
    if kind in expected:
        reader(raw(told), "a.b")
    else:
        assert refusal(reader, raw(told), "a.b") == ("a.b", f"'a.b' is wrong: it must be {expected}, not {kind}")


def test_what_is_read():
    assert read.text_of(raw("é\n"), "a") == "é\n"
    assert read.string(Raw(b'"\\u00e9"'), "a") == Raw(b'"\\u00e9"')
    assert read.object_of(Raw(b'{"a": 1.10}'), "a") == {"a": Raw(b"1.10")}
    assert read.list_of(Raw(b"[1.10,2]"), "a") == [Raw(b"1.10"), Raw(b"2")]
    assert [read.flag_of(raw(value), "a") for value in (True, False)] == [True, False]
    assert read.count_of(raw(3), "a", 1) == 3


def test_a_list_of_objects_names_the_one_that_is_none():
    what = "'input[1]' is wrong: it must be an object, not a number"
    assert refusal(read.objects_of, raw([{}, 7]), "input") == ("input[1]", what)


@pytest.mark.parametrize(
    ("told", "what"),
    [
        (0, "it must be 1 or more, not 0"),
        (1.5, "it must be a whole number, not 1.5"),
        ("5", "it must be a whole number, not a string"),
        (None, "it must be a whole number, not null"),
    ],
)
def test_counts(told, what):
    assert refusal(read.count_of, raw(told), "n", 1) == ("n", f"'n' is wrong: {what}")


def test_null_is_not_given():
    members = {"a": raw(None), "b": raw(0)}
    assert [read.given(members, name) for name in "abc"] == [None, raw(0), None]
    assert read.needed(members, "b", "") == raw(0)
    assert refusal(read.needed, members, "a", "input[0]") == ("input[0].a", "'input[0].a' is required")
    assert refusal(read.needed, members, "c", "") == ("c", "'c' is required")


@given_values(values, st.sampled_from([*READERS, lambda told, where: read.count_of(told, where, 0)]))
def test_nothing_else_is_raised(value, reader):
    with contextlib.suppress(ApiError):
        reader(raw(value), "a")
