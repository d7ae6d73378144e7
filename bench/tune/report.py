"""Tables and plots of what was found; nothing is left out of them."""

from collections.abc import Mapping, Sequence

from bench.chart import Bar, Line, bars, lines
from bench.simulate.table import grid
from bench.tune.contest import OTHERS, Score, Scores, mean
from bench.tune.search import Finding
from bench.tune.setting import AS_IT_IS

TITLES: Mapping[str, str] = {
    "half_life_s": "half-life of the longest window, s",
    "in_flight": "exponent of what is in flight",
    "explore": "share of requests that explore",
    "gamma": "exponent of the price",
}


def sweep(name: str, found: Sequence[Finding]) -> str:
    """One constant by itself, in per cent of what the product has; the price, too, where there is one."""
    head = [TITLES[name], "cost %", "±", "p50 %", "p99 %", "price %", "lost %"]
    rows = [
        [f"{value:g}{' (as it is)' if value == getattr(AS_IT_IS, name) else ''}", *_cells(finding)]
        for finding in found
        for value in [getattr(finding.setting, name)]
    ]
    return grid([head, *rows])


def together(found: Sequence[Finding]) -> str:
    """Settings, the cheapest first."""
    head = [" / ".join(TITLES.values()), "cost %", "±", "p50 %", "p99 %", "price %", "lost %"]
    rows = [
        [finding.setting.text() + (" (as it is)" if finding.setting == AS_IT_IS else ""), *_cells(finding)]
        for finding in found
    ]
    return grid([head, *rows])


def _cells(finding: Finding) -> list[str]:
    ratios = (finding.p50, finding.p99, finding.price)
    return [
        f"{100 * (finding.cost - 1):+.2f}",
        f"{100 * finding.error:.2f}",
        *(f"{100 * (ratio - 1):+.1f}" for ratio in ratios),
        f"{finding.lost:+.2f}",
    ]


def plot(name: str, found: Sequence[Finding]) -> str:
    """One constant as SVG."""
    labels = {"cost": "cost", "p50": "p50", "p99": "p99"} | ({"price": "price paid"} if name == "gamma" else {})
    rows = [
        Line(label, [(getattr(one.setting, name), 100 * (getattr(one, of) - 1)) for one in found])
        for of, label in labels.items()
    ]
    subtitle = "per cent more or less than as it is (dashed), mean of the simulated scenarios"
    return lines(TITLES[name].capitalize(), subtitle, TITLES[name], rows, getattr(AS_IT_IS, name))


def contest(scores: Scores) -> str:
    """A table for each scenario, and one of their means."""
    tables = [_table(name, by_name) for name, by_name in scores.items() if by_name]
    return "\n\n".join([_table("mean of the scenarios", means(scores)), *tables])


def means(scores: Scores) -> dict[str, Score]:
    """Of those who took part in every scenario that anybody took part in."""
    played = [by_name for by_name in scores.values() if by_name]
    names = [name for name in (played[0] if played else {}) if all(name in by_name for by_name in played)]
    return {name: mean([by_name[name] for by_name in played]) for name in names}


def _table(title: str, by_name: Mapping[str, Score]) -> str:
    rows = [
        [
            name,
            f"{1e3 * score.p50_s:.0f}",
            f"{1e3 * score.p99_s:.0f}",
            f"{100 * score.success:.2f}",
            f"{1e3 * score.cost_s:.0f}",
        ]
        for name, score in by_name.items()
    ]
    return grid([[title, "p50 ms", "p99 ms", "success %", "cost ms"], *rows])


def verdicts(scores: Scores, ours: str) -> list[str]:
    """In how many of the scenarios that both have played ours is better than each of the others, and where not."""
    told = []
    for other in OTHERS:
        both = [name for name, by_name in scores.items() if ours in by_name and other in by_name]
        words = [
            _verdict(label, [name for name in both if not _is_better(scores[name], ours, other, of)], len(both))
            for label, of in (("p50", "p50_s"), ("p99", "p99_s"), ("success", "success"), ("cost", "cost_s"))
        ]
        told.append(f"{ours} beside {other}: {'; '.join(words)}")
    return told


def _is_better(by_name: Mapping[str, Score], ours: str, other: str, of: str) -> bool:
    """Whether it is, or they are equal in success."""
    mine, its = getattr(by_name[ours], of), getattr(by_name[other], of)
    return bool(mine >= its) if of == "success" else bool(mine < its)


def _verdict(label: str, but: Sequence[str], count: int) -> str:
    word = "as good or better" if label == "success" else "better"
    return f"{label} {word} in {count - len(but)} of {count}" + (f" (not in {', '.join(but)})" if but else "")


def chart(scores: Scores, ours: str, subtitle: str) -> str:
    """The 99th percentiles of the first token as SVG, means of the scenarios."""
    rows = [
        Bar(name.removesuffix(" (as it is)"), 1e3 * one.p99_s, 1e3 * one.p50_s, 1e3 * one.p99_s, is_ours=name == ours)
        for name, one in means(scores).items()
    ]
    return bars("First token, p99 (the rule begins at the median), ms", subtitle, rows)


def text(
    alone: Mapping[str, Sequence[Finding]], combined: Sequence[Finding], scores: Mapping[str, Scores], ours: str
) -> str:
    """All of it."""
    found = [
        "# Tuning",
        "",
        "Per cent beside the product as it is, simulated; ± is one standard error of the cost.",
        "",
    ]
    for name, findings in alone.items():
        found += [f"## {TITLES[name].capitalize()}", "", sweep(name, findings), ""]
    found += ["## The best of each together", "", together(combined), ""]
    for place, by_scenario in scores.items():
        found += [f"## Beside other policies: {place}", "", contest(by_scenario), ""]
        found += [*(f"- {line}" for line in verdicts(by_scenario, ours)), ""]
    return "\n".join(found)
