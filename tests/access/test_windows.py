import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.access.windows import WINDOWS, Spent, day_of, resets_at, windows_at

SATURDAY_NOON = 1_795_262_400
"""2026-11-21 12:00 UTC."""
MIDNIGHT = SATURDAY_NOON + 43_200
TIMES = st.floats(0, 4e9)


def unix(*date):
    return datetime.datetime(*date, tzinfo=datetime.UTC).timestamp()


class TestNames:
    def test_of_a_saturday(self):
        names = {"total": "total", "daily": "d:20261121", "weekly": "w:20261116", "monthly": "m:202611"}
        assert windows_at(SATURDAY_NOON) == names
        assert day_of(SATURDAY_NOON) == "20261121"

    @pytest.mark.parametrize(
        ("at", "day", "week", "month"),
        [
            (unix(2026, 11, 23), "20261123", "20261123", "202611"),
            (unix(2026, 11, 23) - 1e-6, "20261122", "20261116", "202611"),
            (unix(2027, 1, 1), "20270101", "20261228", "202701"),
            (unix(2028, 2, 29, 23, 59, 59), "20280229", "20280228", "202802"),
        ],
    )
    def test_at_borders(self, at, day, week, month):
        names = windows_at(at)
        assert (names["daily"], names["weekly"], names["monthly"]) == (f"d:{day}", f"w:{week}", f"m:{month}")

    @given(TIMES, TIMES)
    def test_sort_as_the_times_do(self, one, other):
        """By that the oldest are found when they are dropped."""
        first, then = windows_at(min(one, other)), windows_at(max(one, other))
        assert all(first[window] <= then[window] for window in WINDOWS)


class TestReset:
    @pytest.mark.parametrize(
        ("window", "end"),
        [
            ("total", None),
            ("daily", MIDNIGHT),
            ("weekly", unix(2026, 11, 23)),
            ("monthly", unix(2026, 12, 1)),
        ],
    )
    def test_of_a_saturday(self, window, end):
        assert resets_at(window, SATURDAY_NOON) == end

    def test_of_the_last_month(self):
        assert resets_at("monthly", unix(2026, 12, 31, 23, 59, 59)) == unix(2027, 1, 1)

    @given(TIMES, st.sampled_from(WINDOWS[1:]))
    def test_a_window_lasts_until_it_ends(self, at, window):
        end = resets_at(window, at)
        assert at < end
        assert windows_at(end - 1e-3)[window] == windows_at(at)[window] != windows_at(end)[window]


def test_spent_in_each_window():
    spent = Spent(4, 1, 2, 3)
    assert [spent.in_window(window) for window in WINDOWS] == [4, 1, 2, 3]
