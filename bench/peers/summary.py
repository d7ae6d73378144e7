"""From the rounds to what people read: one line for each target, whatever came of it, and why a cell is empty."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.chart import Bar, bars
from bench.figures import Numbers
from bench.report import DIRECT, Spread
from bench.rounds import Problem
from bench.simulate.table import grid

OURS = "fairlead"
NONE = "–"
_PATHS = re.compile(r"(?<![\w.:/])/(?:[\w.@+-]+/)+")
_MOST_WORDS = 200


@dataclass(frozen=True, slots=True)
class Column:
    """One figure. `is_added`: less what the direct way to the upstream took in the same round."""

    head: str
    number: str
    digits: int
    figure: str
    is_added: bool = False


COLUMNS = (
    Column("requests/s per core", "requests_per_core_s", 0, "throughput"),
    Column("CPU µs per request", "cpu_us_per_request", 1, "throughput"),
    Column("CPU µs per event, 200 streams", "cpu_us_per_event", 1, "streaming"),
    Column("the same, 20 streams", "few_cpu_us_per_event", 1, "trickling"),
    Column("added ms at 300/s, p50", "p50_ms", 2, "latency", is_added=True),
    Column("p99", "p99_ms", 2, "latency", is_added=True),
    Column("added ms at 50/s, p50", "slow_p50_ms", 2, "slowly", is_added=True),
    Column("p99", "slow_p99_ms", 2, "slowly", is_added=True),
    Column("MB idle, all processes", "all_processes_idle_mb", 0, "holding"),
    Column("KB per open stream", "kb_per_stream", 1, "holding"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a run has told. `missing`: why a target took no part at all, by its name."""

    targets: Sequence[str]
    rounds: Sequence[Mapping[str, Numbers]]
    problems: Sequence[Problem]
    missing: Mapping[str, str] = field(default_factory=dict)

    def spread(self, target: str, column: Column) -> Spread | None:
        """Median and range over the rounds; None without a single value."""
        values = []
        for numbers in self.rounds:
            value = numbers.get(target, {}).get(column.number)
            direct = numbers.get(DIRECT, {}).get(column.number) if column.is_added else 0.0
            if value is not None and direct is not None:
                values.append(value - direct)
        return Spread(median(values), min(values), max(values)) if values else None

    def why_not(self, target: str) -> str:
        """Why there is nothing at all of a target; empty if there is something."""
        if target in self.missing:
            return plain(self.missing[target])
        if any(numbers.get(target) for numbers in self.rounds):
            return ""
        return next((plain(problem.why) for problem in self.problems if problem.target == target), "not reached")


def plain(why: str) -> str:
    """One line of it, the first and the last, without anybody's folders."""
    lines = [line.strip() for line in why.splitlines() if line.strip()]
    text = "; ".join(dict.fromkeys([*lines[:1], *lines[-1:]]))
    return _PATHS.sub("", text)[:_MOST_WORDS]


def table(outcome: Outcome) -> str:
    """Medians, one line for each target, the worst ones too; how many times as many requests fairlead answers last."""
    requests = COLUMNS[0]
    ours = outcome.spread(OURS, requests)
    rows = [["", *(column.head for column in COLUMNS), f"{OURS} answers"]]
    for target in outcome.targets:
        if why := outcome.why_not(target):
            rows.append([target, f"not measured: {why}", *[""] * len(COLUMNS)])
            continue
        cells = [outcome.spread(target, column) for column in COLUMNS]
        own = cells[0]
        rows.append(
            [
                target,
                *(
                    NONE if cell is None else f"{cell.median:,.{c.digits}f}"
                    for cell, c in zip(cells, COLUMNS, strict=True)
                ),
                f"{ours.median / own.median:,.2f} ×" if ours and own else NONE,
            ]
        )
    return grid(rows)


def direct(outcome: Outcome) -> str:
    """What the way without a gateway takes, from which what is added is counted."""
    told = []
    for rate, names in (("300/s", ("p50_ms", "p99_ms")), ("50/s", ("slow_p50_ms", "slow_p99_ms"))):
        spreads = [outcome.spread(DIRECT, Column(name, name, 2, "")) for name in names]
        told += [f"{' and '.join(f'{one.median:.2f}' for one in spreads if one)} ms at {rate}"] if all(spreads) else []
    return (
        f"Without a gateway (direct) p50 and p99 are {', '.join(told)}." if told else "The direct way was not measured."
    )


def notes(outcome: Outcome) -> list[str]:
    """Why cells are empty: for each target and figure the first reason, and in how many rounds."""
    found: dict[tuple[str, str], list[Problem]] = {}
    for problem in outcome.problems:
        found.setdefault((problem.target, problem.what), []).append(problem)
    rounds = len(outcome.rounds)
    return [
        f"{target}, {what}: {plain(problems[0].why)} (in {len(problems)} of {rounds} rounds)"
        for (target, what), problems in found.items()
    ]


def chart(outcome: Outcome, subtitle: str) -> str:
    """Requests per second and core as SVG: every target, those that were not measured too."""
    rows = []
    for target in outcome.targets:
        spread = outcome.spread(target, COLUMNS[0])
        if spread is None:
            rows.append(Bar(target, None, note=outcome.why_not(target)[:60] or "not measured"))
        else:
            rows.append(Bar(target, spread.median, spread.low, spread.high, is_ours=target == OURS))
    return bars("Requests per second on one core", subtitle, rows)
