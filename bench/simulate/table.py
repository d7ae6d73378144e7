"""From the results of many runs to tables: everything as a ratio to the oracle on the same drawn scenario."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from bench.simulate.experiment import Result
from bench.simulate.metrics import Figures
from bench.simulate.policies import ORACLE

Ratio = Callable[[Figures, Figures], float]
"""A number of a policy beside the oracle's."""


def p50(own: Figures, best: Figures) -> float:
    """Median first token, times the oracle's."""
    return own.p50_s / best.p50_s


def p99(own: Figures, best: Figures) -> float:
    """99th percentile of first tokens, times the oracle's."""
    return own.p99_s / best.p99_s


def cost(own: Figures, best: Figures) -> float:
    """Mean cost, times the oracle's."""
    return own.cost_s / best.cost_s


def price(own: Figures, best: Figures) -> float:
    """Mean price paid, times the oracle's."""
    return own.price / best.price


def regret_ms(own: Figures, best: Figures) -> float:
    """Mean cost beyond the oracle's, in milliseconds per request."""
    return 1000 * (own.cost_s - best.cost_s)


def lost_points(own: Figures, best: Figures) -> float:
    """Requests in a hundred that failed and would not have with the oracle."""
    return 100 * (best.success - own.success)


def store_calls(own: Figures, best: Figures) -> float:
    """Calls to the store per second, of the whole fleet."""
    return own.store_calls_hz


class Comparison:
    """Results of many scenarios and seeds. All policies took part in all of them."""

    def __init__(self, results: Sequence[Result]) -> None:
        self.policies = list(results[0].figures)
        self.scenarios = list(dict.fromkeys(result.task.scenario for result in results))
        self._results = results

    def of(self, policy: str, scenario: str, ratio: Ratio) -> float:
        """Mean over the seeds of one scenario."""
        return fmean(
            ratio(result.figures[policy], result.figures[ORACLE])
            for result in self._results
            if result.task.scenario == scenario
        )

    def mean(self, policy: str, ratio: Ratio) -> float:
        """Mean over the scenarios."""
        return fmean(self.of(policy, scenario, ratio) for scenario in self.scenarios)

    def all_of(self, policy: str, values: Callable[[Figures], Sequence[float]]) -> list[float]:
        """Values of all runs of a policy."""
        return [value for result in self._results for value in values(result.figures[policy])]

    def overview(self) -> str:
        """One line per policy: means over all scenarios."""
        head = [
            "mean of the scenarios", "p50", "p99", "cost", "regret ms", "price", "lost %",
            "eject s", "worst", "recover s", "waste %", "store/s",
        ]  # fmt: skip
        return grid([head, *(self._line(policy) for policy in self.policies)])

    def _line(self, policy: str) -> list[str]:
        ejections = self.all_of(policy, lambda figures: figures.eject_s)
        recoveries = self.all_of(policy, lambda figures: figures.recover_s)
        waste = self.all_of(policy, lambda figures: [] if figures.waste is None else [figures.waste])
        return [
            policy,
            *(f"{self.mean(policy, ratio):.2f}" for ratio in (p50, p99, cost)),
            f"{self.mean(policy, regret_ms):.0f}",
            f"{self.mean(policy, price):.2f}",
            f"{self.mean(policy, lost_points):.2f}",
            f"{fmean(ejections):.1f}" if ejections else "",
            f"{max(ejections):.1f}" if ejections else "",
            f"{fmean(recoveries):.1f}" if recoveries else "",
            f"{100 * fmean(waste):.2f}" if waste else "",
            f"{self.mean(policy, store_calls):.0f}",
        ]

    def by_scenario(self, title: str, ratio: Ratio) -> str:
        """One line per scenario, one column per policy."""
        policies = [policy for policy in self.policies if policy != ORACLE]
        lines = [
            [scenario, *(f"{self.of(policy, scenario, ratio):.2f}" for policy in policies)]
            for scenario in self.scenarios
        ]
        mean = ["mean", *(f"{self.mean(policy, ratio):.2f}" for policy in policies)]
        return grid([[title, *policies], *lines, mean])


TABLES: Mapping[str, Ratio] = {"cost": cost, "p99 first token": p99, "lost %": lost_points}
"""What is shown by scenario."""


def report(results: Sequence[Result]) -> str:
    """All tables, as Markdown that reads well unrendered."""
    comparison = Comparison(results)
    tables = [comparison.by_scenario(title, ratio) for title, ratio in TABLES.items()]
    return "\n\n".join([comparison.overview(), *tables])


def grid(rows: Sequence[Sequence[str]]) -> str:
    """Align cells: the first column to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) + " |" for row in rows]
    lines.insert(
        1, "|" + "|".join("-" * (width + 1) + ("-" if not place else ":") for place, width in enumerate(widths)) + "|"
    )
    return "\n".join(lines)
