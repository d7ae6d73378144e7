"""`python -m bench.scale`: what more workers, endpoints, models and keys cost.

The tables go to standard output and bench/results/scale.md, every number to scale.json.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import machine, report
from bench.processes import NotReady
from bench.scale import choice, keys, table, workers
from bench.scale.plan import QUICK, Places, Plan, places
from bench.session import Session
from bench.targets import HERE
from bench.window import BadRun
from fairlead.errors import ConfigError

PARTS = ("workers", "balance", "endpoints", "models", "keys")
_LIMIT_S = 900.0


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="short windows and small numbers: a smoke test, not a result")
    add("--only", action="append", choices=PARTS, help="measure this part (repeat)")
    add("--seconds", type=float, help=f"length of each window ({Plan().seconds:g})")
    add("--upstream", type=Path, metavar="FILE", help="a program to run as the provider, in place of bench/upstream.py")
    add("--results", type=Path, default=HERE / "results", metavar="FOLDER", help="where the results go")
    return parser.parse_args(words)


@dataclass(slots=True)
class Findings:
    """What was measured, and what could not be."""

    sections: list[str] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def take(self, name: str, where: Places, plan: Plan) -> None:
        """Measure one part: its text, and its numbers. What goes wrong is a problem of this part."""
        print(f"bench: {name}", file=sys.stderr, flush=True)
        try:
            text, self.raw[name] = _PARTS[name](where, plan)
        except (BadRun, NotReady, ConfigError, ExceptionGroup) as problem:
            self.problems.append(f"{name}: {problem}")
        else:
            self.sections.append(text)


def _workers(where: Places, plan: Plan) -> tuple[str, Any]:
    found = workers.compared(where, plan)
    raw = {name: [asdict(one) for one in costs] for name, costs in found.items()}
    return f"## Workers\n\n{table.workers(found, where)}", raw


def _balance(where: Places, plan: Plan) -> tuple[str, Any]:
    found = workers.balanced(where, plan)
    return f"## Who serves how many\n\n{table.balance(found)}", [asdict(one) for one in found]


def _endpoints(where: Places, plan: Plan) -> tuple[str, Any]:
    found = choice.endpoints(where, plan)
    return f"## Endpoints of one model\n\n{table.choices(found)}", [asdict(one) for one in found]


def _models(where: Places, plan: Plan) -> tuple[str, Any]:
    found = choice.models(where, plan)
    return f"## Models\n\n{table.choices(found)}", [asdict(one) for one in found]


def _keys(where: Places, plan: Plan) -> tuple[str, Any]:
    found = keys.measured(where, plan)
    return f"## Keys\n\n{table.keys(found)}\n\n{table.filled(found)}", [asdict(one) for one in found]


_PARTS = {"workers": _workers, "balance": _balance, "endpoints": _endpoints, "models": _models, "keys": _keys}


def main(words: Sequence[str]) -> int:
    """Run from the command line; 0 when everything could be measured."""
    args = _arguments(words)
    plan = QUICK if args.quick else Plan()
    plan = replace(plan, upstream=args.upstream, seconds=args.seconds or plan.seconds)
    where = places(sorted(os.sched_getaffinity(0)))
    cores = machine.Cores(min(where.one), where.upstream, where.load)
    findings = Findings()
    with Session(cores, "python -m bench.scale", _LIMIT_S) as session:
        two = ", ".join(map(str, sorted(where.two)))
        session.facts["cores used"] = f"gateway {min(where.one)} (two workers: {two}), " + (
            f"upstream {where.upstream}, load {where.load}"
        )
        session.facts["windows"] = f"{plan.windows} of {plan.seconds:g} s each, {plan.warm_s:g} s of warm-up"
        for name in PARTS:
            if not args.only or name in args.only:
                findings.take(name, where, plan)
    lines = ["# Scale", "", *(f"- {name}: {value}" for name, value in session.facts.items()), ""]
    lines += [f"{section}\n" for section in findings.sections]
    notes = [*(f"problem: {problem}" for problem in findings.problems), *session.warnings]
    text = "\n".join([*lines, *(f"**{note}**" for note in notes)])
    report.write(args.results, text, {"facts": session.facts, "problems": findings.problems, **findings.raw}, "scale")
    print(text)
    return 1 if findings.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
