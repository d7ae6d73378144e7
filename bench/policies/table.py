"""The numbers as people read them, in Markdown: what was measured, and beside it what the simulator says."""

from collections.abc import Mapping, Sequence

from bench.chart import Bar, bars
from bench.policies.figures import Figures, agreement, order, overall, overall_order
from bench.policies.fleet import Run
from bench.policies.rehearsal import Simulated
from bench.policies.verdict import ByPolicy, losses, reasons, verdicts
from bench.simulate.metrics import quantile
from bench.simulate.policies import PRODUCT
from bench.simulate.table import grid

Measured = Mapping[str, ByPolicy]
"""By scenario. The product is among the policies."""


def report(measured: Measured, simulated: Mapping[str, Mapping[str, Simulated]]) -> str:
    """All tables, and what they say for and against the product."""
    told = {name: by_policy for name, by_policy in measured.items() if PRODUCT in by_policy}
    together = {name: {policy: simulated[name][policy].together for policy in told[name]} for name in told}
    parts = [_overall(told, together)] if told else []
    parts += [_scenario(name, told[name], simulated[name]) for name in told]
    lines = "\n".join(f"- {line}" for line in verdicts(told, PRODUCT))
    lost = "\n".join(f"- {line}" for line in losses(told, PRODUCT)) or "- nowhere"
    parts += [f"## {PRODUCT}, scenario by scenario", lines]
    parts += ["Where another policy is better (`?` above: chance or the machine may have done it):", lost]
    if why := "\n".join(f"- {line}" for line in reasons(told, PRODUCT)):
        parts += ["Why, as far as it is known, where it is neither chance nor the machine:", why]
    return "\n\n".join(parts)


def _scenario(name: str, measured: ByPolicy, simulated: Mapping[str, Simulated]) -> str:
    is_priced = len({figures.paid_nanos for figures in measured.values()}) > 1
    paid = ["paid µ$"] if is_priced else []
    head = [name, "p50 ms", "range", "p99 ms", "range", "success %", *paid, "cost ms", "cost ×", "±", "late ms"]
    head += ["simulated: p50 ms", "p99 ms", "success %", *paid, "cost ×", "single runs"]
    together = {policy: simulated[policy].together for policy in measured}
    rows = [
        [policy, *_own(measured[policy], is_priced=is_priced), f"{1e3 * measured[policy].cost_s:.0f}",
         _ratio(measured[policy], measured[PRODUCT]), f"{overall([measured], PRODUCT)[policy][1]:.2f}",
         f"{1e3 * measured[policy].late_s:.0f}" + (" (!)" if measured[policy].is_disturbed else ""),
         *_own(together[policy], is_priced=is_priced, has_ranges=False), _ratio(together[policy], together[PRODUCT]),
         _range(simulated[policy], simulated[PRODUCT])]
        for policy in measured
    ]  # fmt: skip
    alike = agreement(_costs(measured), _costs(together))
    orders = [f"- measured: {order(measured)}", f"- simulated: {order(together)}", f"- rank correlation {alike:.2f}"]
    return "\n".join([grid([head, *rows]), "", *orders])


def _range(own: Simulated, product: Simulated) -> str:
    """Least and greatest cost of single runs: what one real run may come to by chance."""
    ratios = [mine.cost_s / its.cost_s for mine, its in zip(own.runs, product.runs, strict=True)]
    return f"{min(ratios):.2f}–{max(ratios):.2f}"


def _own(figures: Figures, *, is_priced: bool, has_ranges: bool = True) -> list[str]:
    cells = []
    for value, (low, high) in ((figures.p50_s, figures.p50_range_s), (figures.p99_s, figures.p99_range_s)):
        cells += [f"{1e3 * value:.0f}", *([f"{1e3 * low:.0f}–{1e3 * high:.0f}"] if has_ranges else [])]
    cells.append(f"{100 * (1 - figures.failed):.2f}")
    return cells + ([f"{figures.paid_nanos / 1000:.1f}"] if is_priced else [])


