"""`python -m bench.startup`: how long a start takes, and what a worker holds that has nothing to do."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import machine, report
from bench.processes import NotReady
from bench.startup import gateway, table
from bench.targets import HERE
from fairlead.start import UNUSED

WHOLE = "fairlead.app"
"""What a worker imports before it serves."""


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="starts of each kind; medians are shown (7)")
    both = sorted({1, len(os.sched_getaffinity(0))})
    parser.add_argument("--workers", type=int, nargs="+", default=both, help="of the gateway (1, and one a core)")
    parser.add_argument("--json", type=Path, help="write there, and not to bench/results")
    return parser.parse_args(words)


def weigh(folder: Path) -> dict[str, Any]:
    """What `bench.startup.imports` tells, of a process that imports what a worker does."""
    command = [sys.executable, "-m", "bench.startup.imports", WHOLE, *UNUSED]
    env = {"HOME": str(folder), "PYTHONPATH": os.pathsep.join((gateway.SOURCE, str(HERE.parent)))}
    done = subprocess.run(command, env=env, cwd=folder, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _started(workers: int) -> gateway.Start:
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        return gateway.start(Path(place), workers)


def _text(
    facts: dict[str, str],
    versions: list[float],
    starts: dict[int, list[gateway.Start]],
    weighed: dict[str, Any],
    warnings: list[str],
) -> str:
    parts = ["# How a start goes", *(f"**{warning}**" for warning in warnings)]
    parts += [table.times(versions, starts), table.memory(starts), f"What `import {WHOLE}` brings:"]
    parts += [table.imports(**weighed), "## How it was measured"]
    parts += ["\n".join(f"- {name}: {value}" for name, value in facts.items())]
    return "\n\n".join(parts)


def main() -> int:
    """Run from the command line."""
    args = _arguments(sys.argv[1:])
    facts = machine.describe(machine.assign(), "python -m bench.startup")
    facts.pop("cores used")  # nothing is bound to a core
    other_percent, before = machine.busy_percent(), machine.cpu_times()
    try:
        _started(1)  # whatever is not compiled yet is compiled by this one
        with tempfile.TemporaryDirectory(prefix="bench-") as place:
            versions = [gateway.version_s(Path(place)) for _ in range(args.runs)]
            weighed = weigh(Path(place))
        starts: dict[int, list[gateway.Start]] = {workers: [] for workers in args.workers}
        for _ in range(args.runs):
            for workers, runs in starts.items():
                runs.append(_started(workers))
    except (NotReady, OSError, subprocess.CalledProcessError) as problem:
        raise SystemExit(f"bench: {problem}") from problem
    stolen_percent = machine.steal_percent(before, machine.cpu_times())
    facts["other work before, stolen time"] = f"{other_percent:.1f} %, {stolen_percent:.1f} %"
    text = _text(facts, versions, starts, weighed, machine.warnings(other_percent, stolen_percent))
    raw = {
        "facts": facts,
        "version_s": versions,
        "starts": {workers: [asdict(run) for run in runs] for workers, runs in starts.items()},
        "imports": weighed,
    }
    if args.json is not None:
        args.json.write_text(json.dumps(raw, indent=1) + "\n")
    else:
        report.write(HERE / "results", text, raw, "startup")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
