from typing import get_args

import pytest

from fairlead.access.keys import Reset
from fairlead.access.usd import MOST_USD
from fairlead.admin.key_members import FOR_CHANGES, FOR_NEW, MOST_NAME_CHARS, MOST_PATTERNS, read_changes, read_new
from fairlead.errors import ApiError
from fairlead.openapi.keys import KEY_CHANGES, NEW_KEY, PATHS


def test_the_members_are_those_that_can_be_set():
    assert set(NEW_KEY["properties"]) == set(FOR_NEW)
    assert set(KEY_CHANGES["properties"]) == set(FOR_CHANGES)
    assert NEW_KEY["additionalProperties"] is KEY_CHANGES["additionalProperties"] is False


def test_limits_are_those_of_the_code():
    members = NEW_KEY["properties"]
    assert members["limit_reset"]["enum"] == [*get_args(Reset), None]
    assert members["limit"]["maximum"] == MOST_USD
    assert members["name"]["maxLength"] == MOST_NAME_CHARS
    assert members["allowed_models"]["maxItems"] == MOST_PATTERNS


@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_minute", "max_concurrency", "limit"])
def test_what_is_said_to_be_the_most_is(name):
    """One more is refused, and names the member."""
    most = NEW_KEY["properties"][name]["maximum"]
    assert read_new({name: most}, 0.0)
    with pytest.raises(ApiError) as refusal:
        read_new({name: most + 1}, 0.0)
    assert (refusal.value.status, refusal.value.param) == (400, name)


def test_a_change_of_nothing_is_none():
    assert KEY_CHANGES["minProperties"] == 1
    with pytest.raises(ApiError):
        read_changes({}, 0.0)


def test_the_examples_are_accepted():
    read_new(PATHS["/keys"]["post"].example, 0.0)
    read_changes(PATHS["/keys/{hash}"]["patch"].example, 0.0)


def test_both_ways_to_write_a_path_have_names_of_their_own():
    names = {operation.id for path in ("/keys", "/keys/") for operation in PATHS[path].values()}
    assert len(names) == 4
