"""The seven scenarios: once told, and the same on every stage."""

import random

import pytest
from bench.simulate.requests import arrivals
from bench.simulate.scenario import capacity_hz, ranked

from bench.policies import world as real
from bench.simulate import seven

SECONDS = 18.0


@pytest.fixture(params=[seven.SIMULATED, real.STAGE], ids=["simulated", "real"])
def drawn(request):
    played = seven.on(request.param)
    return {name: draw(random.Random(5), SECONDS) for name, draw in played.items()}


def test_all_have_four_upstreams_and_their_own_names(drawn):
    assert [scenario.name for scenario in drawn.values()] == list(drawn) == list(seven.SEVEN)
    assert {len(scenario.specs) for scenario in drawn.values()} == {seven.UPSTREAMS}


def test_the_trouble_is_the_bests_and_in_the_middle_of_the_time(drawn):
    for name in ("brown-out", "429 storm"):
        [fault] = drawn[name].faults
        assert fault.endpoint == ranked(drawn[name].specs, drawn[name].traffic)[0]
        assert 0.25 * SECONDS < fault.start < fault.end < 0.75 * SECONDS
    assert drawn["brown-out"].faults[0].condition.slow > 5.0
    assert drawn["429 storm"].faults[0].condition.limited >= 0.7
    assert len(drawn["flapping"].faults) > 1


def test_the_newcomer_is_the_best_and_comes_later(drawn):
    scenario = drawn["newcomer"]
    (_, before), (at, after) = scenario.listed()
    assert {*after} - {*before} == {ranked(scenario.specs, scenario.traffic)[0]}
    assert 0.25 * SECONDS < at < 0.4 * SECONDS


def test_bursts_come_close_to_what_the_engines_can_do(drawn):
    scenario = drawn["burst"]
    bursting_hz = scenario.traffic.rate * scenario.traffic.burst
    assert 0.9 < bursting_hz / capacity_hz(scenario.specs, scenario.traffic) < 1.0


def test_only_in_the_price_mix_do_prices_differ_and_count(drawn):
    mixed = {name for name, scenario in drawn.items() if len({spec.price for spec in scenario.specs}) > 1}
    assert mixed == {name for name, scenario in drawn.items() if scenario.gamma} == {"price mix"}


def test_real_processes_have_one_draw_with_bursts_in_it():
    scenario = real.SCENARIOS["burst"](SECONDS)
    assert scenario == real.SCENARIOS["burst"](SECONDS)
    asked = arrivals(scenario.traffic, SECONDS, random.Random(1))
    assert len(asked) > 1.1 * SECONDS * scenario.traffic.rate
