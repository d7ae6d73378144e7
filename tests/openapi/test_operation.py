import pytest

from fairlead.openapi.operation import (
    FAULTS,
    HEADERS,
    JSON,
    MANAGEMENT,
    Operation,
    Parameter,
    Reply,
    fault_replies,
    header_components,
)
from fairlead.openapi.shapes import TEXT, listed

DONE = {200: Reply("Done", {JSON: TEXT})}


def statuses(**members):
    return set(Operation("it", "Tag", "Do it", DONE, **members).json()["responses"])


def test_who_must_show_a_key_may_be_refused():
    assert {"401", "429", "503"} <= statuses()
    assert statuses(security=()) == {"200", "400", "500"}


def test_what_has_a_body_may_be_too_large_or_too_slow():
    assert {"408", "413"} <= statuses(body=TEXT)
    assert not {"408", "413"} & statuses()


def test_a_reply_of_its_own_goes_before_that_of_all():
    told = Operation("it", "Tag", "Do it", {**DONE, 503: Reply("Later", {JSON: TEXT})}).json()
    assert told["responses"]["503"]["description"] == "Later"


def test_any_of_the_keys_will_do_and_none_where_that_is_allowed():
    assert Operation("it", "Tag", "Do it", DONE, security=MANAGEMENT).json()["security"] == [
        {"management": []},
        {"managementHeader": []},
    ]
    assert Operation("it", "Tag", "Do it", DONE, is_key_optional=True).json()["security"][0] == {}
    assert Operation("it", "Tag", "Do it", DONE, security=()).json()["security"] == []


def test_errors_of_the_responses_api_are_its_own():
    told = Operation("it", "Tag", "Do it", DONE, fault_kind="Response").json()
    assert told["responses"]["401"] == {"$ref": "#/components/responses/ResponseUnauthorized"}


def test_every_error_is_among_the_components():
    found = fault_replies([404])
    assert set(found) == {name for name, _ in FAULTS.values()} | {"ResponseNotFound"}
    assert found["TooManyRequests"]["headers"]["retry-after"] == {"$ref": "#/components/headers/retry-after"}
    assert "retry-after" not in found["NotFound"]["headers"]
    assert set(header_components()) == set(HEADERS)


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        (Parameter("q", "Words", TEXT), {"in": "query", "schema": TEXT}),
        (Parameter("id", "Which", TEXT, "path", "a/b"), {"in": "path", "required": True, "example": "a/b"}),
        (Parameter("arch", "Families", listed(TEXT)), {"style": "form", "explode": False}),
    ],
    ids=["query", "path", "list"],
)
def test_parameters(parameter, expected):
    assert expected.items() <= parameter.json().items()
