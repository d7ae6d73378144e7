"""Numbers as people read them: a row for each, a column for each scenario, medians over the rounds."""

from collections.abc import Mapping, Sequence
from statistics import median

from bench.faults.figures import Numbers

ROWS = (
    ("requests", "requests", 0),
    ("failed", "failed", 0),
    ("cut", "streams cut off under way", 0),
    ("workers_told", "workers that learned of it", 0),
    ("out_first_s", "ejected or cooling: first worker, s", 2),
    ("out_last_s", "… slowest worker, s", 2),
    ("left_alone_s", "less than 2 % of the traffic after, s", 2),
    ("to_bad_before_known", "attempts there from the fault to that", 0),
    ("to_bad_after_known", "… from then to the end of the fault", 0),
    ("failed_attempts", "attempts there that failed", 0),
    ("longest_attempt_s", "longest of them, s", 2),
    ("ejections", "ejections, failed probes included", 0),
    ("probes_granted", "probes granted during the fault", 0),
    ("healthy_first_s", "recovered after the fault: first worker, s", 2),
    ("healthy_last_s", "… slowest worker, s", 2),
    ("share_before", "its share before, %", 0),
    ("half_share_s", "half of that again after, s", 2),
    ("p50_before_ms", "first token p50 before, ms", 0),
    ("p50_during_ms", "… during", 0),
    ("p50_after_ms", "… after", 0),
    ("p99_before_ms", "first token p99 before, ms", 0),
    ("p99_during_ms", "… during", 0),
    ("p99_after_ms", "… after", 0),
    ("max_before_s", "longest wait before, s", 2),
    ("max_during_s", "… during", 2),
    ("max_after_s", "… after", 2),
    ("late_during", "waits above 1 s during", 0),
    ("store_away_lines", "`store away` lines", 0),
    ("store_calls_hz", "Redis calls per second and worker", 1),
    ("store_call_us", "µs of Redis per call", 0),
    ("store_busy_percent", "Redis busy, %", 1),
)


def table(rounds: Mapping[str, Sequence[Numbers]]) -> str:
    """Return the table, in Markdown; `rounds` by scenario. A dash: it did not happen."""
    lines = [f"| | {' | '.join(rounds)} |", f"|---|{'---:|' * len(rounds)}"]
    for name, label, digits in ROWS:
        cells = [_cell([numbers.get(name) for numbers in runs], digits) for runs in rounds.values()]
        if any(cell != "–" for cell in cells):
            lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: Sequence[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    text = f"{median(known):,.{digits}f}"
    if len(known) > 1 and min(known) != max(known):
        text += f" ({min(known):,.{digits}f}–{max(known):,.{digits}f})"
    return text if len(known) == len(values) else f"{text} in {len(known)} of {len(values)}"
