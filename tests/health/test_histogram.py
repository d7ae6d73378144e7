import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.health.histogram import (
    BUCKETS,
    EVIDENCE,
    FIRST_TOKEN,
    HALF_LIFE_S,
    SPEED,
    Histogram,
    add,
    decayed,
)

SCALES = {"first token": (FIRST_TOKEN, 0.01, 600.0), "speed": (SPEED, 0.5, 5000.0)}
each_scale = pytest.mark.parametrize(("scale", "low", "high"), SCALES.values(), ids=SCALES)
PRECISION = 0.049


def counted(scale, values):
    counts = {}
    for value in values:
        add(counts, {scale.bucket(math.log(value)): 1})
    return counts


def counts_of(buckets=BUCKETS):
    return st.dictionaries(st.integers(0, buckets - 1), st.floats(0.001, 1e6), max_size=20)


class TestScale:
    @each_scale
    def test_its_buckets_cover_its_range(self, scale, low, high):
        assert scale.bucket(math.log(low)) == scale.first
        assert scale.bucket(math.log(high)) == scale.last
        assert scale.value(scale.last) >= high / 1.05

    @each_scale
    @given(share=st.floats(0, 1))
    def test_the_middle_of_a_bucket_stands_for_all_of_it(self, scale, low, high, share):
        value = low * (high / low) ** share
        assert scale.value(scale.bucket(math.log(value))) == pytest.approx(value, rel=PRECISION)

    @each_scale
    def test_buckets_rise_with_the_value(self, scale, low, high):
        found = [scale.bucket(math.log(low * 1.05**n)) for n in range(int(math.log(high / low) / math.log(1.05)))]
        assert found == sorted(found)
        assert set(found) == set(range(scale.first, found[-1] + 1))

    @each_scale
    @pytest.mark.parametrize("value", [1e-3, 1e-300])
    def test_what_is_below_counts_as_the_least(self, scale, low, high, value):
        assert scale.bucket(math.log(value)) == scale.first

    @each_scale
    @pytest.mark.parametrize("value", [1e4, 1e308])
    def test_what_is_above_counts_as_the_most(self, scale, low, high, value):
        assert scale.bucket(math.log(value)) == scale.last

    def test_the_two_share_a_row_whose_index_is_a_byte(self):
        assert SPEED.first == FIRST_TOKEN.last + 1
        assert (FIRST_TOKEN.first, SPEED.last + 1) == (0, BUCKETS)
        assert BUCKETS <= 256


class TestQuantile:
    @each_scale
    @given(data=st.data(), q=st.floats(0, 1))
    def test_it_is_that_of_the_sorted_values_but_for_the_precision(self, scale, low, high, data, q):
        values = sorted(data.draw(st.lists(st.floats(low, high), min_size=1, max_size=200)))
        rank = max(math.ceil(q * len(values) * (1 - 1e-12)), 1)  # the nearest rank
        found = Histogram(scale, counted(scale, values)).quantile(q)
        assert found == pytest.approx(values[rank - 1], rel=PRECISION)

    @given(counts=counts_of(), factor=st.floats(0.5, 1))
    def test_it_stays_when_all_fades_alike(self, counts, factor):
        before = Histogram(FIRST_TOKEN, counts)
        after = Histogram(FIRST_TOKEN, {bucket: count * factor for bucket, count in counts.items()})
        if after.count >= EVIDENCE:
            assert after.quantile(0.3) == before.quantile(0.3)

    def test_each_quantity_has_its_own(self):
        counts = counted(FIRST_TOKEN, [0.2] * 9) | counted(SPEED, [70.0])
        assert Histogram(FIRST_TOKEN, counts).count == 9
        assert Histogram(SPEED, counts).quantile(1.0) == pytest.approx(70.0, rel=PRECISION)

    def test_nothing_has_none(self):
        assert Histogram(SPEED, {}).quantile(0.5) is None
        assert Histogram(SPEED, {}).count == 0.0

    def test_one_observation_is_enough_until_it_is_a_half_life_old(self):
        counts = counted(SPEED, [30.0])
        assert Histogram(SPEED, decayed(counts, HALF_LIFE_S - 1)).quantile(0.5) == pytest.approx(30.0, rel=PRECISION)
        assert Histogram(SPEED, decayed(counts, HALF_LIFE_S + 1)).quantile(0.5) is None


class TestCounts:
    def test_they_halve_with_every_half_life(self):
        assert decayed({3: 8.0, 9: 1.0}, 2 * HALF_LIFE_S) == {3: 2.0, 9: 0.25}

    def test_a_clock_that_steps_back_changes_nothing(self):
        assert decayed({3: 8.0}, -1000.0) == {3: 8.0}

    @given(st.lists(counts_of(), max_size=6), st.randoms())
    def test_the_order_in_which_they_are_added_does_not_matter(self, parts, rng):
        def total(parts):
            found = {}
            for part in parts:
                add(found, part)
            return found

        assert total(parts) == pytest.approx(total(rng.sample(parts, len(parts))))
