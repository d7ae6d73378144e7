"""The sweep: each constant by itself, then the best values of each together. All on tuning seeds."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product as combinations
from math import sqrt
from statistics import fmean, stdev

from bench.simulate.draws import Draws
from bench.simulate.experiment import side_by_side
from bench.simulate.harness import Gateway, MakePolicy
from bench.simulate.metrics import Figures
from bench.simulate.policies import POLICIES
from bench.simulate.policy import View
from bench.simulate.product import Product
from bench.simulate.requests import arrivals
from bench.tune.setting import AS_IT_IS, Setting, applied
from bench.tune.world import SCENARIOS

VALUES: Mapping[str, Sequence[float]] = {
    "half_life_s": (30.0, 60.0, 120.0, 240.0, 480.0),
    "in_flight": (0.0, 0.5, 1.0, 2.0, 4.0),
    "explore": (0.0, 0.0025, 0.005, 0.01, 0.02),
    "gamma": (0.0, 0.25, 0.5, 1.0, 2.0),
}
"""What is tried of each constant; what the product has is tried in any case."""
PRICED = "price mix"
"""The only scenario in which the exponent of the price plays a part."""


class _Priced(Product):
    """The product, for callers who say that a price is worth so much to them, whatever it really is."""

    def __init__(self, gamma: float) -> None:
        self._gamma = gamma

    def start(self, view: View, workers: int, rng: random.Random) -> None:
        super().start(replace(view, gamma=self._gamma) if view.gamma else view, workers, rng)


@dataclass(frozen=True, slots=True)
class Trial:
    """One drawn scenario, for the product with a setting, or for a policy of the simulator."""

    scenario: str
    seed: int
    seconds: float
    setting: Setting = AS_IT_IS
    policy: str = ""


def run(trial: Trial) -> Figures:
    """Run it; afterwards everything is as before. The same trial has the same result."""
    name = f"tune/{trial.scenario}/{trial.seed}"
    scenario = SCENARIOS[trial.scenario](random.Random(f"{name}/scenario"), trial.seconds)
    requests = arrivals(scenario.traffic, scenario.seconds, random.Random(f"{name}/arrivals"))
    draws = Draws(len(scenario.specs), f"{name}/draws")
    make: MakePolicy = POLICIES[trial.policy] if trial.policy else lambda world: _Priced(trial.setting.gamma)
    with applied(trial.setting):
        gateway = Gateway(scenario, requests, draws, make)
        gateway.run(random.Random(f"{name}/policy"))
    return gateway.tally.figures(gateway.policy.store_calls)


@dataclass(frozen=True, slots=True)
class Finding:
    """A setting beside the product as it is, on the same drawn scenarios: ratios, the mean over all of them.

    `error` is the standard error of `cost`; `lost` requests in a hundred that fail more.
    """

    setting: Setting
    cost: float
    error: float
    p50: float
    p99: float
    price: float
    lost: float


def beside(setting: Setting, own: Sequence[Figures], base: Sequence[Figures]) -> Finding:
    """Compare runs pair by pair."""
    pairs = list(zip(own, base, strict=True))
    costs = [mine.cost_s / its.cost_s for mine, its in pairs]
    return Finding(
        setting,
        fmean(costs),
        stdev(costs) / sqrt(len(costs)) if len(costs) > 1 else 0.0,
        fmean(mine.p50_s / its.p50_s for mine, its in pairs),
        fmean(mine.p99_s / its.p99_s for mine, its in pairs),
        fmean(mine.price / its.price for mine, its in pairs),
        100 * fmean(its.success - mine.success for mine, its in pairs),
    )


@dataclass(frozen=True, slots=True)
class Sweep:
    """How much of it: which seeds, how long, on how many cores."""

    seeds: Sequence[int]
    seconds: float
    processes: int
    values: Mapping[str, Sequence[float]]
    scenarios: Sequence[str]

    def findings(self, settings: Sequence[Setting], scenarios: Sequence[str]) -> list[Finding]:
        """Try settings on scenarios, each beside the product as it is."""
        drawn = [(scenario, seed) for scenario in scenarios for seed in self.seeds]
        every = list(dict.fromkeys([AS_IT_IS, *settings]))
        trials = [Trial(name, seed, self.seconds, setting) for setting in every for name, seed in drawn]
        figures = list(side_by_side(run, trials, self.processes))
        runs = [figures[at : at + len(drawn)] for at in range(0, len(figures), len(drawn))]
        by_setting = dict(zip(every, runs, strict=True))
        return [beside(setting, by_setting[setting], by_setting[AS_IT_IS]) for setting in settings]

    def one_by_one(self) -> dict[str, list[Finding]]:
        """Each constant by itself, by its values; the others as they are."""
        found = {}
        for name, values in self.values.items():
            is_ = getattr(AS_IT_IS, name)
            settings = [replace(AS_IT_IS, **{name: value}) for value in sorted({*values, is_})]
            found[name] = self.findings(settings, [PRICED] if name == "gamma" else self.scenarios)
        return found

    def together(self, alone: Mapping[str, Sequence[Finding]]) -> list[Finding]:
        """The best two values of each constant with those of the others, and the product as it is; the best first."""
        best = []
        for name in (field.name for field in fields(Setting)):
            ranked = sorted(alone[name], key=lambda finding: finding.cost)
            keep = 1 if name == "gamma" else 2
            best.append([getattr(finding.setting, name) for finding in ranked[:keep]])
        settings = dict.fromkeys([AS_IT_IS, *(Setting(*values) for values in combinations(*best))])
        return sorted(self.findings(list(settings), self.scenarios), key=lambda finding: finding.cost)
