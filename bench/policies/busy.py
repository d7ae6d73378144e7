"""Who kept the cores busy while a run was on, and who had to wait for one: how far the machine is in the result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench import machine, procfs
from fairlead import clock

_NS = 1e9


@dataclass(frozen=True, slots=True)
class Busy:
    """Of one run. Shares are of one core's time; `waited` is being ready to run while others do."""

    ran: Mapping[str, float]
    waited: Mapping[str, float]
    """By process."""
    cores: Sequence[float]
    """Whoever it was that kept them busy."""
    others: float
    """Processes that are none of ours, and what the kernel does for nobody in particular; in cores."""


@dataclass(slots=True)
class Meter:
    """Looks at processes when it is begun, and again at the end. `pids` by name."""

    pids: Mapping[str, int]
    _at: float = 0.0
    _spent: dict[str, procfs.Spent] = field(default_factory=dict)
    _cores: list[machine.CpuTimes] = field(default_factory=list)

    def begin(self) -> None:
        """From now on it counts."""
        self._at, self._spent, self._cores = clock.monotonic(), self._look(), machine.core_times()

    def end(self) -> Busy:
        """Return what there was since."""
        passed_ns, spent = (clock.monotonic() - self._at) * _NS, self._look()
        ran = {name: (now.ran_ns - self._spent[name].ran_ns) / passed_ns for name, now in spent.items()}
        waited = {name: (now.waited_ns - self._spent[name].waited_ns) / passed_ns for name, now in spent.items()}
        pairs = zip(self._cores, machine.core_times(), strict=True)
        cores = [machine.busy_share(before, after) for before, after in pairs]
        return Busy(ran, waited, cores, max(0.0, sum(cores) - sum(ran.values())))

    def _look(self) -> dict[str, procfs.Spent]:
        return {name: procfs.spent([pid]) for name, pid in self.pids.items()}
