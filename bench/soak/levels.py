"""From what was seen to a verdict: is everything where it was at the start? Pure."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.soak import keys
from bench.soak.looks import Look

RISE_BYTES = 8_000_000
"""How much a worker's memory may rise over the second half of the load: the medians of its last two quarters differ by
no more. A worker breathes by some megabytes, as large replies come and go. A leak of 1 KB in each request, of which a
worker has some 50 a second, makes 8 MB in a quarter of ten minutes."""
RISE_LOOKS = 40
"""Of fewer nothing is said: in so short a time an allocator still finds its size."""
GROWN_BYTES = 20_000_000
"""How much more than at the start a worker may hold at rest: what it remembers of keys, sessions, the last minutes and
percentiles, and what the allocator keeps for another time."""
TO_STORE = 40
"""Connections of a worker to the store: two pools of 16 that are filled as the need was, and subscriptions."""
_AT_START = {"fds": 0, "tasks": 0, "threads": min(32, (os.cpu_count() or 1) + 4)}
"""And how many more there may be: the event loop's threads for what would block are started as they are needed, and
stay."""


@dataclass(frozen=True, slots=True)
class Ended:
    """All that was seen of one soak. `start` are several looks at the level to come back to, `rest` the last one."""

    start: Sequence[Look]
    curve: Sequence[Look]
    rest: Look
    there_are: Mapping[str, int]
    """Of what there may be a Redis key for each: how many."""
    wrong: Counter[str]
    """What must not have happened, and how often it did."""


def is_at_rest(start: Sequence[Look], now: Look, there_are: Mapping[str, int]) -> bool:
    """Whether nothing is under way, and nothing is more than it was."""
    return not _above(start, now) and not keys.surplus(now.left, there_are)


def verdict(ended: Ended) -> list[str]:
    """Return what did not come back, and what went wrong; nothing if all is well."""
    if not ended.start:
        return ["it never came to rest before the load"]
    problems = _above(ended.start, ended.rest) + keys.surplus(ended.rest.left, ended.there_are)
    problems += [
        f"worker {pid}: memory rose by {rise / 1e6:.1f} MB over the second half of the load"
        for pid, rise in rises(ended.curve).items()
        if rise > RISE_BYTES
    ]
    problems += [f"{count} × {what}" for what, count in ended.wrong.most_common(20)]
    return problems


def _above(start: Sequence[Look], now: Look) -> list[str]:
    problems = []
    for pid, worker in now.workers.items():
        then = [one.workers[pid] for one in start]
        problems += [f"worker {pid}: {worker.in_flight} in flight"] if worker.in_flight else []
        problems += [f"worker {pid}: {worker.upstream} connections to providers"] if worker.upstream else []
        grown_bytes = worker.rss_bytes - max(one.rss_bytes for one in then)
        problems += [f"worker {pid}: {grown_bytes / 1e6:.1f} MB more"] if grown_bytes > GROWN_BYTES else []
        if worker.to_store > TO_STORE:
            problems.append(f"worker {pid}: {worker.to_store} connections to the store, at most {TO_STORE} expected")
        for name, more in _AT_START.items():
            most = max(one.level(name) for one in then)
            if (value := worker.level(name)) > most + more:
                problems.append(f"worker {pid}: {value} {name}, {most} at the start")
    return problems


def rises(curve: Sequence[Look]) -> dict[int, float]:
    """By how many bytes each worker's memory rose from the third quarter of the load to the last."""
    size = len(curve) // 4
    if len(curve) < RISE_LOOKS:
        return {}
    third, last = curve[-2 * size : -size], curve[-size:]
    return {
        pid: median(one.workers[pid].rss_bytes for one in last) - median(one.workers[pid].rss_bytes for one in third)
        for pid in curve[-1].workers
    }
