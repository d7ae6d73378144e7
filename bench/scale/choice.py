"""What a request costs when there is much to choose from: endpoints of one model, and models."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.scale.cost import Cost, Rest, cost, rest
from bench.scale.plan import Places, Plan
from bench.scale.workers import staged
from bench.stage import Stage


@dataclass(frozen=True, slots=True)
class Choice:
    """One size of catalogue."""

    models: int
    endpoints: int
    """All of them, each model's together."""
    start_s: float
    one: Cost
    """One model is asked for."""
    all: Cost | None
    """All of them are, by turns; None where there is one."""
    rest: Rest
    """After that."""


def endpoints(where: Places, plan: Plan) -> list[Choice]:
    """One model, with ever more providers. Raises BadRun and NotReady."""
    return [_measured(where, plan, models=1, providers=count) for count in plan.endpoints]


def models(where: Places, plan: Plan) -> list[Choice]:
    """One provider, with ever more models. Raises BadRun and NotReady."""
    return [_measured(where, plan, models=count, providers=1) for count in plan.models]


def _measured(where: Places, plan: Plan, *, models: int, providers: int) -> Choice:
    with (
        tempfile.TemporaryDirectory(prefix="scale-") as folder,
        staged(Path(folder), where, plan, where.one, models=models, providers=providers) as stage,
    ):
        return uvloop.run(_asked(stage, plan))


async def _asked(stage: Stage, plan: Plan) -> Choice:
    requests = [stage.request(model) for model in stage.models]
    one = await cost(stage, requests[:1], plan)
    every = await cost(stage, requests, plan) if len(requests) > 1 else None
    return Choice(len(stage.models), stage.endpoints, stage.start_s, one, every, await rest(stage, plan))
