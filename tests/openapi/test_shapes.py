import pytest

from fairlead.openapi.shapes import NULL, TEXT, asked, data, event, or_null, ref, says, told, words


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (TEXT, {"type": ["string", "null"]}),
        (words("ab"), {"type": ["string", "null"], "enum": ["a", "b", None]}),
        (ref("Model"), {"anyOf": [ref("Model"), NULL]}),
        ({"type": "boolean", "const": False}, {"anyOf": [{"type": "boolean", "const": False}, NULL]}),
    ],
    ids=["type", "enum", "reference", "constant"],
)
def test_what_may_be_null_as_well(schema, expected):
    assert or_null(schema) == expected


def test_a_reply_has_all_that_is_not_optional():
    schema = told({"a": TEXT, "b": TEXT}, optional=("b",))
    assert schema["required"] == ["a"]
    assert list(schema["properties"]) == ["a", "b"]
    assert data(TEXT)["required"] == ["data"]


def test_a_request_may_have_anything_else_unless_it_is_closed():
    assert asked({"a": TEXT}) == {"type": "object", "properties": {"a": TEXT}}
    assert asked({"a": TEXT}, ("a",), is_closed=True)["additionalProperties"] is False


def test_no_description_is_better_than_an_empty_one():
    assert says(TEXT, "") == TEXT
    assert says(TEXT, "Why")["description"] == "Why"


def test_a_stream_is_described_by_its_events():
    told = event("A change", ref("Change"))
    assert told["required"] == ["data"]
    assert told["properties"]["data"]["contentSchema"] == ref("Change")
    ended = event("A change", ref("Change"), "[DONE]")["properties"]["data"]["anyOf"]
    assert [one.get("const") for one in ended] == [None, "[DONE]"]
