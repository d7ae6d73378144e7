"""Shares by the second, and how the times of ejection and recovery are read off them."""

import pytest
from bench.simulate.metrics import quantile
from bench.simulate.shares import Shares


def half_and_half(seconds):
    """Two endpoints that get an attempt each in every bin, the first none between 10 s and 20 s."""
    bins = round(seconds / 0.05)
    return Shares([[0 if 200 <= k < 400 else 1 for k in range(bins)], [1] * bins])


def test_shares_are_of_the_attempts_between_two_times():
    shares = half_and_half(30.0)
    assert shares.of(0, 0.0, 10.0) == 0.5
    assert shares.of(0, 10.0, 20.0) == 0.0
    assert shares.of(0, 5.0, 15.0) == pytest.approx(1 / 3)
    assert shares.total(0.0, 30.0) == 1000


def test_waits_last_until_the_first_second_that_is_so():
    shares = half_and_half(30.0)
    assert shares.wait(0, 8.0, 20.0, lambda share: share <= 0.02) == pytest.approx(2.0)
    assert shares.wait(0, 20.0, 30.0, lambda share: share >= 0.25) == pytest.approx(0.0)
    assert shares.wait(0, 10.0, 15.0, lambda share: share >= 0.25) == pytest.approx(5.0)


def test_a_quantile_is_a_value_that_occurred():
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([1.0], 0.99) == 1.0
