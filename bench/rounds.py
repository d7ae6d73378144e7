"""The rounds of a run: everything started anew, every figure of every target, the targets in turn."""

import gc
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench import figures, machine, targets
from bench.figures import BadRun, Numbers, Plan
from bench.processes import Processes, free_port
from bench.report import DIRECT
from bench.targets import HERE, Running, Target

_START_S = 4.0
"""What starting and ending the processes of a round takes, roughly."""
_EXTRA_S = 2.0
"""What a figure takes beside its window: warm-up, ramp, ends."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line asks for."""

    rounds: int
    figures: tuple[str, ...]
    plan: Plan
    reference: str
    """The target that the others are compared with."""
    key: str
    upstream_port: int | None


class Bench:
    """One run: the rounds, and what each of them told."""

    def __init__(self, settings: Settings, chosen: Sequence[Target], cores: machine.Cores) -> None:
        self.numbers: list[dict[str, Numbers]] = []
        """Of each round, per target."""
        self.problems: list[str] = []
        self.settings = settings
        self._targets = chosen
        self._cores = cores

    def limit_s(self) -> float:
        """When a run must have ended: twice what it should take."""
        per_figure = self.settings.plan.seconds + _EXTRA_S
        per_round = _START_S + per_figure * len(self.settings.figures) * (len(self._targets) + 1)
        return 30 + 2 * self.settings.rounds * per_round

    def round(self) -> None:
        """Measure everything once. Raises NotReady when a target does not start.

        Fresh processes give each round its own memory layout and hash seed, which are worth some percent; every
        second round goes through the targets the other way round.
        """
        with tempfile.TemporaryDirectory(prefix="bench-") as name, Processes(Path(name)) as processes:
            folder = Path(name)
            folder.chmod(0o755)  # nginx, started by root, works as another user
            running = self._start(processes, folder)
            if len(self.numbers) % 2:
                running.reverse()
            numbers: dict[str, Numbers] = {target.name: {} for target in running}
            self.numbers.append(numbers)
            for figure in self.settings.figures:
                for target in running:
                    numbers[target.name] |= self._measure(figure, target)

    def _start(self, processes: Processes, folder: Path) -> list[Running]:
        port = self.settings.upstream_port or free_port()
        command = [sys.executable, "-m", "bench.upstream", "--port", str(port)]
        pid = processes.start("upstream", command, {}, self._cores.upstream, HERE.parent)
        processes.wait_until_ready("upstream", f"http://127.0.0.1:{port}/v1/models")
        running = [Running(DIRECT, f"http://127.0.0.1:{port}/v1/chat/completions", {}, (pid,))]
        for target in self._targets:
            place = folder / target.name
            key, core = self.settings.key, self._cores.target
            running += [targets.start(target, processes, upstream_port=port, key=key, core=core, folder=place)]
        return running

    def _measure(self, figure: str, target: Running) -> Numbers:
        if target.name == DIRECT != self.settings.reference and figure != "latency":
            return {}  # of the direct way only the latency is wanted, unless the others are compared with it
        gc.collect()
        try:
            return uvloop.run(figures.ALL[figure](target, self.settings.plan))
        except BadRun as problem:
            self.problems.append(f"round {len(self.numbers)}, {figure} of {target.name}: {problem}")
            return {}
