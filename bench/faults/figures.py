"""From what callers saw and workers said to the numbers of one run."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.faults.fleet import BAD
from bench.faults.gatewaylog import GatewayLog, Heard, Tried
from bench.faults.scenarios import Course
from bench.faults.traffic import PATIENCE_S, Answer
from bench.window import quantile

Numbers = dict[str, float]
"""By name, those of `ROWS` in `table`; what did not happen is missing."""

LATE_S = 1.0
_SHARE_WINDOW_S = 1.0
_LEFT_ALONE = 0.02
"""A share of the traffic below which an endpoint counts as left alone, as in the simulator."""
_CUT = "cut"


@dataclass(frozen=True, slots=True)
class Run:
    """All that was seen of one run. `store` are the commands that Redis ran, `seconds` the time it ran them in."""

    course: Course
    answers: Sequence[Answer]
    log: GatewayLog
    workers: int
    store: Mapping[str, Mapping[str, float]]
    seconds: float


def measure(run: Run) -> Numbers:
    """Take the numbers of a run."""
    return _callers(run) | _ejection(run) | _attempts(run) | _store(run)


def troubles(run: Run) -> list[str]:
    """Of what did not end well: how often, what the caller got, and the story of it."""
    counted = Counter(
        f"{answer.how} ({run.log.stories.get(answer.request_id, 'not in the log')})"
        for answer in run.answers
        if answer.how != "ok"
    )
    return [f"{count} × {what}" for what, count in counted.most_common()]


def _callers(run: Run) -> Numbers:
    begun, ended = run.course.begun_at, run.course.ended_at
    hows = Counter(answer.how for answer in run.answers)
    numbers: Numbers = {
        "requests": len(run.answers),
        "failed": len(run.answers) - hows["ok"] - hows[_CUT],
        "cut": hows[_CUT],
    }
    spans = {"before": (begun - 8.0, begun), "during": (begun, ended), "after": (ended, float("inf"))}
    for name, (since, until) in spans.items():
        waits = [a.first_token_s for a in run.answers if a.first_at and since <= a.due_at < until]
        if waits:
            numbers[f"p50_{name}_ms"] = 1e3 * quantile(waits, 0.5)
            numbers[f"p99_{name}_ms"] = 1e3 * quantile(waits, 0.99)
            numbers[f"max_{name}_s"] = max(waits)
            numbers[f"late_{name}"] = sum(wait > LATE_S for wait in waits)
    return numbers


def _ejection(run: Run) -> Numbers:
    begun, ended = run.course.begun_at, run.course.ended_at
    out = _first_of_each(run.log.of(BAD, "ejected", "cooling"), begun)
    back = _first_of_each(run.log.of(BAD, "recovered"), ended)
    numbers: Numbers = {"workers_told": len(out)}
    if out:
        numbers["out_first_s"] = min(out) - begun
        numbers["out_last_s"] = max(out) - begun
    if back:
        numbers["healthy_first_s"] = min(back) - ended
        numbers["healthy_last_s"] = max(back) - ended
    probes = [line for line in run.log.of(BAD, "probing") if begun <= line.at < ended]
    by_worker = Counter(line.worker for line in probes)
    numbers["probes_granted"] = max(by_worker.values(), default=0)
    ejections = Counter(line.worker for line in run.log.of(BAD, "ejected") if begun <= line.at < ended)
    numbers["ejections"] = max(ejections.values(), default=0)
    over_at = max((answer.ended_at for answer in run.answers), default=ended)  # then all processes are told to end
    if away := sum(line.what == "store away" and line.at < over_at for line in run.log.heard):
        numbers["store_away_lines"] = away
    return numbers


def _first_of_each(lines: Sequence[Heard], since: float) -> list[float]:
    """When each worker first said so after `since`."""
    first: dict[int, float] = {}
    for line in lines:
        if line.at >= since:
            first.setdefault(line.worker, line.at)
    return list(first.values())


def _attempts(run: Run) -> Numbers:
    begun, ended = run.course.begun_at, run.course.ended_at
    log = run.log
    there = log.attempts_at(BAD)
    out = _first_of_each(log.of(BAD, "ejected", "cooling"), begun)
    # Where nobody ever said so, all of them come before.
    known_at = max(out) if out else ended
    failed = [a for a in there if begun <= a.ended_at < ended + PATIENCE_S and a.verdict not in ("ok", _CUT)]
    numbers: Numbers = {
        "to_bad_before_known": sum(begun <= attempt.at < known_at for attempt in there),
        "to_bad_after_known": sum(known_at <= attempt.at < ended for attempt in there),
        "failed_attempts": len(failed),
        "longest_attempt_s": max((attempt.duration_s for attempt in failed), default=0.0),
    }
    former = _share(log.tried, begun - 5.0, begun)
    numbers["share_before"] = 100 * former
    if (left := _first_window(log.tried, begun, ended, lambda share: share <= _LEFT_ALONE)) is not None:
        numbers["left_alone_s"] = left - begun
    until = run.answers[-1].due_at if run.answers else ended
    if (back := _first_window(log.tried, ended, until, lambda share: share >= former / 2)) is not None:
        numbers["half_share_s"] = back - ended
    return numbers


def _share(tried: Sequence[Tried], since: float, until: float) -> float:
    """The bad provider's part of the attempts; 0 of none."""
    chosen = [attempt.provider == BAD for attempt in tried if since <= attempt.at < until]
    return sum(chosen) / len(chosen) if chosen else 0.0


def _first_window(
    tried: Sequence[Tried], since: float, until: float, is_reached: Callable[[float], bool]
) -> float | None:
    """The start of the first window of a second in which the share is as wanted."""
    at = since
    while at + _SHARE_WINDOW_S <= until:
        if is_reached(_share(tried, at, at + _SHARE_WINDOW_S)):
            return at
        at += 0.05
    return None


def _store(run: Run) -> Numbers:
    counts = run.store.get("evalsha", {})
    calls = counts.get("calls", 0.0)
    if not calls or not run.seconds:
        return {}
    return {
        "store_calls_hz": calls / run.seconds / run.workers,
        "store_call_us": counts["usec"] / calls,
        "store_busy_percent": 100 * counts["usec"] / 1e6 / run.seconds,
    }
