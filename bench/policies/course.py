"""All runs of a comparison, one after another; what could not be run is told of, and the others go on."""

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from bench.peers.summary import plain
from bench.policies import fleet
from bench.policies.fleet import Answer, Run
from bench.processes import NotReady
from bench.simulate.scenario import Scenario

SEED = 7

Play = Callable[[Scenario, str, int], Run]
"""One run of a policy in a scenario; the number is its round's. Raises NotReady."""


@dataclass(slots=True)
class Course:
    """What has been seen, by scenario and policy: a run of each round."""

    runs: dict[str, dict[str, list[Run]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def answers(self) -> Mapping[str, Mapping[str, list[Answer]]]:
        """All rounds together, of those who had one at least."""
        return {
            name: {policy: [answer for run in runs for answer in run.answers] for policy, runs in by_policy.items()}
            for name, by_policy in self.runs.items()
        }

    def each(self) -> Iterator[Run]:
        """All runs."""
        return (run for by_policy in self.runs.values() for runs in by_policy.values() for run in runs)


def go_through(
    scenarios: Mapping[str, Scenario], policies: Sequence[str], rounds: int, play: Play, is_over: Callable[[], bool]
) -> Course:
    """Neighbours in time are compared, by turns in both orders. Nothing more is begun once it `is_over`."""
    course = Course()
    for round_ in range(rounds):
        for number, (name, scenario) in enumerate(scenarios.items()):
            for policy in policies if (round_ + number) % 2 == 0 else reversed(policies):
                if is_over():
                    course.problems.append(f"{name}, {policy}: no time was left")
                    continue
                try:
                    run = _played(play, scenario, policy, round_)
                except NotReady as problem:
                    course.problems.append(f"{name}, {policy}: {plain(str(problem))}")
                    continue
                course.runs.setdefault(name, {}).setdefault(policy, []).append(run)
                _tell(name, policy, run)
    # The turns are over: each scenario has its policies in the same order.
    course.runs = {
        name: {policy: by_policy[policy] for policy in policies if policy in by_policy}
        for name, by_policy in course.runs.items()
    }
    return course


def _played(play: Play, scenario: Scenario, policy: str, round_: int) -> Run:
    """A busy machine may be too slow to start them all in time: that is tried twice."""
    try:
        return play(scenario, policy, round_)
    except NotReady:
        return play(scenario, policy, round_)


def _tell(name: str, policy: str, run: Run) -> None:
    hows = ", ".join(f"{count} {how}" for how, count in Counter(answer.how for answer in run.answers).most_common())
    cores = " and ".join(f"{100 * share:.0f}" for share in run.busy.cores)
    load = os.getloadavg()[0]
    print(
        f"bench: {name}, {policy}: {hows}; cores {cores} % busy, load average {load:.1f}", file=sys.stderr, flush=True
    )


def on_processes(scenario: Scenario, policy: str, round_: int) -> Run:
    """Run it in fresh processes."""
    with tempfile.TemporaryDirectory(prefix="policies-") as place:
        return uvloop.run(fleet.run(scenario, policy, Path(place), SEED + round_))
