"""The simulator as a whole says what is known to be true of the policies."""

import pytest
from bench.simulate.experiment import JUDGING_SEEDS, TUNING_SEEDS, Task, run, side_by_side
from bench.simulate.policies import ORACLE, POLICIES
from bench.simulate.scenarios import OF_FOUR, SCENARIOS
from bench.simulate.table import Comparison, cost, report


def figures(scenario, *policies, seconds=20.0, seed=1):
    return run(Task(scenario, seed, policies, seconds)).figures


@pytest.fixture(scope="module")
def steady():
    return figures("steady", *POLICIES, seconds=30.0)


def test_nobody_beats_the_oracle_on_steady_endpoints(steady):
    costs = {policy: steady[policy].cost_s for policy in steady}
    assert costs.pop(ORACLE) < 1.005 * min(costs.values())  # but for luck


def test_turns_are_far_from_the_best_on_unequal_endpoints(steady):
    assert steady["round-robin"].cost_s > 1.5 * steady[ORACLE].cost_s


def test_counting_what_is_under_way_is_right_where_load_matters():
    found = figures("capacity", ORACLE, "round-robin", "least-request", seconds=60.0)
    assert found["least-request"].cost_s < 1.2 * found[ORACLE].cost_s
    assert found["round-robin"].cost_s > found["least-request"].cost_s


@pytest.mark.parametrize("scenario", [*SCENARIOS, *OF_FOUR])
def test_the_same_seed_has_the_same_result(scenario):
    policies = (ORACLE, "random", "peak-ewma", "lowest-latency")
    assert figures(scenario, *policies, seconds=8.0) == figures(scenario, *policies, seconds=8.0)


def test_a_policy_meets_the_same_luck_whoever_else_takes_part():
    alone, together = figures("chaos", "peak-ewma"), figures("chaos", "random", "peak-ewma")
    assert alone["peak-ewma"] == together["peak-ewma"]


def test_another_seed_is_another_scenario():
    assert figures("steady", ORACLE) != figures("steady", ORACLE, seed=2)


def test_seeds_that_judge_were_not_tuned_on():
    assert not set(JUDGING_SEEDS) & set(TUNING_SEEDS)


def test_a_breaker_lets_go_of_what_is_down_and_turns_do_not():
    found = figures("hard-down", "peak-ewma", "round-robin", seconds=60.0)
    assert max(found["peak-ewma"].eject_s) < 10.0
    assert min(found["round-robin"].eject_s) > 15.0


def test_the_report_has_a_line_for_each_policy_and_each_scenario():
    tasks = [Task(name, 1, (ORACLE, "random"), 10.0) for name in ("steady", "limits")]
    results = list(side_by_side(run, tasks, processes=1))
    text = report(results)
    assert all(f"| {word} " in text for word in ("oracle", "random", "steady", "limits"))
    assert Comparison(results).mean(ORACLE, cost) == 1.0
