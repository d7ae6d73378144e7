"""The numbers as people read them, in Markdown: what was measured, and beside it what the simulator says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.policies.figures import Figures, agreement, order, overall, overall_order
from bench.simulate.policies import PRODUCT
from bench.simulate.table import grid

ByPolicy = Mapping[str, Figures]


@dataclass(frozen=True, slots=True)
class Simulated:
    """The same in the simulator: all runs together, and one by one, each as long as a real one."""

    together: Figures
    runs: Sequence[Figures]


def report(measured: Mapping[str, ByPolicy], simulated: Mapping[str, Mapping[str, Simulated]]) -> str:
    """All tables. Both are by scenario and policy, the product among them."""
    parts = [_scenario(name, measured[name], simulated[name]) for name in measured]
    together = {name: _together(by_policy) for name, by_policy in simulated.items()}
    return "\n\n".join([*parts, _overall(measured, together)])


def _scenario(name: str, measured: ByPolicy, simulated: Mapping[str, Simulated]) -> str:
    head = [name, "p50 ms", "p99 ms", "failed %", "p50 ×", "p99 ×", "cost ×", "±"]
    head += ["simulated: p50 ms", "p99 ms", "failed %", "p50 ×", "p99 ×", "cost ×", "single runs"]
    together = _together(simulated)
    rows = [
        [policy, *_own(measured[policy]), *_ratios(measured[policy], measured[PRODUCT]), _error(policy, measured),
         *_own(together[policy]), *_ratios(together[policy], together[PRODUCT]),
         _range(simulated[policy], simulated[PRODUCT])]
        for policy in measured
    ]  # fmt: skip
    alike = agreement(_costs(measured), _costs(together))
    orders = [f"- measured: {order(measured)}", f"- simulated: {order(together)}", f"- rank correlation {alike:.2f}"]
    return "\n".join([grid([head, *rows]), "", *orders])


def _together(simulated: Mapping[str, Simulated]) -> dict[str, Figures]:
    return {policy: one.together for policy, one in simulated.items()}


def _range(own: Simulated, product: Simulated) -> str:
    """Least and greatest cost of single runs: what one real run may come to by chance."""
    ratios = [mine.cost_s / its.cost_s for mine, its in zip(own.runs, product.runs, strict=True)]
    return f"{min(ratios):.2f}–{max(ratios):.2f}"


def _own(figures: Figures) -> list[str]:
    return [f"{1e3 * figures.p50_s:.0f}", f"{1e3 * figures.p99_s:.0f}", f"{100 * figures.failed:.2f}"]


def _ratios(own: Figures, product: Figures) -> list[str]:
    pairs = (own.p50_s, product.p50_s), (own.p99_s, product.p99_s), (own.cost_s, product.cost_s)
    return [f"{mine / its:.2f}" for mine, its in pairs]


def _error(policy: str, figures: ByPolicy) -> str:
    return f"{overall([figures], PRODUCT)[policy][1]:.2f}"


def _costs(figures: ByPolicy) -> dict[str, float]:
    return {policy: one.cost_s for policy, one in figures.items()}


def _overall(measured: Mapping[str, ByPolicy], simulated: Mapping[str, ByPolicy]) -> str:
    ours, theirs = overall(list(measured.values()), PRODUCT), overall(list(simulated.values()), PRODUCT)
    rows = [
        [policy, f"{ours[policy][0]:.2f}", f"{ours[policy][1]:.2f}", f"{theirs[policy][0]:.2f}"]
        for policy in sorted(ours, key=lambda policy: ours[policy])
    ]
    alike = agreement(
        {name: cost for name, (cost, _) in ours.items()}, {name: cost for name, (cost, _) in theirs.items()}
    )
    orders = [
        f"- measured: {overall_order(list(measured.values()), PRODUCT)}",
        f"- simulated: {overall_order(list(simulated.values()), PRODUCT)}",
        f"- rank correlation {alike:.2f}",
    ]
    return "\n".join([grid([["mean of the scenarios", "cost ×", "±", "simulated ×"], *rows]), "", *orders])
