"""`python -m bench`: the overhead of the gateway, as ratios to nginx in the same run."""

import argparse
import gc
import os
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from types import FrameType

from bench import figures, machine, report, targets
from bench.figures import Plan
from bench.processes import NotReady
from bench.report import DIRECT
from bench.rounds import Bench, Settings
from bench.targets import HERE, Target


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, help="how often everything is measured (5)")
    parser.add_argument("--seconds", type=float, help="length of each window (2)")
    parser.add_argument("--quick", action="store_true", help="2 rounds of half a second: a smoke test, not a result")
    parser.add_argument("--only", action="append", choices=list(figures.ALL), help="measure this figure (repeat)")
    parser.add_argument(
        "--target",
        action="append",
        metavar="NAME[=URL]",
        help="measure this target of targets.toml, or with URL a gateway that runs already (repeat)",
    )
    parser.add_argument("--key", default="sk-bench", help="the bearer key that the targets are given")
    parser.add_argument("--upstream-port", type=int, help="where a gateway that runs already expects its provider")
    args = parser.parse_args()
    args.rounds = args.rounds or (2 if args.quick else 5)
    args.seconds = args.seconds or (0.5 if args.quick else 2.0)
    return args


def _chosen(declared: Sequence[Target], asked: Sequence[str] | None) -> list[Target]:
    """The targets to measure: those asked for, or else all that are declared; less those that are not installed."""
    chosen = list(declared) if asked is None else [_named(word, declared) for word in asked]
    for target in chosen:
        if not targets.is_installed(target):
            print(f"bench: {target.name} is left out: {target.command[0]} is not installed", file=sys.stderr)
    return [target for target in chosen if targets.is_installed(target)]


def _named(word: str, declared: Sequence[Target]) -> Target:
    name, _, url = word.partition("=")
    known = next((target for target in declared if target.name == name), None)
    if url:
        return replace(known or Target(name), url=url)
    if known is None:
        raise SystemExit(f"bench: no target {name!r}; there is {', '.join(target.name for target in declared)}")
    return known


def _notes(bench: Bench, other_percent: float, stolen_percent: float) -> list[str]:
    """What a reader must know before believing the table."""
    notes = [f"problem: {problem}" for problem in bench.problems]
    if bench.settings.reference == DIRECT:
        notes.append("no proxy to compare with was measured: ratios are to the direct way to the upstream")
    return [*notes, *machine.warnings(other_percent, stolen_percent)]


def _report(bench: Bench, chosen: Sequence[Target], facts: dict[str, str], notes: Sequence[str]) -> str:
    reference = bench.settings.reference
    lines = ["# Overhead", "", *(f"- {name}: {value}" for name, value in facts.items())]
    lines += ["", report.table(bench.numbers, [*(target.name for target in chosen), DIRECT], reference), ""]
    return "\n".join([*lines, *(f"**{note}**" for note in notes)])


def _out_of_time(number: int, frame: FrameType | None) -> None:
    raise SystemExit("bench: out of time; what was started has been ended")


def _ended(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _prepare(cores: machine.Cores, limit_s: float) -> None:
    """Make this process a load client: its own core, many sockets, no collector pauses, an end that is certain."""
    os.sched_setaffinity(0, {cores.load})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.disable()
    signal.signal(signal.SIGTERM, _ended)
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.setitimer(signal.ITIMER_REAL, limit_s)


def main() -> int:
    """Run from the command line; 0 when every figure of every target could be taken."""
    args = _arguments()
    declared = targets.load()
    chosen = _chosen(declared, args.target)
    reference = declared[0].name if declared[0] in chosen else DIRECT
    cores = machine.assign()
    plan = Plan(args.seconds, warm_s=0.3 if args.quick else 0.5, held_streams=200 if args.quick else 500)
    names = tuple(name for name in figures.ALL if not args.only or name in args.only)
    bench = Bench(Settings(args.rounds, names, plan, reference, args.key, args.upstream_port), chosen, cores)

    facts = machine.describe(cores)
    facts |= {target.name: targets.version(target) for target in chosen}
    facts["windows"] = f"{args.rounds} rounds of {args.seconds:g} s each, {plan.warm_s:g} s of warm-up before each"
    other_percent, times = machine.busy_percent(), machine.cpu_times()
    _prepare(cores, bench.limit_s())
    for number in range(args.rounds):
        print(f"bench: round {number + 1} of {args.rounds}", file=sys.stderr, flush=True)
        try:
            bench.round()
        except NotReady as problem:
            raise SystemExit(f"bench: {problem}") from problem
    stolen_percent = machine.steal_percent(times, machine.cpu_times())
    facts["other work before, stolen time"] = f"{other_percent:.1f} %, {stolen_percent:.1f} %"

    text = _report(bench, chosen, facts, _notes(bench, other_percent, stolen_percent))
    raw = {
        "facts": facts,
        "reference": reference,
        "problems": [str(problem) for problem in bench.problems],
        "rounds": bench.numbers,
    }
    report.write(HERE / "results", text, raw)
    print(text)
    return 1 if bench.problems else 0


if __name__ == "__main__":
    sys.exit(main())
