"""Planning a request: who is fit, and in which order to ask. The target is 20 µs for ten candidates."""

import random
from collections.abc import Sequence
from types import MappingProxyType

from bench.micro.timing import Case
from fairlead.catalog.model import Catalog, Endpoint, Model, Price, Provider
from fairlead.health.board import HealthBoard
from fairlead.health.estimate import Estimate
from fairlead.health.record import Record, State, Why
from fairlead.plan.plan import Planner
from fairlead.plan.score import Ask

_MODEL = Model("bench/echo", "Bench: Echo")
_NOW = 1000.0
_WORKERS = 4


def _case(name: str, candidates: int, *, ejected: int = 0, session: int = 0) -> Case:
    """Candidates with all that makes a score: a price, load, half of them with an elasticity, some in a hurry."""
    endpoints = tuple(_endpoint(n) for n in range(candidates))
    catalog = Catalog(
        MappingProxyType({_MODEL.id: _MODEL}), MappingProxyType({_MODEL.id: endpoints}), MappingProxyType({})
    )
    board = HealthBoard(fleet=_WORKERS)
    for n, endpoint in enumerate(endpoints):
        health = board.of(endpoint.id, _NOW)
        health.in_flight, health.sent_in_flight = 3, 2
        health.estimate = Estimate(
            first_token_s=0.4 + 0.02 * n,
            usual_s=0.4 + 0.02 * n,
            doubt=0.1,
            elasticity=0.2 * (n % 2),
            reference_load=4.0,
            in_flight=10.0,
            in_flight_limit=12.0 + n % 3,
            waiting=2.0,
            waiting_limit=4.0,
        )
        if n < ejected:
            health.record = Record(_NOW, _NOW, state=State.EJECTED, why=Why.IN_A_ROW, until=_NOW + 8.0)
    planner = Planner(board, random.Random(1), 1.0 / _WORKERS)
    ask = Ask(prompt_tokens=4000.0, session=session)
    return Case(name, lambda: planner.plan(catalog, _MODEL.id, lambda group: ask, _NOW))


def _endpoint(number: int) -> Endpoint:
    provider = Provider(f"p{number}", f"P{number}", "http://localhost", weight=number + 1, max_concurrency=64)
    return Endpoint(provider, _MODEL, "echo", Price(prompt=1_000_000 + number, completion=4_000_000))


def cases() -> Sequence[Case]:
    """By number of candidates; with a home to be found; with some or all of them ejected."""
    return [
        *(_case(f"pick among {count}", count) for count in (1, 3, 10, 30)),
        _case("pick among 10, of a session", 10, session=0x5EED),
        _case("pick among 10, three ejected", 10, ejected=3),
        _case("pick among 10, all ejected", 10, ejected=10),
    ]
