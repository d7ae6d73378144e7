"""The chosen settings beside the policies that others use: on judging seeds, simulated, then on real processes."""

import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import fmean

import uvloop

from bench.peers.summary import plain
from bench.policies import fleet
from bench.policies.figures import Figures, measure
from bench.policies.world import worth
from bench.processes import NotReady
from bench.simulate.experiment import JUDGING_SEEDS, side_by_side
from bench.simulate.policies import PRODUCT
from bench.tune.search import Trial, run
from bench.tune.setting import AS_IT_IS, Setting
from bench.tune.world import on_real_processes

OTHERS = ("round-robin", "random", "least-request", "lowest-latency")
"""The last is the plain-latency strategy of a well-known Python gateway; the one before it picks the better of two."""
_SEED = 7


@dataclass(frozen=True, slots=True)
class Contestant:
    """A setting of the product, or a policy of the simulator."""

    name: str
    setting: Setting = AS_IT_IS
    policy: str = ""


def contestants(chosen: Sequence[Setting]) -> list[Contestant]:
    """The settings, the best first, the product as it is wherever it stands, and the others."""
    settings = list(dict.fromkeys([*chosen, AS_IT_IS]))
    ours = [Contestant(f"{PRODUCT} {one.text()}" + (" (as it is)" if one == AS_IT_IS else ""), one) for one in settings]
    return [*ours, *(Contestant(name, policy=name) for name in OTHERS)]


@dataclass(frozen=True, slots=True)
class Score:
    """Of a contestant in one scenario: quantiles of the first token, share of the requests that were answered.

    `cost_s` is what callers minimise: simulated, the first token and a quarter of the generation, times what they give
    for the price; on real processes the generation does not count. A request that failed counts as 15 s.
    """

    p50_s: float
    p99_s: float
    success: float
    cost_s: float


Scores = Mapping[str, Mapping[str, Score]]
"""By scenario, then by the contestant's name."""


def mean(scores: Sequence[Score]) -> Score:
    """Of each number."""
    return Score(*(fmean(values) for values in zip(*map(astuple, scores), strict=True)))


def simulated(
    taking_part: Sequence[Contestant], scenarios: Sequence[str], seeds: int, seconds: float, processes: int
) -> Scores:
    """In the simulator, where the quantiles count a request that failed as a first token after 15 s."""
    places = [(scenario, who) for scenario in scenarios for who in taking_part]
    trials = [
        Trial(scenario, seed, seconds, who.setting, who.policy)
        for scenario, who in places
        for seed in JUDGING_SEEDS[:seeds]
    ]
    figures = list(side_by_side(run, trials, processes))
    found: dict[str, dict[str, Score]] = {scenario: {} for scenario in scenarios}
    for number, (scenario, who) in enumerate(places):
        own = figures[number * seeds : (number + 1) * seeds]
        found[scenario][who.name] = mean([Score(one.p50_s, one.p99_s, one.success, one.cost_s) for one in own])
    return found


Play = Callable[[str, Contestant], Figures]
"""What came of one run of a scenario on real processes. Raises NotReady."""


def confirmed(
    taking_part: Sequence[Contestant], scenarios: Sequence[str], play: Play, is_over: Callable[[], bool]
) -> tuple[Scores, list[str]]:
    """On real processes; and what could not be run, in words.

    Neighbours in time are compared, by turns in both orders. Nothing more is begun once it `is_over`.
    """
    found: dict[str, dict[str, Score]] = {scenario: {} for scenario in scenarios}
    problems = []
    for number, scenario in enumerate(scenarios):
        for who in taking_part if number % 2 == 0 else reversed(taking_part):
            if is_over():
                problems.append(f"{scenario}, {who.name}: no time was left")
                continue
            try:
                figures = _played(play, scenario, who)
            except NotReady as problem:
                problems.append(f"{scenario}, {who.name}: {plain(str(problem))}")
                continue
            found[scenario][who.name] = Score(figures.p50_s, figures.p99_s, 1 - figures.failed, figures.cost_s)
            load = os.getloadavg()[0]
            print(f"bench: {scenario}, {who.name}: load average {load:.1f}", file=sys.stderr, flush=True)
    return found, problems


def _played(play: Play, scenario: str, who: Contestant) -> Figures:
    """A busy machine may be too slow to start them all in time: that is tried twice."""
    try:
        return play(scenario, who)
    except NotReady:
        return play(scenario, who)


def on_processes(seconds: float) -> Play:
    """Two gateways, a store, four providers and locust, for so many seconds each time."""
    scenarios = on_real_processes(seconds)

    def play(name: str, who: Contestant) -> Figures:
        scenario, setting = scenarios[name], "" if who.policy else who.setting.text()
        with tempfile.TemporaryDirectory(prefix="tune-") as place:
            run = uvloop.run(fleet.run(scenario, who.policy or PRODUCT, Path(place), _SEED, setting))
        return measure(run.answers, worth(scenario))

    return play
