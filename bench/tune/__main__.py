"""`python -m bench.tune`: what four constants of routing should be, and what that is worth beside other policies.

Sweeps in the simulator on tuning seeds, judges the best three on other seeds, and has them confirmed by locust on real
processes. Tables go to standard output and bench/results/tune.md, plots beside it.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from bench import machine
from bench.policies import fleet
from bench.simulate.experiment import TUNING_SEEDS
from bench.targets import HERE
from bench.tune import contest, kept, report
from bench.tune.contest import Scores
from bench.tune.search import VALUES, Finding, Sweep
from bench.tune.world import SCENARIOS, UPSTREAMS, on_real_processes

_CHOSEN = 3
_QUICK = {name: values[1:4:2] for name, values in VALUES.items()}


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.tune", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add(
        "--scenarios",
        nargs="+",
        choices=list(SCENARIOS),
        default=list(SCENARIOS),
        metavar="NAME",
        help="simulate these",
    )
    add("--seeds", type=int, help="how often each scenario is drawn (4)")
    add("--seconds", type=float, help="simulated length of a scenario (30)")
    add("--real-seconds", type=float, help="of traffic in each run on real processes, the first five not counted (13)")
    add("--processes", type=int, default=os.cpu_count() or 1, help="as many as there are cores")
    add("--minutes", type=float, default=30.0, help="nothing is begun with locust after that (30)")
    add(
        "--again",
        action="store_true",
        help="only what is done with locust; the rest is as tune.json in the results says",
    )
    add("--no-locust", action="store_true", help="stay in the simulator")
    add("--quick", action="store_true", help="two values of each constant, one short run of everything: a smoke test")
    add("--results", type=Path, default=HERE / "results", metavar="FOLDER", help="where the results go")
    args = parser.parse_args(words)
    args.seeds = args.seeds or (1 if args.quick else 3)
    args.seconds = args.seconds or (8.0 if args.quick else 45.0)
    args.real_seconds = args.real_seconds or (7.0 if args.quick else 13.0)
    if not args.no_locust and not fleet.LOCUST.exists():
        parser.error("locust is not installed in bench/.venv: `make tune` does it; or --no-locust")
    return args


def _ended(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _facts(args: argparse.Namespace, words: Sequence[str], took_s: float, other_percent: float) -> list[str]:
    facts = machine.describe(machine.assign(), "python -m bench.tune")
    return [
        f"command: {' '.join(['python -m bench.tune', *words])}",
        f"{UPSTREAMS} upstreams; simulated: {args.seeds} seeds, {args.seconds:g} s; real: {args.real_seconds:g} s each",
        *(f"{name}: {facts[name]}" for name in ("processor", "kernel", "python")),
        f"took {took_s:.0f} s; the machine was {other_percent:.0f} % busy with other work before",
        f"load average at the end: {' '.join(f'{value:.1f}' for value in os.getloadavg())}",
    ]


def _simulate(args: argparse.Namespace) -> tuple[dict[str, list[Finding]], list[Finding], dict[str, Scores]]:
    """All that needs no real processes."""
    _say("each constant by itself")
    values = _QUICK if args.quick else VALUES
    sweep = Sweep(TUNING_SEEDS[: args.seeds], args.seconds, args.processes, values, args.scenarios)
    alone = sweep.one_by_one()
    _say("the best of them together")
    combined = sweep.together(alone)
    _say("beside other policies")
    taking_part = contest.contestants([finding.setting for finding in combined[:_CHOSEN]])
    found = contest.simulated(taking_part, args.scenarios, args.seeds, args.seconds, args.processes)
    return alone, combined, {"simulator": found}


def main(words: Sequence[str]) -> int:
    """Run from the command line; 1 when something could not be run on real processes."""
    args = _arguments(words)
    signal.signal(signal.SIGTERM, _ended)
    other_percent, began_at = machine.busy_percent(), time.perf_counter()
    if args.again:
        alone, combined, scores = kept.load(args.results / "tune.json")
    else:
        alone, combined, scores = _simulate(args)
    taking_part = contest.contestants([finding.setting for finding in combined[:_CHOSEN]])
    problems: list[str] = []
    if not args.no_locust:
        names = list(on_real_processes(args.real_seconds))[: 1 if args.quick else None]
        ends_at = began_at + 60 * args.minutes
        play = contest.on_processes(args.real_seconds)
        scores["locust"], problems = contest.confirmed(taking_part, names, play, lambda: time.perf_counter() > ends_at)

    ours = taking_part[0].name
    notes = [f"**could not be run: {problem}**\n" for problem in problems]
    notes += [f"- {fact}" for fact in _facts(args, words, time.perf_counter() - began_at, other_percent)]
    text = "\n".join([report.text(alone, combined, scores, ours), *notes])
    args.results.mkdir(exist_ok=True)
    (args.results / "tune.md").write_text(text + "\n")
    kept.write(args.results / "tune.json", alone, combined, scores)
    for name, findings in alone.items():
        (args.results / f"tune-{name}.svg").write_text(report.plot(name, findings))
    for place, by_scenario in scores.items():
        subtitle = f"mean of {len(by_scenario)} scenarios with four upstreams, {place}; logarithmic"
        (args.results / f"tune-{place}.svg").write_text(report.chart(by_scenario, ours, subtitle))
    print(text)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
