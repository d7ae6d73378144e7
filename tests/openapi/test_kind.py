import pytest

from fairlead.openapi.kind import kind_of, members_of
from fairlead.openapi.shapes import ANYTHING, COUNT, TEXT, TIME, listed, or_null, ref, text_of, told, whole_of, words


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (ANYTHING, "anything"),
        (TEXT, "string"),
        (or_null(TEXT), "string or null"),
        (text_of(1, 200), "string, 1 to 200 characters"),
        (TIME, "string (date-time)"),
        (whole_of(1, 1_000_000), "integer, 1 to 1,000,000"),
        (COUNT, "integer"),
        ({"type": "integer", "minimum": 1}, "integer, 1 or more"),
        ({"type": "number", "maximum": 5}, "number, at most 5"),
        (words(("a", "b")), "a · b"),
        (or_null(words(("a",))), "a · null"),
        ({"const": True}, "true"),
        (listed(ref("Model")), "list of #Model"),
        (or_null(ref("Usage")), "#Usage or null"),
        ({**TEXT, "contentSchema": ref("Change")}, "string that holds #Change"),
        ({"type": "array", "items": TEXT, "maxItems": 3}, "list of string, at most 3"),
    ],
)
def test_in_a_few_words(schema, expected):
    assert "".join(kind_of(schema)) == expected


def test_members_are_those_of_the_object_within():
    inner = told({"a": TEXT, "b": COUNT}, ("b",))
    expected = [("a", TEXT, True), ("b", COUNT, False)]
    for schema in (inner, listed(inner), or_null(told({"a": TEXT, "b": COUNT}, ("b",)))):
        assert list(members_of(schema)) == expected
    assert list(members_of({"anyOf": [inner, {"type": "null"}]})) == expected
    assert list(members_of(TEXT)) == []
