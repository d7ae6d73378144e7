"""In which scenarios the product is better than another policy, in which it is not, and whether that may be chance."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from bench.policies.figures import TELLING, Figures

ByPolicy = Mapping[str, Figures]

_UNTRIED = (
    "an endpoint counts as one that gets slower with load until it has shown that it does not (`health/estimate.py`,"
    " `_elasticity`), so that the best of the hosted ones gets less than all at first; who believes the last ten first"
    " tokens goes there at once"
)
WHY: Mapping[str, str] = {
    "steady": _UNTRIED,
    "newcomer": _UNTRIED,
    "flapping": "after four seconds of refusals the next probe is four seconds away, so that the best is missed for"
    " most of the time in which it is well; who goes on asking it pays with failures, which the quantiles do not show",
    "burst": "by how much an engine gets slower with load is learned from it, which takes a minute; who counts only"
    " what is in flight spreads the first burst as well as the last",
    "price mix": "callers here give time for money: who does not look at prices buys speed (see what was paid)",
}
"""Why others can be better there, as far as it is known: found by changing one constant at a time in the simulator."""


@dataclass(frozen=True, slots=True)
class Number:
    """One of the numbers that are compared; less is better."""

    name: str
    unit: str
    value: float
    error: float
    """Standard error."""


def numbers(figures: Figures) -> list[Number]:
    """What is compared."""
    share = figures.failed
    return [
        Number("p50", "ms", 1e3 * figures.p50_s, 1e3 * _error(figures.p50_range_s)),
        Number("p99", "ms", 1e3 * figures.p99_s, 1e3 * _error(figures.p99_range_s)),
        Number("failures", "%", 100 * share, 100 * sqrt(share * (1 - share) / max(1, figures.requests))),
        Number("cost", "ms", 1e3 * figures.cost_s, 1e3 * figures.error_s),
    ]


def _error(range_s: tuple[float, float]) -> float:
    return (range_s[1] - range_s[0]) / 2


@dataclass(frozen=True, slots=True)
class Duel:
    """A number of the product's beside another policy's, in a scenario."""

    scenario: str
    policy: str
    ours: Number
    theirs: Number
    is_disturbed: bool = False
    """The machine was in the way of one of them."""

    @property
    def is_telling(self) -> bool:
        """Whether the difference is more than chance would make of it, and not the machine's doing."""
        error = sqrt(self.ours.error**2 + self.theirs.error**2)
        return not self.is_disturbed and abs(self.ours.value - self.theirs.value) > TELLING * error

    @property
    def is_lost(self) -> bool:
        """Whether the product is worse, be it by chance."""
        return self.ours.value > self.theirs.value

    def text(self) -> str:
        """For a list."""
        doubt = ", the machine was in the way" if self.is_disturbed else "" if self.is_telling else ", within chance"
        ours, theirs, unit = self.ours.value, self.theirs.value, self.ours.unit
        digits = 2 if unit == "%" else 0
        return f"{self.ours.name} {theirs:.{digits}f} beside our {ours:.{digits}f} {unit}{doubt}"


def duels(measured: Mapping[str, ByPolicy], product: str) -> Iterator[Duel]:
    """Everything that can be compared."""
    for scenario, by_policy in measured.items():
        for policy, figures in by_policy.items():
            if policy != product and product in by_policy:
                own = by_policy[product]
                is_disturbed = own.is_disturbed or figures.is_disturbed
                for ours, theirs in zip(numbers(own), numbers(figures), strict=True):
                    yield Duel(scenario, policy, ours, theirs, is_disturbed)


def verdicts(measured: Mapping[str, ByPolicy], product: str) -> list[str]:
    """A line for each other policy: how often the product is better, and where it is worse."""
    by_policy: dict[str, dict[str, list[Duel]]] = {}
    for duel in duels(measured, product):
        by_policy.setdefault(duel.policy, {}).setdefault(duel.ours.name, []).append(duel)
    return [
        f"beside {policy}: {'; '.join(_verdict(name, played) for name, played in by_name.items())}"
        for policy, by_name in by_policy.items()
    ]


def _verdict(name: str, played: Sequence[Duel]) -> str:
    lost = [duel for duel in played if duel.is_lost]
    word = "no more" if name == "failures" else "better"
    worse = ", ".join(duel.scenario + ("" if duel.is_telling else "?") for duel in lost)
    return f"{name} {word} in {len(played) - len(lost)} of {len(played)}" + (f" (worse in {worse})" if lost else "")


def losses(measured: Mapping[str, ByPolicy], product: str) -> list[str]:
    """A line for each scenario and policy that is better than the product in anything."""
    rows: dict[tuple[str, str], list[str]] = {}
    for duel in duels(measured, product):
        if duel.is_lost:
            rows.setdefault((duel.scenario, duel.policy), []).append(duel.text())
    return [f"{scenario}, {policy}: {'; '.join(texts)}" for (scenario, policy), texts in rows.items()]


def reasons(measured: Mapping[str, ByPolicy], product: str) -> list[str]:
    """Why something is lost, for each scenario in which that is more than chance."""
    lost = dict.fromkeys(duel.scenario for duel in duels(measured, product) if duel.is_lost and duel.is_telling)
    return [f"{scenario}: {WHY.get(scenario, 'not known yet')}" for scenario in lost]
