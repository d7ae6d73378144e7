"""What is seen of the gateway's processes and of its store at one moment."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.soak.gateway import Gateway
from fairlead import clock

_UNIX = Path("/proc/net/unix")
_GONE = -2
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker. `rss_bytes` is what it holds alone, code and kernel buffers left out."""

    rss_bytes: int
    fds: int
    """But for those to the store."""
    to_store: int
    """Unix sockets: connections to the store, broken ones in the pools included, and one to the supervisor."""
    threads: int
    tasks: int
    in_flight: int
    upstream: int
    """Connections to providers, idle ones included. They are among the `fds`."""

    def level(self, name: str) -> int:
        """One of them; of `fds` those that should be as many whenever nothing happens."""
        return self.fds - self.upstream if name == "fds" else int(getattr(self, name))


@dataclass(frozen=True, slots=True)
class Look:
    at_s: float
    """`clock.monotonic`."""
    workers: dict[int, Worker]
    left: Sequence[tuple[str, int]]
    """The Redis keys, with the seconds that each has to live, -1 for ever."""
    store_bytes: int

    def total(self, name: str) -> int:
        """The sum over the workers."""
        return sum(int(getattr(worker, name)) for worker in self.workers.values())


def look(gateway: Gateway) -> Look:
    """Look once. Raises OSError when a worker has died."""
    told = gateway.figures()
    unix = {line.split()[6] for line in _UNIX.read_text().splitlines()[1:]}
    workers = {}
    for pid, figures in told.items():
        place = Path(f"/proc/{pid}")
        _, resident, shared, *_ = map(int, (place / "statm").read_text().split())
        fds = _fds(place / "fd")
        to_store = sum(fd.startswith("socket:[") and fd[8:-1] in unix for fd in fds)
        workers[pid] = Worker(
            (resident - shared) * _PAGE_BYTES,
            len(fds) - to_store,
            to_store,
            len(list((place / "task").iterdir())),
            figures["tasks"],
            figures["in_flight"],
            figures["upstream_connections"],
        )
    return Look(clock.monotonic(), workers, _left(gateway), gateway.store.info("memory")["used_memory"])


def _fds(place: Path) -> list[str]:
    """What each file descriptor leads to; those that are closed meanwhile are missing."""
    found = []
    for fd in place.iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(fd.readlink()))
    return found


def _left(gateway: Gateway) -> list[tuple[str, int]]:
    names = [str(name) for name in gateway.store.scan_iter(count=1000)]
    with gateway.store.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.ttl(name)
        return [(name, ttl_s) for name, ttl_s in zip(names, pipeline.execute(), strict=True) if ttl_s != _GONE]
