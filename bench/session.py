"""A run from its beginning to its end: what the machine was like, and that the run does end."""

import gc
import os
import resource
import signal
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Self

from bench import machine


class Session:
    """Use `with`. This process is a load client from then on: its own core, many sockets, no collector pauses.

    After `limit_s`, or told to end, it raises SystemExit, so that whoever has started processes can end them.
    """

    def __init__(self, cores: machine.Cores, command: str, limit_s: float) -> None:
        self.facts = machine.describe(cores, command)
        """What a reader needs to judge the run; whoever measures adds to it."""
        self.warnings: Sequence[str] = ()
        """What should make one doubt; known at the end."""
        self._cores = cores
        self._limit_s = limit_s

    def __enter__(self) -> Self:
        self._other_percent, self._times = machine.busy_percent(), machine.cpu_times()
        os.sched_setaffinity(0, {self._cores.load})
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        gc.disable()
        signal.signal(signal.SIGTERM, _ended)
        signal.signal(signal.SIGALRM, _out_of_time)
        signal.setitimer(signal.ITIMER_REAL, self._limit_s)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        stolen_percent = machine.steal_percent(self._times, machine.cpu_times())
        self.facts["other work before, stolen time"] = f"{self._other_percent:.1f} %, {stolen_percent:.1f} %"
        self.facts["load average at the end"] = " ".join(f"{value:.2f}" for value in os.getloadavg())
        self.warnings = machine.warnings(self._other_percent, stolen_percent)


def _out_of_time(number: int, frame: FrameType | None) -> None:
    raise SystemExit("bench: out of time; what was started has been ended")


def _ended(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
