"""The same scenario in the simulator, with as many workers as there are gateways."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from unittest.mock import patch

from bench.policies.figures import Figures, measure
from bench.policies.fleet import Answer, arrivals_seed
from bench.policies.world import GATEWAYS, PROMPT_TOKENS, SCENARIOS, TOKENS, paid_nanos, worth
from bench.simulate import harness
from bench.simulate.attempt import Attempt, Outcome
from bench.simulate.draws import Draws
from bench.simulate.harness import RetryTokens
from bench.simulate.metrics import Tally
from bench.simulate.policies import POLICIES
from bench.simulate.requests import Request, arrivals
from bench.simulate.scenario import Scenario
from fairlead.health.retry_budget import RetryBudget

SEEDS = 8
_BUDGET = RetryBudget()


@dataclass(frozen=True, slots=True)
class Trial:
    """A policy in a scenario of so many seconds."""

    scenario: str
    seconds: float
    policy: str


@dataclass(frozen=True, slots=True)
class Simulated:
    """What came of it: all runs together, and one by one, each as long as a real one."""

    together: Figures
    runs: Sequence[Figures]


class _Answers(Tally):
    """Keeps them one by one, as locust does."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self._specs = scenario.specs
        self.all: list[Answer] = []

    def answered(self, request: Request, attempt: Attempt, first_s: float, outcome: Outcome) -> None:
        price = self._specs[attempt.endpoint].price
        self.all.append(Answer(request.at, first_s, "ok", round(paid_nanos(price))))

    def failed(self, request: Request) -> None:
        self.all.append(Answer(request.at, None, "failed"))


class _RetryTokens(RetryTokens):
    """The real gateway's budget, which is a little larger than that of the simulator's harness."""

    PER_REQUEST = _BUDGET.per_request
    PER_SECOND = _BUDGET.per_second / GATEWAYS
    MOST = _BUDGET.burst

    def __init__(self) -> None:
        super().__init__()
        self._tokens = self.MOST


def run(scenario: Scenario, policy: str, seed: int) -> list[Answer]:
    """Let the policy face the scenario, simulated. The same seed has the same arrivals for every policy."""
    name = f"{scenario.name}/{seed}"
    sizes = {"prompt_tokens": PROMPT_TOKENS, "output_tokens": TOKENS, "expected_output": TOKENS}
    requests = [
        replace(request, worker=request.worker % GATEWAYS, stays_for=1.0, **sizes)
        for request in arrivals(scenario.traffic, scenario.seconds, random.Random(arrivals_seed(scenario, seed)))
    ]
    draws = Draws(len(scenario.specs), f"{name}/draws")
    with patch.object(harness, "RetryTokens", _RetryTokens):
        gateway = harness.Gateway(scenario, requests, draws, POLICIES[policy])
    gateway.tally = answers = _Answers(scenario)
    gateway.run(random.Random(f"{name}/{policy}"))
    return answers.all


def rehearsed(trial: Trial) -> Simulated:
    """Run it on each seed."""
    scenario = SCENARIOS[trial.scenario](trial.seconds)
    runs = [run(scenario, trial.policy, seed) for seed in range(SEEDS)]
    factor = worth(scenario)
    return Simulated(measure(chain.from_iterable(runs), factor), [measure(one, factor) for one in runs])
