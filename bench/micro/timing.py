"""Times a callable: the least of many short runs, since whatever else a machine does only ever adds to a run.

Short, so that even on a busy machine some of them are not interrupted.
"""

import timeit
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """Something to time. `call` does it `units` times."""

    name: str
    call: Callable[[], object]
    units: int = 1


def time_us(case: Case, *, runs: int, seconds: float) -> float:
    """Microseconds per unit: the least of `runs` runs that take about `seconds` each, the collector switched off."""
    timer = timeit.Timer(case.call)
    timer.timeit(1)  # whatever is made on first use
    loops, took_s = timer.autorange()
    loops = max(1, round(loops * seconds / took_s))
    return min(timer.repeat(runs, loops)) / loops / case.units * 1e6
