"""Other values of the constants are what the product runs with, for as long as they are applied."""

import random

import pytest
from bench.tune.setting import AS_IT_IS, Setting, applied, read

from bench.simulate import product
from fairlead.health import sums
from fairlead.plan import plan


def ones():
    return [1.0] * sums.COUNT


def test_the_windows_of_first_tokens_are_longer_and_nothing_else_is():
    before = sums.decayed(ones(), 60.0)
    with applied(Setting(half_life_s=240.0)):
        after = sums.decayed(ones(), 60.0)
    assert before[sums.E120] == pytest.approx(0.5**0.5)
    assert after[sums.E120] == pytest.approx(0.5**0.25)
    assert after[sums.N20] == pytest.approx(0.5**1.5)
    changed = {i for i, (old, new) in enumerate(zip(before, after, strict=True)) if old != new}
    assert changed == {sums.E5, sums.E20, sums.E120, sums.U120, sums.N5, sums.N20, sums.N120}
    assert sums.decayed(ones(), 60.0) == before


def test_workers_that_are_built_meanwhile_have_the_exponent_and_explore_as_much():
    plan_looks = plan.Looks()
    with applied(Setting(in_flight=3.0, explore=0.5)):
        assert product.WEIGHTS.ramp == 3.0
        looks = plan.Looks()
        assert (looks.per_request, looks.per_second) == (0.5, 0.5)
        assert looks.min_s == pytest.approx(plan_looks.min_s / 100)
    assert product.WEIGHTS.ramp == AS_IT_IS.in_flight
    assert plan.Looks().per_request == AS_IT_IS.explore


def test_as_it_is_changes_nothing():
    values = [random.Random(1).random() for _ in range(sums.COUNT)]
    before = sums.decayed(values, 7.0)
    with applied(AS_IT_IS):
        assert sums.decayed(values, 7.0) == before


def test_a_setting_is_read_as_it_was_written():
    setting = Setting(30.0, 0.5, 0.0025, 2.0)
    assert read(setting.text()) == setting
