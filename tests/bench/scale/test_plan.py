"""Who runs where, by the cores that there are."""

import pytest
from bench.scale.plan import Places, places


@pytest.mark.parametrize(
    ("cores", "expected", "is_apart"),
    [
        pytest.param([3], Places(frozenset({3}), frozenset({3}), 3, 3), False, id="one"),
        pytest.param([0, 1], Places(frozenset({0}), frozenset({0, 1}), 1, 1), False, id="two"),
        pytest.param([0, 1, 2], Places(frozenset({0}), frozenset({0, 1}), 2, 2), True, id="three"),
        pytest.param([7, 4, 5, 6], Places(frozenset({4}), frozenset({4, 5}), 6, 7), True, id="four"),
        pytest.param([*range(8)], Places(frozenset({0}), frozenset({0, 1}), 6, 7), True, id="eight"),
    ],
)
def test_two_workers_have_cores_of_their_own_where_there_are_enough(cores, expected, is_apart):
    found = places(cores)
    assert found == expected
    assert found.is_apart is is_apart
