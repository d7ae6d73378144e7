"""What was measured, as Markdown that reads well unrendered. Pure."""

from collections.abc import Mapping, Sequence
from statistics import median

from bench.startup.gateway import Start

DEAREST = 10
_MB = 1024 * 1024
_ROLES = {
    "worker": "worker",
    "supervisor": "supervisor",
    "demo": "simulated providers",
    "store": "embedded store",
    "tracker": "multiprocessing's tracker",
}


def spread(values: Sequence[float], digits: int) -> str:
    """`0.71 (0.65–0.90)`."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def times(versions: Sequence[float], starts: Mapping[int, Sequence[Start]]) -> str:
    """A line for each thing waited for; seconds."""
    lines = ["| seconds, median (min–max) | |", "|---|---:|", f"| `fairlead --version` | {spread(versions, 2)} |"]
    for workers, runs in starts.items():
        serve = f"`fairlead serve`, {workers} worker{'s' if workers > 1 else ''}"
        lines += [
            f"| {serve}, until it listens | {spread([run.listening_s for run in runs], 2)} |",
            f"| {serve}, until `/readyz` answers | {spread([run.ready_s for run in runs], 2)} |",
            f"| {serve}, until the first chat completion | {spread([run.answer_s for run in runs], 2)} |",
            f"| CPU of all processes until then | {spread([run.cpu_s for run in runs], 2)} |",
            f"| what the next one takes, a simulated wait in it | {spread([run.again_s for run in runs], 2)} |",
        ]
    return "\n".join(lines)


def memory(starts: Mapping[int, Sequence[Start]]) -> str:
    """A line for each kind of process; of workers each is counted by itself."""
    lines = ["| MB of a process at rest, median (min–max) | resident (RSS) | its share (PSS) |", "|---|---:|---:|"]
    for workers, runs in starts.items():
        for role, name in _ROLES.items():
            held = [one for run in runs for one in run.memory.get(role, ())]
            if held:
                resident = spread([one.rss_bytes / _MB for one in held], 1)
                share = spread([one.pss_bytes / _MB for one in held], 1)
                name = f"{name}, one of {workers}" if role == "worker" and workers > 1 else name
                lines.append(f"| {name} | {resident} | {share} |")
        whole = [sum(one.pss_bytes for held in run.memory.values() for one in held) / _MB for run in runs]
        lines.append(f"| all of them, {workers} worker{'s' if workers > 1 else ''} | | {spread(whole, 1)} |")
    return "\n".join(lines)


def imports(bare_kb: int, all_kb: int, grown_kb: Mapping[str, int]) -> str:
    """The dearest packages, and what the others come to."""
    dearest = sorted(grown_kb.items(), key=lambda item: -item[1])[:DEAREST]
    others = all_kb - bare_kb - sum(kb for _, kb in dearest)
    lines = ["| MB resident | |", "|---|---:|", f"| the interpreter alone | {bare_kb / 1024:.1f} |"]
    lines += [f"| {owner} | {kb / 1024:.1f} |" for owner, kb in dearest]
    lines += [f"| all others | {others / 1024:.1f} |", f"| together | {all_kb / 1024:.1f} |"]
    return "\n".join(lines)
