"""`python -m bench.faults`: what callers and workers notice when a provider, or the store, fails under load."""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import uvloop

from bench import machine
from bench.faults import gatewaylog
from bench.faults.figures import Numbers, Run, measure, troubles
from bench.faults.fleet import KEY, Fleet
from bench.faults.scenarios import SCENARIOS, Course
from bench.faults.table import table
from bench.faults.traffic import Traffic
from bench.processes import NotReady

WARM_S = 10.0
AFTER_S = 20.0
_SEED = 11


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    names = ", ".join(SCENARIOS)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, metavar="NAME", help=f"repeat for: {names}")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the fault (30)")
    parser.add_argument("--after", type=float, default=AFTER_S, help=f"seconds watched after it ({AFTER_S:g})")
    parser.add_argument("--rate", type=float, default=150.0, help="requests per second (150)")
    parser.add_argument("--workers", type=int, default=4, help="of the gateway (4)")
    parser.add_argument("--rounds", type=int, default=1, help="how often each scenario is run (1)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the gateway")
    parser.add_argument("--json", action="store_true", help="print all numbers as JSON instead of the table")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the gateway's logs there")
    return parser.parse_args()


async def _drive(fleet: Fleet, name: str, args: argparse.Namespace, seed: int) -> tuple[Course, Traffic]:
    course = Course()
    traffic = Traffic(fleet.url, KEY, fleet.models, args.rate, seed)
    seconds = WARM_S + args.seconds + args.after

    async def fail() -> None:
        await asyncio.sleep(WARM_S)
        await SCENARIOS[name].fault(fleet, args.seconds, course)

    async with asyncio.TaskGroup() as group:
        group.create_task(fail())
        group.create_task(traffic.run(seconds))
    return course, traffic


def _run(name: str, args: argparse.Namespace, number: int) -> Run:
    """Run one scenario, in fresh processes. Raises NotReady."""
    models = [f"bench/chat-{n}" for n in range(SCENARIOS[name].models)]
    settings = dict(word.split("=", 1) for word in args.set)
    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        with Fleet(Path(place), args.workers, models, settings) as fleet:
            before = fleet.store_commands()
            course, traffic = uvloop.run(_drive(fleet, name, args, _SEED + number))
            after = fleet.store_commands()
            seconds = traffic.answers[-1].ended_at - traffic.answers[0].due_at
        text = fleet.log()  # whole, now that its writers have ended
    if args.keep is not None:
        args.keep.mkdir(parents=True, exist_ok=True)
        (args.keep / f"{name}-{number}.log").write_text(text)
    return Run(course, traffic.answers, gatewaylog.read(text), args.workers, _less(after, before), seconds)


def _less(
    after: Mapping[str, Mapping[str, float]], before: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    nothing: Mapping[str, float] = {}
    return {
        name: {count: counts[count] - before.get(name, nothing).get(count, 0.0) for count in ("calls", "usec")}
        for name, counts in after.items()
    }


def _ended(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> int:
    """Run from the command line; 1 when requests failed."""
    args = _arguments()
    signal.signal(signal.SIGTERM, _ended)
    rounds: dict[str, list[Numbers]] = {}
    notes: list[str] = []
    busy_percent, times = machine.busy_percent(), machine.cpu_times()
    for name in args.scenario or SCENARIOS:
        for number in range(args.rounds):
            print(f"bench: {name}: {SCENARIOS[name].what}, round {number + 1}", file=sys.stderr, flush=True)
            try:
                run = _run(name, args, number)
            except NotReady as problem:
                raise SystemExit(f"bench: {problem}") from problem
            rounds.setdefault(name, []).append(measure(run))
            notes += [f"{name}, round {number + 1}: {trouble}" for trouble in troubles(run)]
    stolen_percent = machine.steal_percent(times, machine.cpu_times())
    notes.append(f"other work before: {busy_percent:.0f} % of the machine; stolen time: {stolen_percent:.1f} %")
    if args.json:
        print(json.dumps({"rounds": rounds, "notes": notes}, indent=1))
    else:
        print("\n".join([table(rounds), "", *(f"- {note}" for note in notes)]))
    return 1 if any(numbers["failed"] for runs in rounds.values() for numbers in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
