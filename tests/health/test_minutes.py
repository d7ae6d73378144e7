import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.health.minutes import (
    BAD,
    DAY,
    GOOD,
    LEAST_ATTEMPTS,
    NO_UPTIME,
    NOTHING_KNOWN,
    UNKNOWN,
    Day,
    GroupMinutes,
    StoreClock,
    Uptime,
    add,
    judged,
    uptime,
)

NOW = 28_333_333
"""A minute of the year 2023."""
A = "a:acme/large"


def day(known, latest=NOW):
    """What the store says of these minutes."""
    return Day(latest, b"".join(known.get(minute, UNKNOWN) for minute in range(latest - DAY + 1, latest + 1)))


@pytest.mark.parametrize(
    ("attempts", "successes", "what"),
    [
        (0, 0, UNKNOWN),
        (LEAST_ATTEMPTS - 1, 0, UNKNOWN),
        (LEAST_ATTEMPTS - 1, LEAST_ATTEMPTS - 1, UNKNOWN),
        (10, 10, GOOD),
        (10, 8, GOOD),
        (10, 7, BAD),
        (10, 0, BAD),
        (19, 15, BAD),
        (20, 16, GOOD),
        (1_000_000_005, 800_000_004, GOOD),
        (1_000_000_005, 800_000_003, BAD),
    ],
)
def test_what_a_minute_is(attempts, successes, what):
    assert judged(attempts, successes) == what


