"""Runs: every policy on the same drawn scenario, many drawn scenarios side by side on all cores."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TypeVar

from bench.simulate.draws import Draws
from bench.simulate.harness import Gateway
from bench.simulate.metrics import Figures
from bench.simulate.policies import POLICIES
from bench.simulate.requests import arrivals
from bench.simulate.scenarios import OF_FOUR, SCENARIOS

T = TypeVar("T")
R = TypeVar("R")

JUDGING_SEEDS = range(1000, 2000)
"""Seeds of the table. No constant of the product may be chosen by what it does on them."""
TUNING_SEEDS = range(1000)
"""Seeds of the sweep."""


@dataclass(frozen=True, slots=True)
class Task:
    """One drawn scenario for some policies."""

    scenario: str
    seed: int
    policies: Sequence[str]
    seconds: float


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a task, by policy."""

    task: Task
    figures: Mapping[str, Figures]


def run(task: Task) -> Result:
    """Run a task. The same task has the same result, on every machine."""
    name = f"{task.scenario}/{task.seed}"
    draw = SCENARIOS.get(task.scenario) or OF_FOUR[task.scenario]
    scenario = draw(random.Random(f"{name}/scenario"), task.seconds)
    requests = arrivals(scenario.traffic, scenario.seconds, random.Random(f"{name}/arrivals"))
    draws = Draws(len(scenario.specs), f"{name}/draws")
    figures = {}
    for policy in task.policies:
        gateway = Gateway(scenario, requests, draws, POLICIES[policy])
        gateway.run(random.Random(f"{name}/{policy}"))
        figures[policy] = gateway.tally.figures(gateway.policy.store_calls)
    return Result(task, figures)


def side_by_side(function: Callable[[T], R], values: Sequence[T], processes: int) -> Iterator[R]:
    """Call a function with each value, in as many processes; yield the results in the order of the values."""
    if processes == 1:
        yield from map(function, values)
        return
    with get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(function, values)
