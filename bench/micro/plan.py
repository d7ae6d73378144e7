"""Planning a request."""

import random
from collections.abc import Sequence
from types import MappingProxyType

from bench.micro.timing import Case
from fairlead.catalog.model import FREE, Catalog, Endpoint, Model, Provider
from fairlead.health.board import FAILURES_TO_EJECT, HealthBoard
from fairlead.health.outcome import Outcome, Verdict
from fairlead.plan.plan import make_plan

_MODEL = "bench/echo"


def _case(name: str, candidates: int, ejected: int) -> Case:
    model = Model(_MODEL, "Bench: Echo")
    providers = [
        Provider(f"p{n}", f"P{n}", "http://localhost", weight=n + 1, max_concurrency=64) for n in range(candidates)
    ]
    endpoints = tuple(Endpoint(provider, model, "echo", FREE) for provider in providers)
    catalog = Catalog(
        MappingProxyType({_MODEL: model}), MappingProxyType({_MODEL: endpoints}), MappingProxyType({"echo": _MODEL})
    )
    board = HealthBoard(eject_min_s=60.0)
    for endpoint in endpoints[:ejected]:
        for _ in range(FAILURES_TO_EJECT):
            board.observe(endpoint.id, Outcome(Verdict.TRANSIENT), now=0.0)
    rng = random.Random(1)
    return Case(name, lambda: make_plan(catalog, board.of, _MODEL, worker_share=0.25, now=1.0, rng=rng))


def cases() -> Sequence[Case]:
    """All candidates healthy, some ejected, all ejected."""
    return [
        _case("one candidate", 1, 0),
        _case("ten candidates", 10, 0),
        _case("ten candidates, three ejected", 10, 3),
        _case("ten candidates, all ejected", 10, 10),
    ]
