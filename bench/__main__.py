"""`python -m bench`: the overhead of the gateway, as ratios to nginx in the same run."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from bench import figures, machine, report, targets
from bench.figures import Plan
from bench.report import DIRECT
from bench.rounds import Bench, Settings
from bench.session import Session
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


def _named(word: str, declared: Sequence[Target]) -> Target:
    name, _, url = word.partition("=")
    known = next((target for target in declared if target.name == name), None)
    if url:
        return replace(known or Target(name), url=url)
    if known is None:
        raise SystemExit(f"bench: no target {name!r}; there is {', '.join(target.name for target in declared)}")
    return known


def _report(bench: Bench, chosen: Sequence[Target], facts: dict[str, str], warnings: Sequence[str]) -> str:
    reference = bench.settings.reference
    lines = ["# Overhead", "", *(f"- {name}: {value}" for name, value in facts.items())]
    lines += ["", report.table(bench.numbers, [*(target.name for target in chosen), DIRECT], reference), ""]
    return "\n".join([*lines, *(f"**{note}**" for note in [*bench.notes(), *warnings])])


def main() -> int:
    """Run from the command line; 0 when every figure of every target could be taken."""
    args = _arguments()
    declared = targets.load()
    chosen = targets.installed(declared if args.target is None else [_named(word, declared) for word in args.target])
    reference = declared[0].name if declared[0] in chosen else DIRECT
    cores = machine.assign()
    plan = Plan(args.seconds, warm_s=0.3 if args.quick else 0.5, held_streams=200 if args.quick else 500)
    names = tuple(name for name in figures.ALL if not args.only or name in args.only)
    bench = Bench(Settings(args.rounds, names, plan, reference, args.key, args.upstream_port), chosen, cores)

    with Session(cores, "python -m bench", bench.limit_s()) as session:
        session.facts |= {target.name: targets.version(target) for target in chosen}
        session.facts["windows"] = (
            f"{args.rounds} rounds of {args.seconds:g} s each, {plan.warm_s:g} s of warm-up before each"
        )
        bench.run()

    text = _report(bench, chosen, session.facts, session.warnings)
    report.write(HERE / "results", text, bench.raw(session.facts))
    print(text)
    return 1 if bench.problems else 0


if __name__ == "__main__":
    sys.exit(main())
