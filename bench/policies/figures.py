"""From answers to numbers, and from numbers to an order."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from statistics import fmean, pstdev

from bench.policies.fleet import Answer
from bench.simulate.metrics import FAILED_S, quantile

WARM_UP_S = 5.0
"""Requests before that are not counted, as in the simulator."""
DISTURBED_S = 0.02
"""A third of the best median. On a quiet machine it is 2 ms."""
TELLING = 2.0
"""Standard errors by which two costs must differ, to be called different."""


Worth = Callable[[float], float]
"""What a second costs the caller, by what was paid for the reply."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One policy in one scenario, all rounds together. Quantiles are of what was answered.

    Their ranges are what chance alone would make of them in two runs of three: quantiles one standard error of the rank
    lower and higher. `cost_s` is the mean first token, times what callers who look at prices give for what they paid,
    with 15 s for a request that failed. `error_s` is its standard error.
    """

    requests: int
    p50_s: float
    p99_s: float
    failed: float
    """Share of the requests."""
    cost_s: float
    error_s: float
    p50_range_s: tuple[float, float]
    p99_range_s: tuple[float, float]
    paid_nanos: float
    """Mean of what was answered, in billionths of a dollar."""
    late_s: float = 0.0
    """By how much callers asked too late, the 99th percentile: what the machine did to them."""

    @property
    def is_disturbed(self) -> bool:
        """Whether the machine was in the way: who asks late is answered late."""
        return self.late_s > DISTURBED_S


def measure(answers: Iterable[Answer], worth: Worth = lambda paid: 1.0) -> Figures:
    """Take the numbers of a run, or of several."""
    counted = [answer for answer in answers if answer.at >= WARM_UP_S]
    well = [(answer.first_s, answer) for answer in counted if answer.how == "ok" and answer.first_s is not None]
    if not well:
        never = FAILED_S, FAILED_S
        return Figures(len(counted), *never, 1.0, FAILED_S, 0.0, never, never, 0.0)
    first_s = sorted(seconds for seconds, _ in well)
    costs = [seconds * worth(answer.paid_nanos) for seconds, answer in well]
    costs += [FAILED_S] * (len(counted) - len(well))
    return Figures(
        len(counted),
        quantile(first_s, 0.5),
        quantile(first_s, 0.99),
        1 - len(well) / len(counted),
        fmean(costs),
        pstdev(costs) / sqrt(len(costs)),
        _range(first_s, 0.5),
        _range(first_s, 0.99),
        fmean(answer.paid_nanos for _, answer in well),
        quantile([answer.late_s for answer in counted], 0.99),
    )


def _range(values: Sequence[float], q: float) -> tuple[float, float]:
    error = sqrt(q * (1 - q) / len(values))
    return quantile(values, max(0.0, q - error)), quantile(values, min(1.0, q + error))


def order(figures: Mapping[str, Figures]) -> str:
    """The policies, the cheapest first; `≈` between neighbours that cannot be told apart."""
    return _line({name: (one.cost_s, one.error_s) for name, one in figures.items()})


def overall(scenarios: Sequence[Mapping[str, Figures]], product: str) -> dict[str, tuple[float, float]]:
    """Mean over the scenarios of each policy's cost as a ratio to the product's, with its standard error."""
    found = {}
    for name in scenarios[0]:
        ratios = [figures[name].cost_s / figures[product].cost_s for figures in scenarios]
        errors = [
            ratio * sqrt(sum((one.error_s / one.cost_s) ** 2 for one in (figures[name], figures[product])))
            for ratio, figures in zip(ratios, scenarios, strict=True)
        ]
        error = 0.0 if name == product else sqrt(sum(error**2 for error in errors)) / len(errors)
        found[name] = (fmean(ratios), error)
    return found


def overall_order(scenarios: Sequence[Mapping[str, Figures]], product: str) -> str:
    """The same line for the means over the scenarios."""
    return _line(overall(scenarios, product))


def _line(costs: Mapping[str, tuple[float, float]]) -> str:
    ordered = sorted(costs, key=lambda name: costs[name][0])
    line = ordered[0]
    for one, other in pairwise(ordered):
        difference = costs[other][0] - costs[one][0]
        is_telling = difference > TELLING * sqrt(costs[one][1] ** 2 + costs[other][1] ** 2)
        line += f" {'<' if is_telling else '≈'} {other}"
    return line


def agreement(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Spearman's rank correlation of the same names' values: 1 for the same order, -1 for the opposite one."""
    count = len(one)
    if count < 2:
        return 1.0
    ranks = [{name: rank for rank, name in enumerate(sorted(one, key=values.__getitem__))} for values in (one, other)]
    apart = sum((ranks[0][name] - ranks[1][name]) ** 2 for name in one)
    return 1 - 6 * apart / (count * (count**2 - 1))
