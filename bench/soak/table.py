"""The curve, as it comes, and what there is to say at the end."""

from collections import defaultdict
from collections.abc import Mapping

from bench.soak import keys
from bench.soak.levels import Ended, rises
from bench.soak.looks import Look

EVERY_S = 10.0
_COLUMNS = {
    "RSS MB": 13, "fds": 9, "to store": 9, "tasks": 11, "in flight": 9, "upstream": 9, "Redis keys": 11, "MB": 6,
}  # fmt: skip
HEAD = " ".join([" " * 9, *(f"{name:>{width}}" for name, width in _COLUMNS.items())])


class Curve:
    """Keeps what was seen, and prints a line of it every ten seconds."""

    def __init__(self) -> None:
        self.looks: list[Look] = []
        self._next_s = 0.0

    def add(self, one: Look) -> None:
        if not self.looks:
            print(HEAD)
        self.looks.append(one)
        since_s = one.at_s - self.looks[0].at_s
        if since_s >= self._next_s:
            self._next_s += EVERY_S
            print(line(f"{since_s:.0f} s", one), flush=True)


def line(name: str, one: Look) -> str:
    """One look; of figures that each worker has, one after the other."""

    def each(figure: str, unit: float = 1) -> str:
        return " ".join(f"{getattr(worker, figure) / unit:.0f}" for worker in one.workers.values())

    cells = [each("rss_bytes", 1e6), *map(each, ("fds", "to_store", "tasks", "in_flight", "upstream"))]
    cells += [str(len(one.left)), f"{one.store_bytes / 1e6:.1f}"]
    return " ".join([f"{name:>9}", *(f"{cell:>{width}}" for cell, width in zip(cells, _COLUMNS.values(), strict=True))])


def summary(ended: Ended, done: Mapping[str, int]) -> str:
    """The levels at both ends, what was done, and which keys are left."""
    lines = [HEAD, *(line("start", one) for one in ended.start[:1]), line("rest", ended.rest), ""]
    ways: defaultdict[str, list[str]] = defaultdict(list)
    for name, count in sorted(done.items()):
        what, _, how = name.partition(": ")
        ways[what].append(f"{how} × {count}")
    lines += [f"{what:>22}  {', '.join(hows)}" for what, hows in ways.items()]
    lines += ["", f"{sum(done.values())} things were done"]
    if risen := ", ".join(f"{rise / 1e6:+.1f} MB" for rise in rises(ended.curve).values()):
        lines += [f"memory of each worker from the third to the last quarter of the load: {risen}"]
    lines += ["", "Redis keys left:"]
    for pattern, found in keys.by_kind(ended.rest.left).items():
        kind = keys.kind_of(found[0][0])
        lasts = kind.lasts if kind and kind.lasts else f"{max(ttl_s for _, ttl_s in found)} s to live"
        lines.append(f"{len(found):>6} × {pattern}  ({lasts})")
    return "\n".join(lines)
