"""The rounds of a run: everything started anew, every figure of every target, the targets in turn."""

import gc
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from bench import figures, machine, targets
from bench.figures import Measure, Numbers, Plan
from bench.processes import NotReady, Processes, free_port
from bench.report import DIRECT
from bench.targets import HERE, Running, Target
from bench.window import BadRun

_START_S = 4.0
"""What starting and ending the processes of a round takes, roughly."""
_EXTRA_S = 2.0
"""What a figure takes beside its window: warm-up, ramp, ends."""
_GONE = (OSError, LookupError, ValueError, ArithmeticError, ExceptionGroup)
"""What comes of looking at processes that are no more."""
_FIGURES = figures.ALL | figures.FOR_THE_SLOW


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
    is_patient: bool = False
    """A target that does not start is left out of the round, and is a problem; else it is the end of the run."""
    measures: Mapping[str, Measure] = field(default_factory=lambda: _FIGURES)
    """The figures by name."""
    anew: Collection[str] = ()
    """Figures before which everything is started anew, in the midst of a round too."""
    of_the_direct_way: Collection[str] = ("latency", "slowly")
    """What of it is wanted when it is not what the others are compared with."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that could not be measured. `what`: the figure, or `start`."""

    round: int
    what: str
    target: str
    why: str

    def __str__(self) -> str:
        return f"round {self.round}, {self.what} of {self.target}: {self.why}"


class OutOfTime(SystemExit):
    """The run has taken as long as it may, or was told to end. No mere exception: event loops keep those."""


class Bench:
    """One run: the rounds, and what each of them told."""

    def __init__(self, settings: Settings, chosen: Sequence[Target], cores: machine.Cores) -> None:
        self.numbers: list[dict[str, Numbers]] = []
        """Of each round, per target."""
        self.problems: list[Problem] = []
        self.ended = ""
        """Why no more is to be measured. Who hears of it by a signal raises OutOfTime and says it here too, since a
        callback that the signal meets may keep what is raised in it."""
        self.settings = settings
        self._targets = chosen
        self._cores = cores

    def limit_s(self) -> float:
        """When a run must have ended: twice what it should take."""
        per_figure = self.settings.plan.seconds + _EXTRA_S
        per_round = _START_S + per_figure * len(self.settings.figures) * (len(self._targets) + 1)
        return 30 + 2 * self.settings.rounds * per_round

    def run(self) -> None:
        """Go through all rounds, and say so on standard error. Raises SystemExit when one cannot be begun."""
        for number in range(self.settings.rounds):
            print(f"bench: round {number + 1} of {self.settings.rounds}", file=sys.stderr, flush=True)
            try:
                self.round()
            except NotReady as problem:
                raise SystemExit(f"bench: {problem}") from problem

    def notes(self) -> list[str]:
        """What of the run a reader must know before believing the table."""
        found = [f"problem: {problem}" for problem in self.problems]
        if self.settings.reference == DIRECT:
            found.append("no proxy to compare with was measured: ratios are to the direct way to the upstream")
        return found

    def raw(self, facts: Mapping[str, str]) -> dict[str, object]:
        """Every number of every round, to be kept."""
        problems = [str(problem) for problem in self.problems]
        return {
            "facts": facts,
            "reference": self.settings.reference,
            "problems": problems,
            "rounds": self.numbers,
        }

    def round(self) -> None:
        """Measure everything once.

        Raises NotReady when the upstream does not start, or a target and nobody is patient; and OutOfTime.

        Fresh processes give each round its own memory layout and hash seed, which are worth some percent; every
        second round goes through the targets the other way round.
        """
        numbers: dict[str, Numbers] = {}
        self.numbers.append(numbers)
        for names in self._groups():
            with tempfile.TemporaryDirectory(prefix="bench-") as name, Processes(Path(name)) as processes:
                self._measure_all(names, processes, Path(name), numbers)

    def _groups(self) -> list[list[str]]:
        """The figures, as they are measured with the same processes."""
        groups: list[list[str]] = [[]]
        for figure in self.settings.figures:
            if figure in self.settings.anew and groups[-1]:
                groups.append([])
            groups[-1].append(figure)
        return groups

    def _measure_all(
        self, names: Sequence[str], processes: Processes, folder: Path, numbers: dict[str, Numbers]
    ) -> None:
        folder.chmod(0o755)  # nginx, started by root, works as another user
        running = self._start(processes, folder)
        if len(self.numbers) % 2 == 0:
            running.reverse()
        for target in running:
            numbers.setdefault(target.name, {})
        for figure in names:
            for target in running:
                self._go_on()
                numbers[target.name] |= self._measure(figure, target)

    def _start(self, processes: Processes, folder: Path) -> list[Running]:
        port = self.settings.upstream_port or free_port()
        command = [sys.executable, "-m", "bench.upstream", "--port", str(port)]
        pid = processes.start("upstream", command, {}, self._cores.upstream, HERE.parent)
        processes.wait_until_ready("upstream", f"http://127.0.0.1:{port}/v1/models")
        running = [Running(DIRECT, f"http://127.0.0.1:{port}/v1/chat/completions", {}, (pid,))]
        for target in self._targets:
            self._go_on()
            place = folder / "targets" / target.name  # two deep: some look for modules there, and not among ours
            key, core = self.settings.key, self._cores.target
            try:
                running += [targets.start(target, processes, upstream_port=port, key=key, core=core, folder=place)]
            except (NotReady, OSError, subprocess.SubprocessError) as problem:
                if not self.settings.is_patient:
                    raise
                self._tell("start", target.name, str(problem))
        return running

    def _measure(self, figure: str, target: Running) -> Numbers:
        if target.name == DIRECT != self.settings.reference and figure not in self.settings.of_the_direct_way:
            return {}
        gc.collect()
        try:
            return uvloop.run(self.settings.measures[figure](target, self.settings.plan))
        except BadRun as problem:
            self._tell(figure, target.name, str(problem))
        except _GONE as problem:
            if not self.settings.is_patient:
                raise
            self._tell(figure, target.name, f"it went away meanwhile: {problem!r}")
        return {}

    def _go_on(self) -> None:
        if self.ended:
            raise OutOfTime(self.ended)

    def _tell(self, what: str, target: str, why: str) -> None:
        self.problems.append(Problem(len(self.numbers), what, target, why))
