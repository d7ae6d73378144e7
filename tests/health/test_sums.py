import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.health import sums

VECTORS = st.lists(st.floats(0.0, 1e6), min_size=sums.COUNT, max_size=sums.COUNT)
SECONDS = st.floats(0.0, 500.0)


def near(found, expected):
    return found == pytest.approx(expected, rel=1e-9, abs=1e-12)


class TestDecay:
    def test_each_sum_by_its_own_half_life(self):
        for index, half_life in enumerate(sums.HALF_LIVES_S):
            assert sums.decayed([8.0] * sums.COUNT, half_life)[index] == pytest.approx(4.0)
            assert sums.decayed([8.0] * sums.COUNT, 3 * half_life)[index] == pytest.approx(1.0)

    def test_the_names_stand_for_the_half_lives_they_say(self):
        named = {"E": (1, 5, 20, 120), "N": (1, 5, 20, 120), "A": (2, 20), "F": (2, 20), "S": (3, 60), "M": (3, 60)}
        for letter, half_lives in named.items():
            for half_life in half_lives:
                assert sums.HALF_LIVES_S[getattr(sums, f"{letter}{half_life}")] == half_life

    def test_no_two_sums_share_a_place(self):
        places = [value for name, value in vars(sums).items() if name.isupper() and isinstance(value, int)]
        places.remove(sums.COUNT)
        assert sorted(places) == list(range(sums.COUNT))

    @given(VECTORS, SECONDS, SECONDS)
    def test_two_waits_are_one(self, vector, first, second):
        assert near(sums.decayed(sums.decayed(vector, first), second), sums.decayed(vector, first + second))

    @given(VECTORS, VECTORS, SECONDS)
    def test_joined_first_or_last(self, ours, theirs, seconds):
        joined = sums.added(sums.decayed(ours, seconds), sums.decayed(theirs, seconds))
        assert near(sums.decayed(sums.added(ours, theirs), seconds), joined)

    @given(VECTORS, st.floats(-1e9, 0.0))
    def test_a_clock_that_steps_back_changes_nothing(self, vector, seconds):
        assert sums.decayed(vector, seconds) == vector

    def test_what_is_returned_is_not_what_was_given(self):
        vector = sums.zeros()
        assert sums.decayed(vector, 0.0) is not vector

    @pytest.mark.parametrize("seconds", [1e4, 1e8, 1e308])
    def test_years_leave_nothing(self, seconds):
        assert all(value == 0.0 for value in sums.decayed([1e300] * sums.COUNT, max(seconds, 1.5e5 * 2)))
        assert all(value >= 0.0 for value in sums.decayed([1e300] * sums.COUNT, seconds))


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.floats(0.0, 2.0), st.floats(0.0, 10.0), st.booleans()), min_size=1, max_size=80
    )
)
def test_workers_who_merge_when_they_like_know_what_one_observer_knows(events):
    """routing-reference, 1.2: the result depends on no flush time, no number of workers and no order."""
    now, pooled, shared, shared_at = 0.0, [], sums.zeros(), 0.0
    held = {worker: (sums.zeros(), 0.0) for worker in range(5)}
    for worker, pause_s, amount, does_flush in events:
        now += pause_s
        increment, at = held[worker]
        increment = [value + amount for value in sums.decayed(increment, now - at)]
        pooled.append((now, amount))
        if does_flush:
            shared, shared_at = sums.added(sums.decayed(shared, now - shared_at), increment), now
            increment = sums.zeros()
        held[worker] = (increment, now)
    for increment, at in held.values():
        shared = sums.added(sums.decayed(shared, now - shared_at), sums.decayed(increment, now - at))
        shared_at = now
    direct = [sum(x * 2.0 ** (-(now - at) / half_life) for at, x in pooled) for half_life in sums.HALF_LIVES_S]
    assert near(shared, direct)


class TestSpan:
    """Something × seconds that was spread over a time: in flight, waiting."""

    @given(st.sampled_from([sums.C, sums.C3, sums.W]), st.floats(0.1, 100.0), st.floats(0.001, 100.0))
    def test_it_is_the_integral(self, index, level, seconds):
        found = sums.zeros()
        sums.add_span(found, index, level * seconds, seconds)
        half_life, steps = sums.HALF_LIVES_S[index], 4000
        width = seconds / steps
        direct = sum(level * width * 2.0 ** (-(i + 0.5) * width / half_life) for i in range(steps))
        assert found[index] == pytest.approx(direct, rel=1e-3)

    @given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=30))
    def test_it_does_not_matter_how_the_time_is_cut(self, parts):
        whole, pieces = sums.zeros(), sums.zeros()
        sums.add_span(whole, sums.C, 7.0 * sum(parts), sum(parts))
        for part in parts:
            pieces = sums.decayed(pieces, part)
            sums.add_span(pieces, sums.C, 7.0 * part, part)
        assert pieces[sums.C] == pytest.approx(whole[sums.C])

    def test_a_constant_level_is_found_again(self):
        """Mean concurrency = sum × ln 2 / half-life, once the time before is forgotten."""
        for index in (sums.C, sums.C3, sums.W):
            found = sums.zeros()
            sums.add_span(found, index, 12.0 * 1000.0, 1000.0)
            assert found[index] * math.log(2.0) / sums.HALF_LIVES_S[index] == pytest.approx(12.0)

    def test_no_time_no_area(self):
        found = sums.zeros()
        sums.add_span(found, sums.C, 1.0, 0.0)
        sums.add_span(found, sums.C, 1.0, -1.0)
        assert found == sums.zeros()