def _ratio(own: Figures, product: Figures) -> str:
    return f"{own.cost_s / product.cost_s:.2f}"


def _costs(figures: ByPolicy) -> dict[str, float]:
    return {policy: one.cost_s for policy, one in figures.items()}


def _overall(measured: Measured, simulated: Measured) -> str:
    """Means of the ratios to the product, of those who took part everywhere."""
    names = [name for name in next(iter(measured.values())) if all(name in by for by in measured.values())]
    played = [{name: by_policy[name] for name in names} for by_policy in measured.values()]
    rehearsed = [{name: by_policy[name] for name in names} for by_policy in simulated.values()]
    ours, theirs = overall(played, PRODUCT), overall(rehearsed, PRODUCT)
    head = ["mean of the scenarios", "p50 ×", "p99 ×", "success %", "cost ×", "±", "simulated: cost ×"]
    rows = [
        [
            name,
            *(f"{_mean([getattr(by[name], of) / getattr(by[PRODUCT], of) for by in played]):.2f}" for of in _QUANTILES),
            f"{100 * (1 - _mean([by[name].failed for by in played])):.2f}",
            *(f"{value:.2f}" for value in (*ours[name], theirs[name][0])),
        ]
        for name in names
    ]
    alike = agreement(
        {name: cost for name, (cost, _) in ours.items()}, {name: cost for name, (cost, _) in theirs.items()}
    )
    orders = [
        f"- measured: {overall_order(played, PRODUCT)}",
        f"- simulated: {overall_order(rehearsed, PRODUCT)}",
        f"- rank correlation {alike:.2f}",
    ]
    return "\n".join([grid([head, *rows]), "", *orders])


_QUANTILES = ("p50_s", "p99_s")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def disturbed(measured: Measured) -> list[str]:
    """Whose numbers are the machine's as well."""
    return [
        f"{name}, {policy}: callers asked up to {1e3 * figures.late_s:.0f} ms late (p99)"
        for name, by_policy in measured.items()
        for policy, figures in by_policy.items()
        if figures.is_disturbed
    ]


def who_was_busy(runs: Sequence[Run]) -> str:
    """How far the machine is part of the results: means over the runs, and the worst run."""
    rows = [
        [name, *_percents([run.busy.ran[name] for run in runs]), *_percents([run.busy.waited[name] for run in runs])]
        for name in runs[0].busy.ran
    ]
    rows.append(["none of ours", *_percents([run.busy.others for run in runs]), "", ""])
    rows += [
        [f"core {place}, by anybody", *_percents([run.busy.cores[place] for run in runs]), "", ""]
        for place in range(len(runs[0].busy.cores))
    ]
    late_s = [answer.late_s for run in runs for answer in run.answers]
    late = f"{1e3 * quantile(late_s, 0.5):.1f}, {1e3 * quantile(late_s, 0.99):.1f} and {1e3 * max(late_s):.0f} ms"
    return "\n".join([
        grid([["% of a core's time", "ran", "worst run", "waited for a core", "worst run"], *rows]),
        "",
        f"- callers asked later than was due by {late} (p50, p99, most)",
    ])  # fmt: skip


def _percents(shares: Sequence[float]) -> list[str]:
    return [f"{100 * _mean(shares):.1f}", f"{100 * max(shares):.1f}"]


def chart(measured: Measured, subtitle: str) -> str:
    """All of them as SVG: the 99th percentile of the first token, and from where the median is a rule."""
    rows = []
    for name, by_policy in measured.items():
        rows.append(Bar("", None, note=name))
        rows += [
            Bar(policy, 1e3 * one.p99_s, 1e3 * one.p50_s, 1e3 * one.p99_s, _note(one), policy == PRODUCT)
            for policy, one in by_policy.items()
        ]
    return bars("First token, p99 (the rule begins at the median), ms", subtitle, rows)


def _note(figures: Figures) -> str:
    return f"({100 * figures.failed:.1f} % failed)" if figures.failed else ""
