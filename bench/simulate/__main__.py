"""`python -m bench.simulate`: policies on the same traffic and the same faults, as ratios to a clairvoyant oracle.

`python -m bench.simulate sweep` varies the constants of the product instead.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence

from bench.simulate import sweep, table
from bench.simulate.experiment import JUDGING_SEEDS, Task, run, side_by_side
from bench.simulate.policies import ORACLE, POLICIES
from bench.simulate.scenarios import OF_FOUR, SCENARIOS


def main(words: Sequence[str]) -> int:
    """Run from the command line."""
    if words[:1] == ["sweep"]:
        return sweep.main(words[1:])
    parser = argparse.ArgumentParser(prog="python -m bench.simulate [sweep]", description=__doc__)
    known = [*SCENARIOS, *OF_FOUR]
    parser.add_argument("--scenarios", nargs="+", choices=known, default=list(SCENARIOS), metavar="NAME")
    parser.add_argument("--policies", nargs="+", choices=list(POLICIES), default=list(POLICIES), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3, help="how often each scenario is drawn (3)")
    parser.add_argument("--seconds", type=float, default=90.0, help="simulated length of a scenario (90)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="as many as there are cores")
    args = parser.parse_args(words)

    started_at = time.perf_counter()
    policies = [ORACLE, *(policy for policy in args.policies if policy != ORACLE)]
    seeds = JUDGING_SEEDS[: args.seeds]
    tasks = [Task(scenario, seed, policies, args.seconds) for scenario in args.scenarios for seed in seeds]
    print(table.report(list(side_by_side(run, tasks, args.processes))))
    print(
        f"\n{args.seeds} seeds, {args.seconds:g} s each; took {time.perf_counter() - started_at:.0f} s", file=sys.stderr
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
