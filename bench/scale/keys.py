"""What a request costs when the store has many keys: by one that its worker knows, and by those it has never seen."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.request import Request
from bench.scale.cost import Cost, cost
from bench.scale.filling import Filled, fill
from bench.scale.plan import Places, Plan
from bench.scale.turns import Turns
from bench.scale.workers import staged
from bench.stage import Stage
from bench.window import Reading, check, quantile, until

_CONNECTIONS = 16
_ONE_BY_ONE_S = 60.0


@dataclass(frozen=True, slots=True)
class Pass:
    """Each of some keys asks once."""

    keys: int
    cpu_us: float
    """Of all processes, for each request."""
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Stored:
    """One number of keys."""

    filled: Filled
    start_s: float
    """Of a gateway that finds them in its store."""
    known: Cost
    """By one key, again and again."""
    first: Pass
    """By keys that the worker has not seen before."""
    again: Pass
    """By the same keys once more."""
    turns: Cost | None
    """By all of these, by turns; None where there is one."""


def measured(where: Places, plan: Plan) -> list[Stored]:
    """Measure each number of keys. Raises BadRun, NotReady and ConfigError."""
    return [_measured(where, plan, keys) for keys in plan.keys]


def _measured(where: Places, plan: Plan, keys: int) -> Stored:
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        folder = Path(name)
        filled, tokens = fill(folder, keys, plan.fresh + 1, min(where.one))
        with staged(folder, where, plan, where.one) as stage:
            return uvloop.run(_asked(stage, plan, filled, tokens))


async def _asked(stage: Stage, plan: Plan, filled: Filled, tokens: list[str]) -> Stored:
    requests = [stage.request(stage.models[0], key=token) for token in tokens]
    if len(requests) == 1:  # its first look-up is all there is to see of that
        first = await _pass(stage, requests)
        known = await cost(stage, requests, plan)
        return Stored(filled, stage.start_s, known, first, await _pass(stage, requests), None)
    known = await cost(stage, requests[:1], plan)
    first = await _pass(stage, requests[1:])
    again = await _pass(stage, requests[1:])
    return Stored(filled, stage.start_s, known, first, again, await cost(stage, requests[1:], plan))


async def _pass(stage: Stage, requests: list[Request]) -> Pass:
    async with Turns(requests, _CONNECTIONS, most=len(requests)) as load:
        reading = Reading(stage.pids(), lambda: load.replies)
        await until(lambda: load.replies == len(requests), "an answer for each key", load, _ONE_BY_ONE_S)
        seen = reading.window()
        check(load, seen.count)
        times = list(load.latencies_s)
    cpu_us = seen.cpu_s * 1e6 / seen.count
    return Pass(len(requests), cpu_us, 1e3 * quantile(times, 0.5), 1e3 * quantile(times, 0.99))
