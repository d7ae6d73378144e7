"""`python -m bench.soak`: mixed load with aborts and faults; then everything must be where it was. Exit code 1 if not.

The load goes on for --seconds. Before it there is a short one of the same kind, which opens what stays open and fills
what is remembered; what there is after that is the start.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from http.client import HTTPException
from pathlib import Path
from types import FrameType

import uvloop
from redis.exceptions import RedisError

from bench.processes import NotReady
from bench.soak import table
from bench.soak.gateway import Gateway
from bench.soak.levels import Ended, is_at_rest, verdict
from bench.soak.looks import Look, look
from bench.soak.mischief import Traffic
from bench.soak.providers import SERVED, Providers
from fairlead import clock, tasks

WARM_S = 5.0
LOOK_S = 1.0
TROUBLE_EACH = 4
"""After so many looks the store has a fault."""
REST_S = 60.0
"""How long it is waited for rest. It takes some 12 seconds, as leases are kept for ten; what has not gone
after five times that never does."""
_STILL_LOOKS = 10
_SEED = 7


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="length of the load (600)")
    parser.add_argument("--warm", type=float, default=WARM_S, help=f"and of the one before it ({WARM_S:g})")
    parser.add_argument("--callers", type=int, default=24, help="at once (24)")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="leave the gateway's log there")
    return parser.parse_args()


async def _load(
    gateway: Gateway, providers: Providers, traffic: Traffic, seconds: float, seen: Callable[[Look], None]
) -> None:
    """Let callers and providers do their worst for so long, and look on."""
    faults = tasks.start("faults", providers.run())
    callers = tasks.start("callers", traffic.run())
    until = clock.monotonic() + seconds
    number = 0
    try:
        while clock.monotonic() < until and not callers.done():
            number += 1
            seen(await asyncio.to_thread(look, gateway))
            if number % TROUBLE_EACH == 0:
                await asyncio.to_thread(gateway.trouble, number // TROUBLE_EACH)
            await asyncio.sleep(LOOK_S)
        traffic.end()
        await callers
    finally:
        for task in (faults, callers):
            task.cancel()
        await asyncio.gather(faults, callers, return_exceptions=True)


async def _still(gateway: Gateway) -> list[Look]:
    """Look several times in a row, once nothing is in flight any more."""
    looks: list[Look] = []
    deadline = clock.monotonic() + REST_S
    while len(looks) < _STILL_LOOKS and clock.monotonic() < deadline:
        one = await asyncio.to_thread(look, gateway)
        looks = [*looks, one] if not one.total("in_flight") else []
        await asyncio.sleep(0.1)
    return looks


async def _rest(gateway: Gateway, start: list[Look], there_are: Mapping[str, int]) -> Look:
    """Return the first look at which all is as it was at the start; the last one if that never comes."""
    deadline = clock.monotonic() + REST_S
    while True:
        one = await asyncio.to_thread(look, gateway)
        if is_at_rest(start, one, there_are) or clock.monotonic() > deadline:
            return one
        await asyncio.sleep(0.2)


def _counts(gateway: Gateway) -> dict[str, int]:
    models = [model for served, _ in SERVED.values() for model in served.split(",")]
    return {
        "one": 1,
        "day": 2,  # it may be midnight
        "key": 1 + len(gateway.limited),
        "group": len(set(models)) + len(SERVED),
        "endpoint": len(models),
    }


async def _soak(args: argparse.Namespace, folder: Path) -> Ended:
    curve = table.Curve()
    async with Providers(_SEED) as providers:
        with Gateway(folder, providers.environment()) as gateway:

            def traffic(seed: int) -> Traffic:
                return Traffic(gateway.port, gateway.limited, args.callers, seed)

            warm = traffic(_SEED)
            await _load(gateway, providers, warm, args.warm, lambda _: None)
            start = await _still(gateway)
            load = traffic(_SEED + 1000)
            await _load(gateway, providers, load, args.seconds, curve.add)
            rest = await _rest(gateway, start, _counts(gateway))
            if args.keep is not None:
                args.keep.write_text(gateway.log())
            wrong = Counter(warm.wrong + load.wrong) + Counter(gateway.complaints())
            wrong.update(filter(None, [gateway.difference()]))
            ended = Ended(start, curve.looks, rest, _counts(gateway), wrong)
    print(table.summary(ended, load.done))
    return ended


def _ended(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _run(work: Coroutine[None, None, Ended]) -> Ended:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def main() -> int:
    """Run from the command line; 1 when something did not come back, or went wrong."""
    args = _arguments()
    signal.signal(signal.SIGTERM, _ended)
    with tempfile.TemporaryDirectory(prefix="soak-") as place:
        try:
            ended = _run(_soak(args, Path(place)))
        except NotReady as problem:
            raise SystemExit(f"bench: {problem}") from problem
        except (OSError, HTTPException, RedisError) as problem:
            raise SystemExit(f"FAILED: a worker or the store is gone: {problem!r}") from problem
    problems = verdict(ended)
    print("\n".join([*(f"FAILED: {problem}" for problem in problems), f"soak: {'failed' if problems else 'passed'}"]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
