"""What a request costs a gateway that has a lot to choose from, and what the gateway costs when nobody asks."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from bench import procfs
from bench.request import Request
from bench.scale.plan import Plan
from bench.scale.turns import Turns
from bench.stage import Stage
from bench.window import Reading, check, window


@dataclass(frozen=True, slots=True)
class Cost:
    """One size of gateway, under one load. Lists have a number for each window."""

    cpu_us: list[float]
    """Of all its processes, the store's too, for each request."""
    worker_us: list[float]
    """Of its workers alone."""
    requests_per_s: list[float]
    worker_mb: float
    """Memory (PSS) of its workers, after the load."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Milliseconds of CPU in each second in which nobody asks."""

    worker_ms: float
    others_ms: float
    """Of the supervisor and the store."""


async def cost(stage: Stage, requests: Sequence[Request], plan: Plan) -> Cost:
    """A saturating closed loop. Raises BadRun."""
    workers, everyone = stage.worker_pids(), stage.pids()
    cpu_us, worker_us, rates = [], [], []
    async with Turns(requests, plan.connections) as load:
        await asyncio.sleep(plan.warm_s)
        for _ in range(plan.windows):
            of_workers = Reading(workers, lambda: load.replies)
            seen = await window(everyone, plan.seconds, lambda: load.replies)
            check(load, seen.count)
            cpu_us.append(seen.cpu_s * 1e6 / seen.count)
            worker_us.append(of_workers.window().cpu_s * 1e6 / seen.count)
            rates.append(seen.count / seen.seconds)
        check(load, load.verified)
    memory = sum(one.pss_bytes for one in procfs.memory(workers).values())
    return Cost(cpu_us, worker_us, rates, memory / 1024**2)


async def rest(stage: Stage, plan: Plan) -> Rest:
    """After a load, once it has been settled."""
    await asyncio.sleep(plan.warm_s)
    workers, everyone = stage.worker_pids(), stage.pids()
    of_workers = Reading(workers, lambda: 0)
    seen = await window(everyone, plan.seconds * 2, lambda: 0)
    served = of_workers.window()
    worker_ms = 1e3 * served.cpu_s / served.seconds
    return Rest(worker_ms, 1e3 * seen.cpu_s / seen.seconds - worker_ms)
