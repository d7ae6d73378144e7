"""The state of the machine, without which no figure means anything."""

import os
import platform
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

_PACKAGES = ("fairlead", "uvloop", "httptools", "uvicorn", "orjson", "msgspec")


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where. With two cores the load and the upstream share one, so that the target has its own."""

    target: int
    upstream: int
    load: int


def assign() -> Cores:
    """Divide the cores that we may use."""
    first, *others = sorted(os.sched_getaffinity(0))
    return Cores(target=first, upstream=others[0] if others else first, load=others[-1] if others else first)


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Of the whole machine since boot, in clock ticks."""

    total: int
    idle: int
    steal: int


def cpu_times() -> CpuTimes:
    """Read the first line of /proc/stat."""
    return _times(Path("/proc/stat").read_text().split("\n", 1)[0])


def core_times() -> list[CpuTimes]:
    """The same of each core."""
    lines = Path("/proc/stat").read_text().splitlines()[1:]
    return [_times(line) for line in lines if line.startswith("cpu")]


def _times(line: str) -> CpuTimes:
    user, nice, system, idle, iowait, irq, softirq, steal, *_ = (int(field) for field in line.split()[1:])
    return CpuTimes(user + nice + system + idle + iowait + irq + softirq + steal, idle + iowait, steal)


def busy_share(before: CpuTimes, after: CpuTimes) -> float:
    """Share of the time in which there was work."""
    return 1 - (after.idle - before.idle) / max(1, after.total - before.total)


def busy_percent(seconds: float = 0.5) -> float:
    """How busy the machine is with other work: measured before anything is started."""
    before = cpu_times()
    time.sleep(seconds)
    return 100 * busy_share(before, cpu_times())


def steal_percent(before: CpuTimes, after: CpuTimes) -> float:
    """Share of the time that the hypervisor gave to others."""
    return 100 * (after.steal - before.steal) / max(1, after.total - before.total)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _governor() -> str:
    path = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return path.read_text().strip() if path.exists() else "not visible"


def warnings(other_percent: float, stolen_percent: float) -> list[str]:
    """What the state of the machine should make a reader doubt."""
    found = []
    if other_percent > 5:
        found.append(f"the machine was {other_percent:.0f} % busy with other work before the run: measure again")
    if stolen_percent > 1:
        found.append(f"the hypervisor gave {stolen_percent:.1f} % of the time to others: measure again")
    return found


def describe(cores: Cores, command: str = "python -m bench") -> dict[str, str]:
    """What a reader needs to judge or repeat a run, except for what the run itself tells."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores usable",
        "frequency governor": _governor(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "cores used": f"targets {cores.target}, upstream {cores.upstream}, load {cores.load}",
        "load average": " ".join(f"{value:.2f}" for value in os.getloadavg()),
        "command": " ".join([command, *sys.argv[1:]]),
    }
