"""From the numbers of the rounds to a table: medians with their range, and ratios taken inside each round."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.figures import Numbers

Rounds = Sequence[Mapping[str, Numbers]]
"""Of each round, per target, its numbers."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table for each target.

    `is_added` shows the number less what the direct way to the upstream took. Rows that are not `is_compared` tell
    about the run, or are mostly the upstream's and the load's own.
    """

    number: str
    label: str
    digits: int
    is_added: bool = False
    is_compared: bool = True


ROWS = (
    Row("cpu_us_per_request", "CPU µs per request", 1),
    Row("requests_per_core_s", "requests/s per core", 0),
    Row("requests_per_s", "requests/s measured", 0, is_compared=False),
    Row("busy_percent", "target's core busy, %", 0, is_compared=False),
    Row("cpu_us_per_event", "CPU µs per SSE event", 1),
    Row("few_cpu_us_per_event", "CPU µs per SSE event, 20 streams", 1),
    Row("events_per_s", "SSE events/s delivered", 0, is_compared=False),
    Row("first_event_p50_ms", "first event p50, ms", 2, is_compared=False),
    Row("gap_p99_ms", "gap between events p99, ms", 2, is_compared=False),
    Row("p50_ms", "latency p50, ms", 3, is_compared=False),
    Row("p99_ms", "latency p99, ms", 3, is_compared=False),
    Row("p50_ms", "added latency p50, ms", 3, is_added=True),
    Row("p99_ms", "added latency p99, ms", 3, is_added=True),
    Row("slow_p50_ms", "latency at 50/s p50, ms", 3, is_compared=False),
    Row("slow_p99_ms", "latency at 50/s p99, ms", 3, is_compared=False),
    Row("slow_p50_ms", "added latency at 50/s p50, ms", 3, is_added=True),
    Row("slow_p99_ms", "added latency at 50/s p99, ms", 3, is_added=True),
    Row("kb_per_stream", "KB per open stream", 1),
    Row("worker_idle_mb", "worker idle, MB resident", 1),
    Row("all_processes_idle_mb", "all processes idle, MB", 1),
)
DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Spread:
    """A median over rounds with its range."""

    median: float
    low: float
    high: float

    def text(self, digits: int) -> str:
        """`14.7 (14.2–15.1)`."""
        return f"{self.median:,.{digits}f} ({self.low:,.{digits}f}–{self.high:,.{digits}f})"


def _spread(values: Sequence[float]) -> Spread | None:
    return Spread(median(values), min(values), max(values)) if values else None


def _values(rounds: Rounds, target: str, row: Row) -> list[float | None]:
    """The row's number of each round, None where the round has none."""
    found: list[float | None] = []
    for numbers in rounds:
        value = numbers.get(target, {}).get(row.number)
        if value is not None and row.is_added:
            direct = numbers.get(DIRECT, {}).get(row.number)
            value = None if direct is None else value - direct
        found.append(value)
    return found


def summarize(
    rounds: Rounds, targets: Sequence[str], reference: str, rows: Sequence[Row] = ROWS
) -> list[tuple[Row, str, Spread, Spread | None]]:
    """A line per row and target: the row, the target, its spread, and the spread of its ratio to `reference`."""
    lines = []
    for row in rows:
        base = _values(rounds, reference, row)
        for target in targets:
            values = _values(rounds, target, row)
            spread = _spread([value for value in values if value is not None])
            if spread is None or (row.is_added and target == DIRECT):
                continue
            pairs = zip(values, base, strict=True)
            ratio = _spread([value / other for value, other in pairs if value is not None and other and other > 0])
            lines.append((row, target, spread, ratio if row.is_compared and target != reference else None))
    return lines


def table(rounds: Rounds, targets: Sequence[str], reference: str, rows: Sequence[Row] = ROWS) -> str:
    """The table as Markdown that reads well unrendered."""
    cells = [["figure", "target", "median (min–max)", f"÷ {reference} (min–max)"]]
    before = ""
    for row, target, spread, ratio in summarize(rounds, targets, reference, rows):
        label = row.label if row.label != before else ""
        before = row.label
        cells.append([label, target, spread.text(row.digits), ratio.text(2) if ratio else ""])
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def rows(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """A table. Numbers have three digits that count."""
    text = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    text += ["| " + " | ".join(_cell(value) for value in line) + " |" for line in lines]
    return "\n".join(text)


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return f"{value:,}".replace(",", " ") if isinstance(value, int) else str(value)
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}".replace(",", " ")


def write(folder: Path, text: str, raw: Mapping[str, object], name: str = "latest") -> None:
    """Keep a run: the text as `NAME.md`, every number of every round as `NAME.json`."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.md").write_text(text + "\n")
    (folder / f"{name}.json").write_text(json.dumps(raw, indent=1) + "\n")
