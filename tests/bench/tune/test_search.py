"""The sweep compares like with like, and shows what a constant does."""

import pytest
from bench.simulate.experiment import TUNING_SEEDS
from bench.tune.search import PRICED, Sweep, Trial, beside, run
from bench.tune.setting import AS_IT_IS, Setting
from bench.tune.world import SCENARIOS, UPSTREAMS, on_real_processes

SECONDS = 10.0


def sweep(**values):
    names = {"half_life_s": (), "in_flight": (), "explore": (), "gamma": ()}
    return Sweep(TUNING_SEEDS[:2], SECONDS, 1, names | values, ["steady"])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_same_trial_has_the_same_result(scenario):
    assert run(Trial(scenario, 1, 7.0)) == run(Trial(scenario, 1, 7.0))


def test_a_trial_with_other_values_leaves_nothing_behind():
    before = run(Trial("brown-out", 1, SECONDS))
    assert run(Trial("brown-out", 1, SECONDS, Setting(half_life_s=15.0, in_flight=8.0, explore=0.5))) != before
    assert run(Trial("brown-out", 1, SECONDS)) == before


def test_who_gives_more_for_the_price_pays_less_and_waits_longer():
    indifferent, thrifty = sweep().findings([Setting(gamma=0.0), Setting(gamma=2.0)], [PRICED])
    assert thrifty.price < indifferent.price
    assert thrifty.p50 > indifferent.p50


def test_exploring_much_is_felt():
    none, much = sweep().findings([Setting(explore=0.0), Setting(explore=0.25)], ["steady"])
    assert none.cost < 1.01 < much.cost


def test_the_product_beside_itself_is_no_better():
    figures = [run(Trial("steady", seed, SECONDS)) for seed in (1, 2)]
    finding = beside(AS_IT_IS, figures, figures)
    assert (finding.cost, finding.error, finding.p50, finding.p99, finding.lost) == (1.0, 0.0, 1.0, 1.0, 0.0)


def test_the_best_come_first_and_the_product_as_it_is_takes_part():
    found = sweep(explore=(0.5, 0.25))
    alone = found.one_by_one()
    assert [finding.setting.explore for finding in alone["explore"]] == [AS_IT_IS.explore, 0.25, 0.5]
    combined = found.together(alone)
    assert AS_IT_IS in [finding.setting for finding in combined]
    assert [finding.cost for finding in combined] == sorted(finding.cost for finding in combined)


def test_there_are_four_upstreams_everywhere():
    drawn = [scenario.specs for scenario in on_real_processes(15.0).values()]
    assert {len(specs) for specs in drawn} == {UPSTREAMS}
    assert all(max(max(listed) for _, listed in one.listed()) < UPSTREAMS for one in on_real_processes(15.0).values())
