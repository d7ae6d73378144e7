"""The same scenario in the simulator, with as many workers as there are gateways."""

import random
from dataclasses import replace
from unittest.mock import patch

from bench.policies.fleet import Answer
from bench.policies.world import GATEWAYS, TOKENS
from bench.simulate import harness
from bench.simulate.attempt import Attempt, Outcome
from bench.simulate.draws import Draws
from bench.simulate.harness import RetryTokens
from bench.simulate.metrics import Tally
from bench.simulate.policies import POLICIES
from bench.simulate.requests import Request, arrivals
from bench.simulate.scenario import Scenario
from fairlead.health.retry_budget import RetryBudget

_BUDGET = RetryBudget()


class _Answers(Tally):
    """Keeps them one by one, as locust does."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.all: list[Answer] = []

    def answered(self, request: Request, attempt: Attempt, first_s: float, outcome: Outcome) -> None:
        self.all.append(Answer(request.at, first_s, "ok"))

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
    requests = [
        replace(request, worker=request.worker % GATEWAYS, output_tokens=TOKENS, expected_output=TOKENS, stays_for=1.0)
        for request in arrivals(scenario.traffic, scenario.seconds, random.Random(f"{name}/arrivals"))
    ]
    draws = Draws(len(scenario.specs), f"{name}/draws")
    with patch.object(harness, "RetryTokens", _RetryTokens):
        gateway = harness.Gateway(scenario, requests, draws, POLICIES[policy])
    gateway.tally = answers = _Answers(scenario)
    gateway.run(random.Random(f"{name}/{policy}"))
    return answers.all
