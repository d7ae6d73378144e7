"""One worker and two: what they can do, what a request costs with them, and who of them serves how many."""

import asyncio
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench import procfs
from bench.scale.cost import Cost, cost
from bench.scale.plan import Places, Plan
from bench.scale.turns import Turns
from bench.stage import Places as StagePlaces
from bench.stage import Stage
from bench.window import check, until


@dataclass(frozen=True, slots=True)
class Served:
    """How many connections, and replies in a window, each worker had."""

    workers: int
    connections: list[int]
    replies: list[int]


def staged(
    folder: Path,
    where: Places,
    plan: Plan,
    gateway: Collection[int],
    *,
    workers: int = 1,
    models: int = 1,
    providers: int = 1,
) -> Stage:
    """A gateway with its own store, on the cores `gateway`."""
    return Stage(
        folder,
        workers=workers,
        models=models,
        providers=providers,
        is_embedded=True,
        places=StagePlaces(gateway, where.upstream),
        upstream=plan.upstream,
    )


@dataclass(frozen=True, slots=True)
class Gateway:
    """One way to run it."""

    name: str
    workers: int
    cores: frozenset[int]


def gateways(where: Places) -> list[Gateway]:
    """What is compared: the same work on one core first, so that only the second worker is new."""
    return [
        Gateway("1 worker", 1, where.one),
        Gateway("2 workers, the same core", 2, where.one),
        Gateway("2 workers, 2 cores", 2, where.two),
    ]


def compared(where: Places, plan: Plan) -> dict[str, list[Cost]]:
    """Measure each in turn, every second round the other way round. Raises BadRun and NotReady."""
    found: dict[str, list[Cost]] = {one.name: [] for one in gateways(where)}
    for number in range(plan.rounds):
        for one in gateways(where)[:: -1 if number % 2 else 1]:
            found[one.name].append(_measured(one, where, plan))
    return found


def _measured(one: Gateway, where: Places, plan: Plan) -> Cost:
    with (
        tempfile.TemporaryDirectory(prefix="scale-") as folder,
        staged(Path(folder), where, plan, one.cores, workers=one.workers) as stage,
    ):
        return uvloop.run(cost(stage, [stage.request(stage.models[0])], plan))


def balanced(where: Places, plan: Plan) -> list[Served]:
    """Look at who serves whom, with fresh connections each time."""
    found = []
    for workers in plan.balancing:
        with (
            tempfile.TemporaryDirectory(prefix="scale-") as folder,
            staged(Path(folder), where, plan, where.two, workers=workers) as stage,
        ):
            found += [uvloop.run(_served(stage, connections, plan)) for connections in plan.balanced]
    return found


async def _served(stage: Stage, connections: int, plan: Plan) -> Served:
    async with Turns([stage.request(stage.models[0])], connections) as load:
        await until(lambda: len(load.by_port) >= connections, f"an answer for each of {connections} connections", load)
        before = load.by_port.copy()
        await asyncio.sleep(plan.seconds)
        replies = load.by_port - before
        check(load, replies.total())
        ports = procfs.callers(stage.port, stage.worker_pids())
    ours = set(load.by_port)
    held = {pid: found & ours for pid, found in ports.items()}
    return Served(
        stage.workers,
        [len(found) for found in held.values()],
        [sum(replies[port] for port in found) for found in held.values()],
    )
