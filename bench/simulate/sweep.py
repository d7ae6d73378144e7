"""`python -m bench.simulate sweep`: what each constant of the product is worth.

One at a time, half and twice its value, on tuning seeds. Shown is by how much that is worse (+) or better (-) than the
value that it has, mean over all runs.
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean

from bench.simulate.experiment import TUNING_SEEDS, Task, run, side_by_side
from bench.simulate.knobs import KNOBS
from bench.simulate.metrics import Figures
from bench.simulate.policies import PRODUCT
from bench.simulate.scenarios import SCENARIOS

FACTORS = (0.5, 2.0)
_BY_NAME = {knob.name: knob for knob in KNOBS}


@dataclass(frozen=True, slots=True)
class Variation:
    """A run with one constant multiplied; without a `knob`, as things are."""

    task: Task
    knob: str = ""
    factor: float = 1.0


def run_varied(variation: Variation) -> Figures:
    """Run it; afterwards everything is as before."""
    if not variation.knob:
        return run(variation.task).figures[PRODUCT]
    knob = _BY_NAME[variation.knob]
    with knob.set(knob.value * variation.factor):
        return run(variation.task).figures[PRODUCT]


def effects(before: Sequence[Figures], after: Sequence[Figures]) -> list[str]:
    """Cells: by how many per cent cost and p99 grow, how many more in a hundred fail, how much later is ejected."""
    pairs = list(zip(before, after, strict=True))
    ejections = [end - start for old, new in pairs for start, end in zip(old.eject_s, new.eject_s, strict=False)]
    return [
        f"{100 * (fmean(new.cost_s / old.cost_s for old, new in pairs) - 1):+.1f}",
        f"{100 * (fmean(new.p99_s / old.p99_s for old, new in pairs) - 1):+.1f}",
        f"{100 * fmean(old.success - new.success for old, new in pairs):+.2f}",
        f"{fmean(ejections):+.2f}" if ejections else "",
        f"{fmean(new.store_calls_hz - old.store_calls_hz for old, new in pairs):+.0f}",
    ]


def line(*cells: str) -> str:
    """Align cells that come one line after another."""
    name, *numbers = cells
    return " | ".join([name.ljust(18), *(number.rjust(8) for number in numbers)])


def main(words: Sequence[str]) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulate sweep", description=__doc__)
    parser.add_argument("--knobs", nargs="+", choices=list(_BY_NAME), default=list(_BY_NAME), metavar="NAME")
    parser.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=1, help="how often each scenario is drawn (1)")
    parser.add_argument("--seconds", type=float, default=60.0, help="simulated length of a scenario (60)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="as many as there are cores")
    args = parser.parse_args(words)

    drawn = [(name, seed) for name in args.scenarios for seed in TUNING_SEEDS[: args.seeds]]
    keys = [("", 1.0), *((name, factor) for name in args.knobs for factor in FACTORS)]
    variations = [
        Variation(Task(scenario, seed, [PRODUCT], args.seconds), name, factor)
        for name, factor in keys
        for scenario, seed in drawn
    ]
    found = side_by_side(run_varied, variations, args.processes)
    as_it_is = list(islice(found, len(drawn)))
    print(line("constant", "is", "times", "cost %", "p99 %", "lost %", "eject s", "store/s"))
    for name, factor in keys[1:]:
        cells = effects(as_it_is, list(islice(found, len(drawn))))
        print(line(name, f"{_BY_NAME[name].value:g}", f"{factor:g}", *cells), flush=True)
    return 0
