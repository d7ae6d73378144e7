"""`python -m bench.streaming`: what streams and large bodies cost beside nginx, as ratios in the same run.

The table goes to standard output and bench/results/streaming.md, every number of every round to streaming.json.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import machine, report, targets
from bench.figures import Plan
from bench.report import DIRECT
from bench.request import MODELS
from bench.rounds import Bench, Settings
from bench.session import Session
from bench.streaming import figures
from bench.streaming.figures import Sizes
from bench.streaming.rows import rows
from bench.targets import HERE, Target

_REFERENCE = "nginx"
_CONNECTIONS = "24000"
"""nginx begins to close connections when a sixteenth of them is left."""
_SETTINGS = {
    "FAIRLEAD_MAX_IN_FLIGHT": "100000",
    "FAIRLEAD_UPSTREAM_MAX_CONNECTIONS": "100000",
    "FAIRLEAD_PROVIDERS__SIM__MODELS": ",".join(MODELS),
}
"""What the declared targets lack: as many streams at once as there are to be, and the models of this program."""
_LIMIT_S = 600.0


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.streaming", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--rounds", type=int, help="how often everything is measured (3)")
    add("--seconds", type=float, help="length of each window (2)")
    add("--quick", action="store_true", help="1 round of small loads: a smoke test, not a result")
    add("--only", action="append", choices=list(figures.measures(Sizes())), help="measure this figure (repeat)")
    add("--targets", type=Path, default=HERE / "targets.toml", metavar="FILE", help="whom there is to measure")
    add("--results", type=Path, default=HERE / "results", metavar="FOLDER", help="where the results go")
    args = parser.parse_args(words)
    args.rounds = args.rounds or (1 if args.quick else 3)
    args.seconds = args.seconds or (0.3 if args.quick else 2.0)
    return args


def _for_many(target: Target) -> Target:
    """The same, with room for ten thousand streams."""
    fill = {"connections": _CONNECTIONS} if "connections" in target.fill else {}
    env = _SETTINGS if "FAIRLEAD_PORT" in target.env else {}
    return replace(target, fill={**target.fill, **fill}, env={**target.env, **env})


def _limits(sizes: Sizes) -> list[str]:
    """What the machine does not permit."""
    most, room = max(sizes.held), figures.permitted()
    if most <= room:
        return []
    text = f"{most:,} idle streams were not permitted: `ulimit -n` leaves one process room for {room:,}"
    return [f"{text}, with two descriptors each; so many were held instead"]


def _text(bench: Bench, names: Sequence[str], sizes: Sizes, facts: dict[str, str], warnings: Sequence[str]) -> str:
    lines = ["# Streams", "", *(f"- {name}: {value}" for name, value in facts.items()), ""]
    lines += [report.table(bench.numbers, [*names, DIRECT], bench.settings.reference, rows(sizes)), ""]
    return "\n".join([*lines, *(f"**{note}**" for note in [*bench.notes(), *_limits(sizes), *warnings])])


def main(words: Sequence[str]) -> int:
    """Run from the command line; 0 when every figure of every target could be taken."""
    args = _arguments(words)
    chosen = targets.installed(_for_many(target) for target in targets.load(args.targets))
    reference = _REFERENCE if any(target.name == _REFERENCE for target in chosen) else DIRECT
    sizes = figures.QUICK if args.quick else Sizes()
    measures = figures.measures(sizes)
    names = tuple(name for name in measures if not args.only or name in args.only)
    cores = machine.assign()
    plan = Plan(args.seconds, warm_s=min(0.5, args.seconds), held_streams=0)
    settings = Settings(
        args.rounds,
        names,
        plan,
        reference,
        "sk-bench",
        None,
        measures=measures,
        anew=() if args.quick else figures.ANEW,
        of_the_direct_way=figures.OF_THE_DIRECT_WAY,
    )
    bench = Bench(settings, chosen, cores)
    with Session(cores, "python -m bench.streaming", _LIMIT_S) as session:
        session.facts |= {target.name: targets.version(target) for target in chosen}
        session.facts["windows"] = f"{args.rounds} round(s) of {args.seconds:g} s each, {plan.warm_s:g} s of warm-up"
        bench.run()
    told = [target.name for target in chosen]
    text = _text(bench, told, sizes, session.facts, session.warnings)
    report.write(args.results, text, bench.raw(session.facts), "streaming")
    print(text)
    return 1 if bench.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
