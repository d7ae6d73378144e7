"""What a run amounts to, and when two policies may be said to differ."""

import pytest
from bench.policies.figures import Figures, agreement, measure, order, overall
from bench.policies.fleet import Answer


def costing(cost_s, error_s=0.0):
    return Figures(100, cost_s, cost_s, 0.0, cost_s, error_s, (cost_s, cost_s), (cost_s, cost_s), 0.0)


def test_a_failure_counts_as_fifteen_seconds_and_the_warm_up_not_at_all():
    early = Answer(4.9, 9.0, "ok")
    figures = measure([early, Answer(5.0, 0.1, "ok"), Answer(6.0, 0.3, "ok"), Answer(7.0, 0.1, "cut")])
    assert figures.requests == 3
    assert figures.failed == pytest.approx(1 / 3)
    assert figures.cost_s == pytest.approx((0.1 + 0.3 + 15.0) / 3)
    assert figures.p99_s == 0.3


def test_nothing_answered_is_the_worst_there_is():
    assert measure([Answer(6.0, None, "status 503")]).cost_s == 15.0


def test_what_is_within_two_standard_errors_is_not_told_apart():
    assert order({"b": costing(0.2), "a": costing(0.1)}) == "a < b"
    assert order({"b": costing(0.2, 0.04), "a": costing(0.1, 0.04)}) == "a ≈ b"


def test_who_pays_more_has_the_greater_cost_where_callers_look_at_prices():
    answers = [Answer(6.0, 0.1, "ok", 40), Answer(6.0, 0.2, "ok", 10), Answer(6.0, None, "status 503")]
    figures = measure(answers, lambda paid: (paid / 10) ** 0.5)
    assert figures.cost_s == pytest.approx((0.1 * 2 + 0.2 + 15.0) / 3)
    assert figures.paid_nanos == 25


def test_ranges_have_the_quantiles_in_them_and_shrink_with_more_answers():
    few, many = (measure([Answer(6.0, i / count, "ok") for i in range(count)]) for count in (100, 10_000))
    for figures in (few, many):
        assert figures.p50_range_s[0] < figures.p50_s < figures.p50_range_s[1]
        assert figures.p99_range_s[0] <= figures.p99_s <= figures.p99_range_s[1]
    assert many.p50_range_s[1] - many.p50_range_s[0] == pytest.approx(0.01, abs=0.001)


def test_callers_who_ask_late_tell_of_a_machine_that_is_in_the_way():
    def late_by(late_s):
        return measure([Answer(6.0, 0.1, "ok", 0, late_s) for _ in range(200)] + [Answer(6.0, 0.1, "ok", 0, 9.0)])

    assert not late_by(0.002).is_disturbed
    assert late_by(0.04).is_disturbed


def test_the_product_is_the_measure_of_all_scenarios():
    scenarios = [{"ours": costing(0.1), "theirs": costing(0.2)}, {"ours": costing(1.0), "theirs": costing(4.0)}]
    assert overall(scenarios, "ours") == {"ours": (1.0, 0.0), "theirs": (3.0, 0.0)}


def test_rank_correlation_is_spearmans():
    one = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    assert agreement(one, one) == 1.0
    assert agreement(one, {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}) == -1.0
    assert agreement(one, {"a": 2.0, "b": 1.0, "c": 3.0, "d": 4.0}) == pytest.approx(0.8)
