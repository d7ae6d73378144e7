import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access.keys import ApiKey
from fairlead.catalog.model import Price
from fairlead.plan import sticky
from fairlead.plan.sticky import TELL_AGAIN_S, TTL_S, Pins, Told, is_worth_it, key_of

from .endpoints import endpoint

A, B, OTHER = "a:acme/large", "b:acme/large", "a:acme/small"
KEY = 7


def pinned(pins, now, key=KEY, model="acme/large"):
    return pins.find(key, model, now)


class TestAPin:
    def test_it_is_for_one_model(self):
        pins = Pins()
        assert pinned(pins, 0.0) == ""
        pins.renew(KEY, A, 0.0)
        assert (pinned(pins, 1.0), pinned(pins, 1.0, model="acme/small"), pinned(pins, 1.0, key=8)) == (A, "", "")
        pins.renew(KEY, OTHER, 1.0)
        assert (pinned(pins, 2.0), pinned(pins, 2.0, model="acme/small")) == (A, OTHER)

    def test_it_ends_after_ten_minutes_without_a_success(self):
        pins = Pins()
        pins.renew(KEY, A, 0.0)
        pins.renew(KEY, A, TTL_S - 1.0)
        assert pinned(pins, 2 * TTL_S - 2.0) == A
        assert pinned(pins, 2 * TTL_S - 1.0) == ""

    def test_it_moves_with_what_went_well_elsewhere(self):
        pins = Pins()
        pins.renew(KEY, A, 0.0)
        pins.renew(KEY, B, 1.0)
        assert pinned(pins, 2.0) == B

    def test_a_failure_ends_it_unless_it_has_moved(self):
        pins = Pins()
        pins.renew(KEY, A, 0.0, is_routed=True)
        pins.end(KEY, B)
        assert pinned(pins, 1.0) == A
        pins.end(KEY, A)
        assert (pinned(pins, 1.0), pins.find_model(KEY, 1.0)) == ("", "")

    def test_of_a_router_it_is_for_the_model_too(self):
        pins = Pins()
        pins.renew(KEY, A, 0.0)
        assert pins.find_model(KEY, 1.0) == ""
        pins.renew(KEY, A, 1.0, is_routed=True)
        assert pins.find_model(KEY, 2.0) == "acme/large"


def test_callers_do_not_share_theirs():
    one, other = (ApiKey(name, name, name) for name in "ab")
    assert key_of(one, 5) != key_of(other, 5)
    assert key_of(one, 5) != key_of(one, 6)
    assert key_of(one, 5) & 0xFFFFFFFF == 5


class TestBounds:
    def test_those_unused_for_longest_make_room(self, monkeypatch):
        monkeypatch.setattr(sticky, "MOST_PINS", 3)
        pins = Pins()
        for key in range(3):
            pins.renew(key, A, 0.0)
        pins.renew(0, A, 1.0)
        pins.renew(3, A, 1.0)
        assert [pinned(pins, 2.0, key=key) for key in range(4)] == [A, "", A, A]

    def test_of_news(self, monkeypatch):
        monkeypatch.setattr(sticky, "MOST_NEWS", 3)
        pins = Pins()
        for key in range(5):
            pins.renew(key, A, 0.0)
        news = pins.take_news()
        assert [one.key for one in news] == [2, 3, 4]
        pins.renew(5, A, 1.0)
        pins.give_back(news)
        assert [one.key for one in pins.take_news()] == [3, 4, 5]


class TestNews:
    def test_a_pin_that_is_only_renewed_is_told_now_and_then(self):
        pins = Pins()
        pins.renew(KEY, A, 0.0)
        assert pins.take_news() == [Told(KEY, A)]
        pins.renew(KEY, A, TELL_AGAIN_S / 2)
        assert pins.take_news() == []
        pins.renew(KEY, A, TELL_AGAIN_S)
        assert pins.take_news() == [Told(KEY, A)]
        pins.renew(KEY, B, TELL_AGAIN_S + 1.0)
        assert pins.take_news() == [Told(KEY, B)]
        pins.end(KEY, B)
        pins.end(KEY, B)
        assert pins.take_news() == [Told(KEY, B, is_over=True)]

    def test_what_has_been_heard_need_not_be_told(self):
        pins = Pins()
        pins.hear(Told(KEY, A), 10.0, 100.0)
        assert (pinned(pins, 90.0 + TTL_S - 0.1), pinned(pins, 90.0 + TTL_S)) == (A, "")
        pins.renew(KEY, A, 101.0)
        assert pins.take_news() == []

    def test_news_that_are_older_than_a_pin_lives_are_none(self):
        pins = Pins()
        pins.hear(Told(KEY, A), TTL_S, 1000.0)
        assert pinned(pins, 1000.0) == ""

    steps = st.tuples(st.integers(0, 2), st.sampled_from((A, B, OTHER)), st.booleans(), st.booleans())

    @given(st.lists(steps, max_size=30))
    def test_who_hears_all_knows_the_same(self, steps):
        """As long as every step is told, which those are that follow each other slowly."""
        one, other = Pins(), Pins()
        for number, (key, endpoint_id, is_routed, is_end) in enumerate(steps):
            now = number * TELL_AGAIN_S / 10
            if is_end:
                one.end(key, endpoint_id)
            else:
                one.renew(key, endpoint_id, now, is_routed=is_routed)
            for told in one.take_news():
                other.hear(told, 0.0, now)
            for name in ("acme/large", "acme/small", ""):
                assert bool(one.find(key, name, now)) == bool(other.find(key, name, now))
                assert one.find(key, name, now) == other.find(key, name, now)


@pytest.mark.parametrize(
    ("cache_read", "is_cheaper"), [(None, False), (999_999, True), (1_000_000, False), (2_000_000, False)]
)
def test_it_is_worth_it_where_reading_from_the_cache_is_cheaper(cache_read, is_cheaper):
    one = dataclasses.replace(endpoint("a"), price=Price(1_000_000, 2_000_000, cache_read=cache_read))
    assert is_worth_it(one) == is_cheaper


def test_where_nobody_knows_a_price_nothing_is_saved():
    assert not is_worth_it(endpoint("a"))
