"""`python -m bench.policies`: what policies are worth on real processes, and whether the simulator says the same."""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from bench import machine, report
from bench.policies import course, fleet, rehearsal, table
from bench.policies.course import Course, Play
from bench.policies.figures import measure
from bench.policies.rehearsal import Simulated, Trial
from bench.policies.seat import BASELINES
from bench.policies.table import Measured
from bench.policies.world import GATEWAYS, RATE_HZ, SCENARIOS, worth
from bench.simulate.experiment import side_by_side
from bench.simulate.policies import PRODUCT
from bench.simulate.seven import SEVEN, UPSTREAMS
from bench.targets import HERE

_QUICK = ["steady", "price mix"]
_TOO_BUSY = 0.6


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.policies", description=__doc__)
    add = parser.add_argument
    add("--policies", nargs="+", choices=list(BASELINES), metavar="NAME", help="beside ours")
    add("--scenarios", nargs="+", choices=list(SCENARIOS), metavar="NAME", help="all seven, unless told otherwise")
    add("--seconds", type=float, help="of traffic in each run; the first five are not counted (16)")
    add("--rounds", type=int, default=1, help="how often each scenario is run (1)")
    add("--minutes", type=float, help="nothing is begun after that (14 for each round)")
    add("--quick", action="store_true", help="two short scenarios of two policies: a smoke test, kept nowhere")
    add("--results", type=Path, metavar="FOLDER", help="where the results go (bench/results)")
    add("--json", type=Path, metavar="FILE", help="write every answer there too")
    args = parser.parse_args(words)
    args.policies = args.policies or (["round-robin"] if args.quick else list(BASELINES))
    args.scenarios = args.scenarios or (_QUICK if args.quick else list(SEVEN))
    args.seconds = args.seconds or (7.0 if args.quick else 16.0)
    args.minutes = args.minutes or 14.0 * args.rounds
    args.results = args.results or (None if args.quick else HERE / "results")
    return args


def _ended(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _warnings(went: Course, measured: Measured, other_percent: float, stolen_percent: float) -> list[str]:
    found = machine.warnings(other_percent, stolen_percent)
    found += [f"the machine was in the way: {line}" for line in table.disturbed(measured)]
    runs = list(went.each())
    busiest = max((max(run.busy.cores) for run in runs), default=0.0)
    others = sum(run.busy.others for run in runs) / max(1, len(runs))
    if others > 0.1:
        found.append(f"others used {100 * others:.0f} % of a core while it was measured: measure again")
    if busiest > _TOO_BUSY:
        found.append(f"a core was {100 * busiest:.0f} % busy in one of the runs: what waited for it is in the results")
    return [*found, *(f"could not be run: {problem}" for problem in went.problems)]


def _facts(args: argparse.Namespace, words: Sequence[str], took_s: float) -> dict[str, str]:
    facts = machine.describe(machine.assign())
    names = ("processor", "frequency governor", "kernel", "python", "packages")
    return {
        "command": " ".join(["python -m bench.policies", *words]),
        **{name: facts[name] for name in names},
        "size": f"{UPSTREAMS} upstreams, {GATEWAYS} gateways of one worker, {RATE_HZ:g} requests/s (in bursts more)",
        "runs": f"{args.rounds} round(s) of {args.seconds:g} s each, of which the first 5 are not counted",
        "simulated": f"{rehearsal.SEEDS} seeds of as long",
        "took": f"{took_s:.0f} s",
    }


def _text(tables: str, went: Course, facts: Mapping[str, str], warnings: Sequence[str]) -> str:
    lines = ["# Policies on real processes", "", *(f"**{warning}**\n" for warning in warnings)]
    lines += ["First tokens as callers see them; `bench/README.md` tells how to read it.", "", tables, ""]
    if runs := list(went.each()):
        lines += ["## Whether the machine was part of it", "", table.who_was_busy(runs), ""]
    return "\n".join([*lines, "## How it was measured", "", *(f"- {name}: {value}" for name, value in facts.items())])


def _raw(
    measured: Measured, simulated: Mapping[str, Mapping[str, Simulated]], went: Course, head: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        **head,
        "scenarios": {
            name: {
                policy: {
                    "measured": asdict(figures),
                    "simulated": asdict(simulated[name][policy].together),
                    "busy": [asdict(run.busy) for run in went.runs[name][policy]],
                }
                for policy, figures in by_policy.items()
            }
            for name, by_policy in measured.items()
        },
    }


def main(words: Sequence[str], play: Play = course.on_processes) -> int:
    """Run from the command line; 1 when something could not be run."""
    args = _arguments(words)
    if play is course.on_processes and not fleet.LOCUST.exists():
        raise SystemExit("bench: locust is not installed in bench/.venv: `make bench-policies` does it")
    signal.signal(signal.SIGTERM, _ended)
    policies = [PRODUCT, *args.policies]
    scenarios = {name: SCENARIOS[name](args.seconds) for name in args.scenarios}
    loads = [os.getloadavg()[0]]
    other_percent, times, began_at = machine.busy_percent(), machine.cpu_times(), time.perf_counter()
    ends_at = began_at + 60 * args.minutes
    went = course.go_through(scenarios, policies, args.rounds, play, lambda: time.perf_counter() > ends_at)
    stolen_percent = machine.steal_percent(times, machine.cpu_times())
    loads.append(os.getloadavg()[0])

    answers = went.answers()
    measured = {
        name: {policy: measure(found, worth(scenarios[name])) for policy, found in by_policy.items()}
        for name, by_policy in answers.items()
    }
    places = [(name, policy) for name, by_policy in measured.items() for policy in by_policy]
    trials = [Trial(name, args.seconds, policy) for name, policy in places]
    simulated: dict[str, dict[str, Simulated]] = {name: {} for name in measured}
    for (name, policy), one in zip(places, side_by_side(rehearsal.rehearsed, trials, os.cpu_count() or 1), strict=True):
        simulated[name][policy] = one

    warnings = _warnings(went, measured, other_percent, stolen_percent)
    facts = _facts(args, words, time.perf_counter() - began_at)
    facts["load average before, after"] = " and ".join(f"{load:.1f}" for load in loads)
    facts["other work before, stolen time"] = f"{other_percent:.1f} %, {stolen_percent:.1f} %"
    text = _text(table.report(measured, simulated), went, facts, warnings)
    print(text)
    if args.json:
        rows = {
            name: {
                policy: [[a.at, a.first_s, a.how, a.paid_nanos, a.late_s] for a in found]
                for policy, found in by.items()
            }
            for name, by in answers.items()
        }
        args.json.write_text(json.dumps(rows))
    if args.results:
        args.results.mkdir(exist_ok=True)
        report.write(
            args.results, text, _raw(measured, simulated, went, {"facts": facts, "warnings": warnings}), "policies"
        )
        subtitle = f"{UPSTREAMS} upstreams, {args.rounds} round(s) of {args.seconds:g} s; logarithmic"
        (args.results / "policies.svg").write_text(table.chart(measured, subtitle))
    return 1 if went.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
