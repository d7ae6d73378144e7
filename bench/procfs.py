"""What the kernel says about processes: CPU time in nanoseconds, memory, children, listeners. Linux only.

`utime` and `stime` count clock ticks of 10 ms. `schedstat` counts nanoseconds on the CPU per thread, and is what makes
a window of one second precise enough.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_ESTABLISHED, _LISTEN = "01", "0A"


def parents() -> dict[int, int]:
    """The parent of every process that is alive."""
    found = {}
    for stat in _PROC.glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name, in brackets, may hold anything; the state and the parent follow the last bracket.
            found[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return found


def tree(roots: list[int]) -> list[int]:
    """`roots` and all their descendants, parents before children."""
    above = parents()
    found = [pid for pid in roots if pid in above]
    for pid in found:
        found += [child for child, parent in above.items() if parent == pid and child not in found]
    return found


def listeners(port: int) -> list[int]:
    """The processes that listen on TCP `port`; of a parent and its children only the parent."""
    inodes = {inode for inode, _ in _sockets(port, _LISTEN)}
    above = parents()
    found = {pid for pid in above if inodes & _held(pid)}
    return sorted(pid for pid in found if above[pid] not in found)


def callers(port: int, pids: list[int]) -> dict[int, set[int]]:
    """Who of `pids` has which connections to TCP `port` of this machine, by the port of the other side."""
    remote = dict(_sockets(port, _ESTABLISHED))
    return {pid: {remote[inode] for inode in _held(pid) if inode in remote} for pid in pids}


def _sockets(port: int, state: str) -> list[tuple[str, int]]:
    """The sockets of local `port` in a state: what they are called in `fd`, and the port of the other side."""
    found = []
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == state and int(fields[1].rpartition(":")[2], 16) == port:
                    found.append((f"socket:[{fields[9]}]", int(fields[2].rpartition(":")[2], 16)))
    return found


def _held(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):
        for fd in (_PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                found.add(str(fd.readlink()))
    return found


def cpu_ns(pids: list[int]) -> dict[int, int]:
    """Nanoseconds on a CPU since the start, user and kernel, per process; the threads that have ended are missing."""
    spent = {}
    for pid in pids:
        with suppress(OSError):
            threads = (_PROC / str(pid) / "task").iterdir()
            spent[pid] = sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)
    return spent


@dataclass(frozen=True, slots=True)
class Spent:
    """Of some processes together, since their start. Waiting is being ready to run while others have the cores."""

    ran_ns: int
    waited_ns: int


def spent(pids: list[int]) -> Spent:
    """What the threads that are alive have run, and waited for a core."""
    ran_ns = waited_ns = 0
    for pid in pids:
        with suppress(OSError):
            for thread in (_PROC / str(pid) / "task").iterdir():
                ran, waited, _ = (thread / "schedstat").read_text().split()
                ran_ns, waited_ns = ran_ns + int(ran), waited_ns + int(waited)
    return Spent(ran_ns, waited_ns)


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one process. `pss_bytes` splits shared pages among those who share them, so it may be summed."""

    rss_bytes: int
    pss_bytes: int


def memory(pids: list[int]) -> dict[int, Memory]:
    """What each process holds now; those that have ended are missing."""
    held = {}
    for pid in pids:
        with suppress(OSError):
            lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
            fields = dict(line.split(":", 1) for line in lines[1:])
            rss, pss = (int(fields[name].split()[0]) * 1024 for name in ("Rss", "Pss"))
            held[pid] = Memory(rss, pss)
    return held


def reset_peak(pids: list[int]) -> dict[int, int]:
    """Let the kernel watch anew how much memory each process has had at the most; return what it has now, in bytes."""
    resident = {}
    for pid in pids:
        with suppress(OSError):
            (_PROC / str(pid) / "clear_refs").write_text("5")
            resident[pid] = _status_bytes(pid, "VmRSS")
    return resident


def peak_rss(pids: list[int]) -> dict[int, int]:
    """The most that each process has had resident since `reset_peak`, in bytes; those that have ended are missing."""
    found = {}
    for pid in pids:
        with suppress(OSError):
            found[pid] = _status_bytes(pid, "VmHWM")
    return found


def _status_bytes(pid: int, field: str) -> int:
    text = (_PROC / str(pid) / "status").read_text()
    return int(text.partition(f"\n{field}:")[2].split()[0]) * 1024
