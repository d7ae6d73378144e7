"""`python -m bench.policies`: whether policies come in the same order on real processes as in the simulator."""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from types import FrameType

import uvloop

from bench import machine
from bench.policies import fleet, rehearsal, table
from bench.policies.figures import measure
from bench.policies.seat import BASELINES
from bench.policies.table import Simulated
from bench.policies.world import GATEWAYS, RATE_HZ, SCENARIOS
from bench.processes import NotReady
from bench.simulate.policies import PRODUCT
from bench.simulate.scenario import Scenario

_SEED = 7
_SIMULATED_SEEDS = 8


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.policies", description=__doc__)
    add = parser.add_argument
    add("--policies", nargs="+", choices=list(BASELINES), default=list(BASELINES), metavar="NAME", help="beside ours")
    add("--scenarios", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS), metavar="NAME")
    add("--seconds", type=float, default=20.0, help="of traffic in each run; the first five are not counted (20)")
    add("--rounds", type=int, default=1, help="how often each scenario is run (1)")
    add("--json", type=Path, metavar="FILE", help="write every answer there too")
    args = parser.parse_args()
    if not fleet.LOCUST.exists():
        parser.error("locust is not installed in bench/.venv: `make bench-policies` does it")
    return args


def _run(scenario: Scenario, policy: str, round_: int) -> list[fleet.Answer]:
    """One run in fresh processes; a line about it goes to standard error. Raises NotReady."""
    with tempfile.TemporaryDirectory(prefix="policies-") as place:
        answers = uvloop.run(fleet.run(scenario, policy, Path(place), _SEED + round_))
    hows = ", ".join(f"{count} {how}" for how, count in Counter(answer.how for answer in answers).most_common())
    load = os.getloadavg()[0]
    print(f"bench: {scenario.name}, {policy}: {hows}; load average {load:.1f}", file=sys.stderr, flush=True)
    return answers


def _simulated(scenario: Scenario, policy: str) -> Simulated:
    runs = [rehearsal.run(scenario, policy, seed) for seed in range(_SIMULATED_SEEDS)]
    return Simulated(measure(chain.from_iterable(runs)), [measure(run) for run in runs])


def _ended(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> int:
    """Run from the command line."""
    args = _arguments()
    signal.signal(signal.SIGTERM, _ended)
    policies = [PRODUCT, *args.policies]
    scenarios = {name: SCENARIOS[name](args.seconds) for name in args.scenarios}
    seen: Mapping[str, dict[str, list[fleet.Answer]]] = {name: {p: [] for p in policies} for name in scenarios}
    busy_percent, times, started_at = machine.busy_percent(), machine.cpu_times(), time.perf_counter()
    loads = [os.getloadavg()[0]]
    for round_ in range(args.rounds):
        for name, scenario in scenarios.items():
            # Neighbours in time are compared, and not always in the same order.
            for policy in policies if round_ % 2 == 0 else reversed(policies):
                try:
                    seen[name][policy] += _run(scenario, policy, round_)
                except NotReady as problem:
                    raise SystemExit(f"bench: {problem}") from problem
                loads.append(os.getloadavg()[0])
    took_s, stolen_percent = time.perf_counter() - started_at, machine.steal_percent(times, machine.cpu_times())
    if args.json:
        rows = {
            name: {p: [[a.at, a.first_s, a.how] for a in some] for p, some in by.items()} for name, by in seen.items()
        }
        args.json.write_text(json.dumps(rows))
    measured = {name: {p: measure(answers) for p, answers in by.items()} for name, by in seen.items()}
    simulated = {name: {p: _simulated(scenario, p) for p in policies} for name, scenario in scenarios.items()}
    print(table.report(measured, simulated))
    print(f"\n- {GATEWAYS} gateways, {RATE_HZ:g} requests/s, {args.seconds:g} s per run, {args.rounds} round(s)")
    print(f"- took {took_s:.0f} s; simulated: {_SIMULATED_SEEDS} seeds, {args.seconds:g} s each")
    print(
        f"- load average {min(loads):.1f} to {max(loads):.1f}; other work before: {busy_percent:.0f} % of the machine;"
    )
    print(f"  stolen time: {stolen_percent:.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