class TestUptime:
    def test_it_is_the_share_of_good_minutes_among_those_that_say_something(self):
        known = {NOW: GOOD, NOW - 1: BAD, NOW - 3: GOOD, NOW - 4: GOOD, NOW - 10: BAD, NOW - 1000: BAD}
        assert uptime(day(known), NOW) == Uptime(75.0, 60.0, 50.0)

    def test_without_any_there_is_none(self):
        assert uptime(NOTHING_KNOWN, NOW) == NO_UPTIME == Uptime(None, None, None)
        assert uptime(day({NOW - 30: GOOD}), NOW) == Uptime(None, None, 100.0)
        assert uptime(day({NOW - 5: BAD}), NOW) == Uptime(None, 0.0, 0.0)

    @pytest.mark.parametrize(("window", "minutes"), [("last_5m", 5), ("last_30m", 30), ("last_1d", DAY)])
    def test_windows_end_with_the_current_minute(self, window, minutes):
        for age in range(0, minutes, max(1, minutes // 9)):
            assert getattr(uptime(day({NOW - age: GOOD}), NOW), window) == 100.0
        assert getattr(uptime(day({NOW - minutes + 1: GOOD}), NOW), window) == 100.0
        assert getattr(uptime(day({NOW - minutes: GOOD}, NOW - 1), NOW), window) is None
        assert getattr(uptime(day({NOW + 1: GOOD}, NOW + 1), NOW), window) is None, "the store's clock has stepped back"

    def test_time_goes_on_without_traffic(self):
        told = day({NOW: GOOD, NOW - 1: BAD})
        assert uptime(told, NOW + 4) == Uptime(100.0, 50.0, 50.0)
        assert uptime(told, NOW + 5) == Uptime(None, 50.0, 50.0)
        assert uptime(told, NOW + DAY) == uptime(told, NOW + 10 * DAY) == uptime(told, NOW - 10 * DAY) == NO_UPTIME

    def test_it_has_two_digits(self):
        assert uptime(day({NOW: GOOD, NOW - 1: GOOD, NOW - 2: BAD}), NOW).last_5m == 66.67

    def test_what_the_store_does_not_know_yet(self):
        told = day({NOW - 2: GOOD, NOW - 1: GOOD}, NOW - 1)
        assert uptime(told, NOW, {NOW: (12, 3)}).last_5m == 66.67
        assert uptime(told, NOW, {NOW: (9, 3)}).last_5m == 100.0
        assert uptime(told, NOW, {NOW - 1: (12, 3)}).last_5m == 100.0, "there the store knows more than one worker"
        assert uptime(NOTHING_KNOWN, NOW, {NOW: (10, 10), NOW - 7: (10, 0)}) == Uptime(100.0, 50.0, 50.0)

    TRIED = st.tuples(st.integers(5, 15), st.integers(0, 5))

    @given(
        st.dictionaries(st.integers(NOW - 2000, NOW), st.sampled_from([GOOD, BAD]), max_size=60),
        st.dictionaries(st.integers(NOW - 2000, NOW + 5), TRIED, max_size=20),
        st.integers(-3, 2000),
    )
    def test_it_is_what_counting_each_minute_gives(self, known, untold, later):
        now = NOW + later

        def expected(window):
            found = Counter()
            for minute in range(now - window + 1, now + 1):
                what = known.get(minute, UNKNOWN) if minute > NOW - DAY else UNKNOWN
                found[what if what != UNKNOWN else judged(*untold.get(minute, (0, 0)))] += 1
            judgeable = found[GOOD] + found[BAD]
            return round(100.0 * found[GOOD] / judgeable, 2) if judgeable else None

        assert uptime(day(known), now, untold) == Uptime(expected(5), expected(30), expected(DAY))


class TestStoreClock:
    def test_before_the_first_answer_it_is_the_workers_own(self):
        clock = StoreClock()
        assert (clock.minute(119.9), clock.minute(120.0), clock.is_known) == (1, 2, False)

    @pytest.mark.parametrize(("stored_now", "shift"), [(60_000.0, 1000), (60_029.0, 1000), (60_031.0, 1001)])
    def test_with_it_what_was_counted_before_gets_the_number_that_is_nearest(self, stored_now, shift):
        clock = StoreClock()
        assert clock.learn(stored_now, 0.0) == shift
        assert clock.is_known
        assert clock.minute(29.5) == (stored_now + 29.5) // 60

    def test_afterwards_it_follows_the_store(self):
        clock = StoreClock()
        clock.learn(6_000.0, 0.0)
        assert clock.learn(9_600.0, 0.0) == 0
        assert clock.minute(0.0) == 160
        clock.learn(6_000.0, 10_000.0)
        assert clock.minute(0.0) == 0, "no minute is before the first"


class TestGroup:
    def test_it_hands_over_what_has_not_been_told(self):
        group = GroupMinutes()
        group.collect(A, 3, 2, NOW)
        group.collect(A, 4, 4, NOW)
        group.collect(A, 1, 0, NOW + 1)
        assert group.take() == {A: {NOW: (7, 6), NOW + 1: (1, 0)}}
        assert group.take() == {}

    def test_it_keeps_no_more_than_a_day(self):
        group = GroupMinutes()
        for minute in range(NOW, NOW + 2 * DAY):
            group.collect(A, 10, 10, minute)
        assert group.take()[A] == dict.fromkeys(range(NOW + DAY, NOW + 2 * DAY), (10, 10))

    def test_what_would_be_before_the_first_minute_is_left_out(self):
        group = GroupMinutes()
        for minute in (1, 5):
            group.collect(A, 10, 10, minute)
        group.renumber(-3)
        assert group.take() == {A: {2: (10, 10)}}

    def test_what_is_known_here(self):
        group = GroupMinutes(days={A: day({NOW - 3: GOOD})})
        group.collect(A, 6, 0, NOW)
        assert group.uptime(A, NOW, []).last_5m == 100.0
        assert group.uptime(A, NOW, [{A: {NOW: (6, 0)}}]).last_5m == 50.0
        assert group.uptime("another", NOW, [{A: {NOW: (60, 0)}}]) == NO_UPTIME


def test_adding_up():
    rng = random.Random(3)
    parts = [{rng.randrange(9): (rng.randrange(5), rng.randrange(5)) for _ in range(6)} for _ in range(20)]
    found = {}
    for part in parts:
        add(found, part)
    for minute in range(9):
        told = [part[minute] for part in parts if minute in part]
        assert found[minute] == (sum(n for n, _ in told), sum(n for _, n in told))
