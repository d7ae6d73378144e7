"""How much Redis hears of a gateway, at rest and under load: by workers and by models with endpoints.

A worker sends, ten times a second, one script for each model of which something is new, and one for money; of a model
at rest it asks once a second. So it is workers times models that counts; endpoints only make the answers longer.
"""

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench import procfs
from bench.load import Paced
from bench.sizing.memory import LEDGER, sizes
from bench.stage import Stage
from fairlead.store.money import SLOT

REST_S = 5.0
LOAD_S = 4.0
WARM_S = 1.5
PER_WORKER_AND_MODEL_HZ = 30.0
"""Requests: three in each tenth of a second, so that there is news in nearly all of them."""
SIZES = ((1, 1, 1), (1, 5, 1), (1, 10, 1), (1, 10, 3), (2, 1, 1), (2, 5, 1), (4, 1, 1), (4, 2, 1))
"""Workers, models, providers of each. Larger ones would tell of two cores that are full: their ticks come late."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Per second of a window."""

    scripts: float
    """Calls of a worker: each is one round trip, or part of one."""
    commands: float
    """All that the server has run, those inside of scripts too."""
    server_cpu_ms: float
    gateway_cpu_ms: float
    in_kb: float
    out_kb: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One size of gateway."""

    workers: int
    models: int
    endpoints: int
    rest: Heard
    load: Heard
    requests_per_s: float
    bytes_per_model: float
    """What Redis keeps of a model's endpoints: their health, percentiles and minutes."""
    bytes_per_generation: float
    """Of the ledger, with the ids by which it is found."""


def _reading(stage: Stage) -> tuple[float, float, float, float, float, float, float]:
    stats, cpu, calls = stage.info("stats"), stage.info("cpu"), stage.info("commandstats")
    scripts = sum(calls.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))
    return (
        time.perf_counter(),
        scripts,
        stats["total_commands_processed"],
        1e3 * (cpu["used_cpu_user"] + cpu["used_cpu_sys"]),
        sum(procfs.cpu_ns(stage.pids()).values()) / 1e6,
        stats["total_net_input_bytes"] / 1024,
        stats["total_net_output_bytes"] / 1024,
    )


async def _window(stage: Stage, seconds: float) -> Heard:
    before = await asyncio.to_thread(_reading, stage)
    await asyncio.sleep(seconds)
    after = await asyncio.to_thread(_reading, stage)
    passed_s, *grown = (late - early for early, late in zip(before, after, strict=True))
    return Heard(*(amount / passed_s for amount in grown))


async def _measure(stage: Stage) -> Measured:
    rate_hz = PER_WORKER_AND_MODEL_HZ * stage.workers
    async with AsyncExitStack() as stack:
        loads = [
            await stack.enter_async_context(Paced(stage.request(model), connections=4 * stage.workers, rate_hz=rate_hz))
            for model in stage.models
        ]
        await asyncio.sleep(WARM_S)
        answered = sum(load.replies for load in loads)
        load = await _window(stage, LOAD_S)
        answered = sum(load.replies for load in loads) - answered
    await asyncio.sleep(WARM_S)
    rest = await _window(stage, REST_S)
    held = sizes(stage.redis)
    kept = sum(size.bytes for pattern, size in held.items() if pattern.startswith(r"\{.*\}:"))
    books = sum(held[pattern].bytes for pattern in LEDGER) / int(stage.redis.xlen(f"{SLOT}ledger"))
    models = len(stage.models)
    return Measured(stage.workers, models, stage.endpoints, rest, load, answered / LOAD_S, kept / models, books)


def measure() -> list[Measured]:
    """Measure every size, each with fresh processes."""
    found = []
    for workers, models, providers in SIZES:
        with (
            tempfile.TemporaryDirectory(prefix="sizing-") as folder,
            Stage(Path(folder), workers=workers, models=models, providers=providers) as stage,
        ):
            found.append(uvloop.run(_measure(stage)))
    return found
