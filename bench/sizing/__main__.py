"""`python -m bench.sizing`: the constants from which deploy/SIZING.md reckons, as tables in Markdown.

Costs are CPU time and memory of processes: other work on the machine disturbs them little, but for colder caches.
"""

import argparse
import sys
from collections.abc import Sequence

from bench import machine
from bench.processes import NotReady
from bench.sizing import commands, memory, streams, table
from bench.sizing.reckon import Constants, Wanted, needs
from bench.window import BadRun

LOADS = (
    Wanted(1_000, 20, 15, 300, models=10, cores_per_host=4),
    Wanted(10_000, 20, 15, 300, models=10, cores_per_host=8),
    Wanted(100_000, 20, 15, 300, models=10, cores_per_host=32),
    Wanted(1_000_000, 20, 15, 300, models=10, cores_per_host=64),
)
"""Worked examples: twenty tokens a second, a quarter of a minute each, ten models that are in use."""
BUSY_HZ = 5_000
"""Events a second from which on a worker is busy."""


def constants_of(
    found: Sequence[commands.Measured],
    held: Sequence[streams.Held],
    listened: Sequence[streams.Paced],
    request_us: float,
) -> Constants:
    """The dearest of what was measured, where there is a choice; rounded, as the page has it.

    Of events only where a worker has as many as to be busy: one that sleeps between them pays for waking up too.
    """
    most = held[-1]
    line = table.under_load(found)
    return Constants(
        event_us=round(max(one.cpu_us_per_event for one in listened if one.events_per_s > BUSY_HZ), 1),
        request_us=round(request_us, 1),
        stream_kb=round(max(one.kb_per_stream + one.kernel_kb_per_stream for one in held), 1),
        stream_descriptors=round(most.descriptors_per_stream),
        worker_mb=round(most.worker_mb, 1),
        supervisor_mb=round(most.others_mb, 1),
        money_hz=round(max(line.base, 0.0), 1),
        model_hz=round(line.slope, 1),
        script_us=round(table.script_us(found), 1),
        generation_bytes=round(max(one.bytes_per_generation for one in found)),
    )


def _measure() -> None:
    told = machine.describe(machine.assign())
    for name in [name for name in told if name not in ("cores used", "command")]:  # nothing is bound to a core
        print(f"- {name}: {told[name]}")
    print(f"- other work before the run: {machine.busy_percent():.0f} % of the machine", flush=True)
    held, listened, request_us = streams.held(), streams.listened(), streams.cpu_us_per_request()
    print("\n## Streams\n")
    print(table.held(held), table.listened(listened, request_us), sep="\n\n", flush=True)
    found = commands.measure()
    rest, load = table.at_rest(found), table.under_load(found)
    print("\n## Redis: what it hears\n")
    print(table.commands(found))
    print(f"\nScripts a second of one worker, at rest: {rest.base:.1f} + {rest.slope:.2f} · models", end="")
    print(f"; under load: {load.base:.1f} + {load.slope:.2f} · models.", flush=True)
    print("\n## Redis: what it holds\n")
    print(table.stored(memory.stored(), found))
    constants = constants_of(found, held, listened, request_us)
    print("\n## Constants\n")
    print(table.constants(constants))
    print("\n## Streams of one core\n")
    print(table.per_core(constants))
    print("\n## Worked examples\n")
    print(table.needed([(wanted, needs(constants, wanted)) for wanted in LOADS]))


def main() -> int:
    """Run from the command line."""
    argparse.ArgumentParser(prog="python -m bench.sizing", description=__doc__).parse_args()
    try:
        _measure()
    except (NotReady, BadRun, OSError) as problem:
        raise SystemExit(f"bench: {problem}") from problem
    return 0


if __name__ == "__main__":
    sys.exit(main())
