"""All policies face all scenarios; who cannot is told of."""

from bench.policies.busy import Busy
from bench.policies.course import go_through
from bench.policies.fleet import Answer, Run
from bench.policies.world import SCENARIOS
from bench.processes import NotReady

NAMES = ("steady", "burst")
DRAWN = {name: SCENARIOS[name](7.0) for name in NAMES}
RUN = Run([Answer(6.0, 0.1, "ok")], Busy({}, {}, [], 0.0))


def test_neighbours_take_turns_in_both_orders_and_stand_in_one():
    played = []

    def play(scenario, policy, round_):
        played.append((scenario.name, policy, round_))
        return RUN

    course = go_through(DRAWN, ["ours", "theirs"], 2, play, lambda: False)
    first = [("steady", "ours", 0), ("steady", "theirs", 0), ("burst", "theirs", 0), ("burst", "ours", 0)]
    assert played[:4] == first
    assert played[4:] == [(name, "theirs" if policy == "ours" else "ours", 1) for name, policy, _ in first]
    assert [list(by_policy) for by_policy in course.runs.values()] == [["ours", "theirs"]] * 2
    assert len(course.answers()["burst"]["ours"]) == 2
    assert not course.problems


def test_who_is_not_ready_is_run_again_and_then_told_of():
    tried = []

    def play(scenario, policy, round_):
        tried.append(policy)
        if policy == "random" or tried.count(policy) == 1:
            raise NotReady("gateway: nothing in 60 s\nits log")
        return RUN

    course = go_through({"steady": DRAWN["steady"]}, ["ours", "random"], 1, play, lambda: False)
    assert tried == ["ours", "ours", "random", "random"]
    assert course.problems == ["steady, random: gateway: nothing in 60 s; its log"]
    assert list(course.runs["steady"]) == ["ours"]


def test_nothing_is_begun_once_the_time_is_over():
    course = go_through(DRAWN, ["ours"], 1, lambda *_: 1 / 0, lambda: True)
    assert course.problems == [f"{name}, ours: no time was left" for name in NAMES]
    assert not list(course.each())
