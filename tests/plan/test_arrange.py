import pytest

from fairlead.plan.arrange import arranged, is_fast_enough
from fairlead.plan.wish import Wish

from .endpoints import candidate, slugs

SLOW = candidate("slow", first_token_s=2.0, tokens_per_s=90.0, price=(1, 1), failure=0.2)
FAST = candidate("fast", first_token_s=0.2, tokens_per_s=30.0, price=(5, 5), failure=0.01)
UNPRICED = candidate("unpriced", first_token_s=0.5, tokens_per_s=60.0, failure=0.05)


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("price", ["slow", "fast", "unpriced"]),
        ("latency", ["fast", "unpriced", "slow"]),
        ("throughput", ["slow", "unpriced", "fast"]),
        ("exacto", ["fast", "unpriced", "slow"]),
    ],
)
def test_sorts(sort, expected):
    assert slugs(arranged([UNPRICED, FAST, SLOW], Wish(sort=sort))) == expected


def test_what_a_sort_does_not_tell_apart_stays_in_order():
    twins = [candidate(slug, price=(1, 2)) for slug in "bca"]
    assert slugs(arranged(twins, Wish(sort="price"))) == ["b", "c", "a"]


def test_an_order_goes_first_and_the_rest_as_it_was():
    assert slugs(arranged([SLOW, UNPRICED, FAST], Wish(order=("fast", "nobody")))) == ["fast", "slow", "unpriced"]
    assert slugs(arranged([SLOW, UNPRICED, FAST], Wish(order=("unpriced", "fast")))) == ["unpriced", "fast", "slow"]


def test_who_is_too_slow_goes_back_but_stays():
    assert slugs(arranged([SLOW, FAST], Wish(longest_wait_s=((1.0, 1.0),)))) == ["fast", "slow"]
    assert slugs(arranged([FAST, SLOW], Wish(slowest_tokens_per_s=((1.0, 50.0),)))) == ["slow", "fast"]


def test_every_limit_counts():
    assert is_fast_enough(FAST, Wish(longest_wait_s=((1.0, 0.2), (4.0, 0.8))))
    assert not is_fast_enough(FAST, Wish(longest_wait_s=((1.0, 0.2), (4.0, 0.7))))
    assert not is_fast_enough(FAST, Wish(longest_wait_s=((1.0, 0.2),), slowest_tokens_per_s=((1.0, 31.0),)))


def test_without_fallbacks_there_is_one_unless_an_order_says_who():
    assert slugs(arranged([SLOW, FAST], Wish(has_fallbacks=False))) == ["slow"]
    assert slugs(arranged([SLOW, FAST], Wish(has_fallbacks=False, sort="latency"))) == ["fast"]
    assert slugs(arranged([SLOW, FAST], Wish(has_fallbacks=False, order=("fast", "slow")))) == ["fast", "slow"]


def test_options_go_to_their_provider():
    there, elsewhere = arranged([candidate("a"), candidate("b")], Wish(options={"a": {"raw": b"1"}}))
    assert (there.adds, elsewhere.adds) == ({"raw": b"1"}, {})
