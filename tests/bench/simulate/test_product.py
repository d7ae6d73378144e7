"""The product in the simulator: it takes part as it is, and the sweep leaves it as it was."""

import pytest
from bench.simulate.experiment import Task, run
from bench.simulate.knobs import KNOBS
from bench.simulate.policies import ORACLE, PRODUCT
from bench.simulate.sweep import Variation, effects, main, run_varied

from bench.simulate import product


def figures(scenario, seconds=30.0, seed=1):
    return run(Task(scenario, seed, (ORACLE, PRODUCT, "peak-ewma"), seconds)).figures


@pytest.mark.parametrize("scenario", ["steady", "hard-down", "black-hole", "store-away"])
def test_it_is_nearer_to_the_oracle_than_the_best_known_breaker(scenario):
    found = figures(scenario, seconds=40.0)
    assert 0.99 * found[ORACLE].cost_s < found[PRODUCT].cost_s < found["peak-ewma"].cost_s


def test_the_store_is_asked_ten_times_a_second_by_each_worker_at_most_and_for_urgent_news():
    assert 20 < figures("steady")[PRODUCT].store_calls_hz < 120


@pytest.mark.parametrize("knob", KNOBS, ids=lambda knob: knob.name)
def test_each_constant_can_be_found_set_and_restored(knob):
    before = knob.value
    with knob.set(before * 2):
        assert knob.value == before * 2
    assert knob.value == before


def test_a_constant_that_matters_changes_the_result_and_comes_back():
    task = Task("steady", 1, (PRODUCT,), 10.0)
    as_it_is = run_varied(Variation(task))
    blurred = run_varied(Variation(task, "theta", 0.1))
    assert blurred.cost_s > as_it_is.cost_s
    assert run_varied(Variation(task)) == as_it_is
    assert product.WEIGHTS.theta > 2.0
    assert effects([as_it_is], [blurred])[0].startswith("+")


def test_the_sweep_has_two_lines_for_a_constant(capsys):
    assert main(["--knobs", "theta", "--scenarios", "limits", "--seconds", "8", "--processes", "1"]) == 0
    head, half, twice = capsys.readouterr().out.splitlines()
    assert head.startswith("constant")
    assert half.startswith("theta")
    assert twice.startswith("theta")
