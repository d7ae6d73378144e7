"""Windows of time: what was counted in one, what CPU time a target spent on it, and what makes one worthless."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench import procfs
from bench.load import Load

_OPEN_S = 10.0
_QUIET_S = 0.2
_QUIET_BUSY = 0.15
"""Of a core. A gateway at rest takes one or two per cent, the upstream's clock six."""
_LOOK_S = 0.01


class BadRun(Exception):
    """The target did not do what was asked, so its figures would be worthless."""


@dataclass(frozen=True, slots=True)
class Window:
    """What passed between two readings."""

    seconds: float
    count: int
    cpu_s: float

    @property
    def busy(self) -> float:
        """Share of one core that the target used."""
        return self.cpu_s / self.seconds


class Reading:
    """What `pids` have spent and `counter` has counted, from now on."""

    def __init__(self, pids: list[int], counter: Callable[[], int]) -> None:
        self._counter = counter
        self._cpu_ns, self._count, self._at = procfs.cpu_ns(pids), counter(), time.perf_counter()

    def window(self) -> Window:
        """Since then."""
        cpu_ns, count, at = procfs.cpu_ns(list(self._cpu_ns)), self._counter(), time.perf_counter()
        spent_ns = sum(cpu_ns.get(pid, before) - before for pid, before in self._cpu_ns.items())
        return Window(at - self._at, count - self._count, spent_ns / 1e9)


async def window(pids: list[int], seconds: float, counter: Callable[[], int]) -> Window:
    """Let so much time pass."""
    reading = Reading(pids, counter)
    await asyncio.sleep(seconds)
    return reading.window()


def check(load: Load, counted: int) -> None:
    """Raise BadRun after any error, or when nothing was counted."""
    if load.errors or not counted:
        raise BadRun(f"{load.errors} errors and {counted} counted; the first error: {load.first_error}")


async def until(is_reached: Callable[[], bool], what: str, load: Load, limit_s: float = _OPEN_S) -> None:
    """Wait for it. Raises BadRun after an error of the load, or when it takes too long."""
    deadline = time.perf_counter() + limit_s
    while not is_reached():
        if load.errors or time.perf_counter() > deadline:
            raise BadRun(f"waited in vain for {what}: {load.errors} errors; the first: {load.first_error}")
        await asyncio.sleep(_LOOK_S)


async def until_quiet(pids: list[int], limit_s: float = _OPEN_S) -> None:
    """Return when the processes have next to nothing to do any more. Raises BadRun when that takes too long."""
    deadline = time.perf_counter() + limit_s
    while (await window(pids, _QUIET_S, lambda: 0)).busy > _QUIET_BUSY:
        if time.perf_counter() > deadline:
            raise BadRun(f"still busy {limit_s:g} s after the load had ended")


def quantile(values: Sequence[float], q: float) -> float:
    """The value that a share `q` of `values` does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]
