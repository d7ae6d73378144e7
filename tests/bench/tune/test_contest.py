"""Who takes part, what becomes of those who cannot, and where they are worse."""

from bench.policies.figures import measure
from bench.policies.fleet import Answer
from bench.processes import NotReady
from bench.tune.contest import OTHERS, Score, confirmed, contestants, simulated
from bench.tune.setting import AS_IT_IS, Setting

from bench.tune import report

OURS = Score(0.1, 0.2, 1.0, 0.15)
WORSE = Score(0.2, 0.4, 0.9, 0.9)


def test_the_product_as_it_is_and_all_the_others_take_part():
    names = [who.name for who in contestants([Setting(half_life_s=60.0)])]
    assert names[0].startswith("fairlead 60/")
    assert names[1].endswith("(as it is)")
    assert names[2:] == list(OTHERS)
    assert len(contestants([AS_IT_IS])) == 1 + len(OTHERS)


def test_who_cannot_be_run_is_told_of_and_the_others_go_on():
    def play(scenario, who):
        if who.policy == "random":
            raise NotReady("locust: nothing in 30 s\nits log")
        return measure([Answer(6.0, 0.1, "ok"), Answer(7.0, None, "status 503")])

    scores, problems = confirmed(contestants([]), ["steady"], play, lambda: False)
    assert problems == ["steady, random: locust: nothing in 30 s; its log"]
    assert scores["steady"]["round-robin"] == Score(0.1, 0.1, 0.5, 7.55)
    assert "random" not in scores["steady"]


def test_who_is_not_ready_once_is_run_again():
    tried = []

    def play(scenario, who):
        tried.append(who.name)
        if len(tried) == 1:
            raise NotReady("too slow")
        return measure([Answer(6.0, 0.1, "ok")])

    scores, problems = confirmed(contestants([])[:2], ["steady"], play, lambda: False)
    assert not problems
    assert len(scores["steady"]) == 2
    assert tried[0] == tried[1]


def test_nothing_is_begun_once_the_time_is_over():
    scores, problems = confirmed(contestants([]), ["steady"], lambda scenario, who: 1 / 0, lambda: True)
    assert scores == {"steady": {}}
    assert len(problems) == 1 + len(OTHERS)
    assert report.means(scores) == {}


def test_turns_are_worse_than_the_product_in_a_brown_out():
    taking_part = contestants([])
    found = simulated(taking_part, ["brown-out"], 1, 20.0, 1)["brown-out"]
    assert found["round-robin"].p99_s > found[taking_part[0].name].p99_s


def test_a_verdict_names_where_ours_is_not_better():
    others = dict.fromkeys(OTHERS, WORSE)
    scores = {"steady": {"ours": OURS, **others}, "storm": {"ours": OURS, **others, "random": OURS}}
    lines = dict(line.removeprefix("ours beside ").split(": ", 1) for line in report.verdicts(scores, "ours"))
    assert lines["round-robin"].startswith("p50 better in 2 of 2; p99 better in 2 of 2;")
    assert "p99 better in 1 of 2 (not in storm)" in lines["random"]
    assert "success as good or better in 2 of 2" in lines["random"]


def test_who_is_missing_in_a_scenario_has_no_mean_and_nothing_is_said_of_it():
    scores = {"steady": {"ours": OURS, "random": WORSE}, "storm": {"ours": OURS}}
    assert list(report.means(scores)) == ["ours"]
    line = next(line for line in report.verdicts(scores, "ours") if " random:" in line)
    assert "p50 better in 1 of 1;" in line
