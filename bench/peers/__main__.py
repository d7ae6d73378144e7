"""`python -m bench.peers`: other gateways and fairlead under the same load, in turn, one core each.

What is not installed is installed first, into bench/.peers. Who cannot be installed, does not start or breaks down is a
line of the table that says so. However the run ends, there is a table of what it has seen: on standard output and in
bench/results/peers.md, with every number in peers.json and a chart in peers.svg.
"""

import argparse
import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from bench import machine, report, targets
from bench.figures import Plan
from bench.peers import install, summary
from bench.peers.summary import Outcome
from bench.processes import NotReady
from bench.report import DIRECT
from bench.rounds import Bench, OutOfTime, Settings
from bench.targets import HERE, Target

_FIGURES = ("holding", "warming", "slowly", "trickling", "throughput", "latency", "streaming")
"""What can be too much for one comes last: it may have to do with that for some time."""
_REFERENCE = "nginx"
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--rounds", type=int, default=5, help="how often everything is measured (5)")
    add("--seconds", type=float, default=2.0, help="length of each window (2)")
    add("--minutes", type=float, default=19.0, help="the run ends then, installing not counted, with what it has (19)")
    add("--only", action="append", choices=_FIGURES, help="measure this figure (repeat)")
    add("--target", action="append", metavar="NAME", help="measure this one (repeat); all of them otherwise")
    add("--peers", type=Path, default=HERE / "peers" / "peers.toml", metavar="FILE", help="whom there is to measure")
    add("--results", type=Path, default=HERE / "results", metavar="FOLDER", help="where the results go")
    add("--install-only", action="store_true", help="measure nothing")
    args = parser.parse_args(words)
    args.declared = targets.load(args.peers)
    names = [target.name for target in args.declared]
    if unknown := set(args.target or ()) - set(names):
        parser.error(f"no target {', '.join(sorted(unknown))}; there is {', '.join(names)}")
    args.asked = [target for target in args.declared if not args.target or target.name in args.target]
    return args


def _installed(asked: Sequence[Target]) -> tuple[list[Target], dict[str, str]]:
    """Those that can be measured, and why the others cannot."""
    wanted = dict.fromkeys(target.environment for target in asked if target.environment)
    failed = {}
    for name in wanted:
        print(f"bench: {name}: installing, unless it is there", file=sys.stderr, flush=True)
        if why := install.ensure(name):
            failed[name] = f"cannot be installed: {why}"
    missing = {target.name: failed[target.environment] for target in asked if target.environment in failed}
    for target in asked:
        if target.name not in missing and not targets.is_installed(target):
            missing[target.name] = f"{Path(target.command[0]).name} is not installed"
    return [target for target in asked if target.name not in missing], missing


def _prepare(bench: Bench, cores: machine.Cores, seconds: float) -> None:
    """As for `python -m bench`, but for the end, which leaves time to tell what was seen."""

    def stop(number: int, frame: FrameType | None) -> None:
        for other in _ENDING:  # what was started is being ended: nothing may interrupt that
            signal.signal(other, signal.SIG_IGN)
        bench.ended = "out of time" if number == signal.SIGALRM else f"ended by {signal.Signals(number).name}"
        raise OutOfTime(bench.ended)

    os.sched_setaffinity(0, {cores.load})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.disable()
    for number in _ENDING:
        signal.signal(number, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _rounds(bench: Bench, rounds: int) -> str:
    """Go through the rounds; return why they ended early, if they did."""
    try:
        for number in range(rounds):
            print(f"bench: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            bench.round()
    except OutOfTime as end:
        return str(end)
    except NotReady as problem:
        return str(problem)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return ""


def _facts(args: argparse.Namespace, cores: machine.Cores, chosen: Sequence[Target]) -> dict[str, str]:
    facts = machine.describe(cores, "python -m bench.peers")
    for target in chosen:
        facts[target.name] = f"{targets.version(target)}; {target.about}" if target.about else targets.version(target)
    facts["windows"] = (
        f"{args.rounds} round(s) of {args.seconds:g} s each, in turn, every second round the other way round"
    )
    return facts


def _text(outcome: Outcome, facts: dict[str, str], warnings: Sequence[str]) -> str:
    lines = ["# Beside other gateways", "", *(f"**{warning}**\n" for warning in warnings)]
    lines += ["Medians over the rounds; every gateway on one core, load and upstream on the other.", ""]
    lines += [summary.table(outcome), "", summary.direct(outcome), ""]
    if why := summary.notes(outcome):
        lines += ["What could not be measured:", "", *(f"- {line}" for line in why), ""]
    lines += ["## How it was measured", "", *(f"- {name}: {value}" for name, value in facts.items()), ""]
    lines += ["## Medians and ranges", ""]
    return "\n".join([*lines, report.table(outcome.rounds, [*outcome.targets, DIRECT], _REFERENCE)])


def main(words: Sequence[str]) -> int:
    """Run from the command line; 0 when all rounds were gone through, whatever they had to tell."""
    args = _arguments(words)
    cores = machine.assign()
    chosen, missing = _installed(args.asked)
    if args.install_only:
        for name, why in missing.items():
            print(f"bench: {name} {summary.plain(why)}", file=sys.stderr)
        return 1 if missing else 0
    facts = _facts(args, cores, chosen)
    plan = Plan(args.seconds, warm_s=min(0.5, args.seconds), held_streams=200, ramp_s=3.0)
    names = tuple(name for name in _FIGURES if not args.only or name in args.only)
    settings = Settings(args.rounds, names, plan, _REFERENCE, "sk-bench", None, is_patient=True)
    bench = Bench(settings, chosen, cores)

    other_percent, times, began_at = machine.busy_percent(), machine.cpu_times(), time.perf_counter()
    _prepare(bench, cores, 60 * args.minutes)
    early = _rounds(bench, args.rounds)
    stolen_percent = machine.steal_percent(times, machine.cpu_times())
    facts["took"] = f"{time.perf_counter() - began_at:.0f} s"
    facts["other work before, stolen time"] = f"{other_percent:.1f} %, {stolen_percent:.1f} %"
    facts["load average at the end"] = " ".join(f"{value:.2f}" for value in os.getloadavg())

    warnings = machine.warnings(other_percent, stolen_percent)
    if early:
        warnings.append(f"the run ended early, in round {len(bench.numbers)}: {summary.plain(early)}")
    outcome = Outcome([target.name for target in args.asked], bench.numbers, bench.problems, missing)
    text = _text(outcome, facts, warnings)
    raw = {
        "facts": facts,
        "warnings": warnings,
        "missing": {name: summary.plain(why) for name, why in missing.items()},
        "problems": [f"round {p.round}, {p.what} of {p.target}: {summary.plain(p.why)}" for p in bench.problems],
        "rounds": bench.numbers,
    }
    report.write(args.results, text, raw, "peers")
    subtitle = f"median and range of {len(bench.numbers)} round(s); 1 KB request, 600 B reply; logarithmic"
    (args.results / "peers.svg").write_text(summary.chart(outcome, subtitle))
    print(text)
    return 1 if early else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
