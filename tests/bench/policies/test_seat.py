"""A policy of the simulator plans in the planner's place, and is told what becomes of the attempts."""

import random
from functools import partial
from types import MappingProxyType
from unittest.mock import patch

import pytest
from bench.policies.seat import BASELINES, Seat, SeatedPlanner, Watched
from bench.policies.world import PLACES

from fairlead.catalog.model import Catalog, Endpoint, Model, Provider
from fairlead.health import board
from fairlead.health.board import HealthBoard
from fairlead.health.outcome import OK, Outcome, Verdict

MODEL = Model("demo/chat", "DEMO Chat")


def catalog_of(names):
    endpoints = tuple(Endpoint(Provider(name, name, "http://localhost"), MODEL, "demo/chat", None) for name in names)
    return Catalog(MappingProxyType({MODEL.id: MODEL}), MappingProxyType({MODEL.id: endpoints}), {})


@pytest.fixture
def planner_of():
    def make(policy):
        rng = random.Random(1)
        seat = Seat(BASELINES[policy](), rng)
        with patch.object(board, "EndpointHealth", partial(Watched, seat)):
            health = HealthBoard(rng=rng)
            for name in PLACES:
                health.of(f"{name}:demo/chat")
        return SeatedPlanner(seat, health, rng, 1.0)

    return make


def asked(planner, catalog, now):
    return planner.plan(catalog, "demo/chat", lambda group: pytest.fail("nobody needs that"), now).candidates


def names(candidates):
    return [candidate.endpoint.provider.slug for candidate in candidates]


def test_round_robin_turns_over_those_that_are_listed(planner_of):
    planner, catalog = planner_of("round-robin"), catalog_of(["p2", "p3", "p4"])
    assert [names(asked(planner, catalog, now))[0] for now in (1.0, 2.0, 3.0, 4.0)] == ["p2", "p3", "p4", "p2"]
    assert set(names(asked(planner, catalog_of(["p1", "p4"]), 5.0))) == {"p1", "p4"}


def test_lowest_latency_goes_by_the_first_tokens_that_it_saw(planner_of):
    planner, catalog = planner_of("lowest-latency"), catalog_of(["p1", "p2"])
    for name, seconds in (("p1", 0.3), ("p2", 0.1)):
        candidate = next(c for c in asked(planner, catalog, 10.0) if c.endpoint.provider.slug == name)
        attempt = candidate.health.begin(10.0, is_stream=True)
        planner.board.first_token(attempt, 10.0 + seconds)
        planner.board.end(attempt, OK, 11.0)
    assert names(asked(planner, catalog, 12.0)) == ["p2", "p1"]


def test_a_limit_is_the_policys_affair_and_not_the_boards(planner_of):
    planner, catalog = planner_of("lowest-latency"), catalog_of(["p1", "p2"])
    candidate = asked(planner, catalog, 10.0)[0]
    attempt = candidate.health.begin(10.0, is_stream=True)
    planner.board.end(attempt, Outcome(Verdict.LIMIT, 429, retry_after_s=30.0), 10.1)
    assert not candidate.health.is_out(10.2)
    assert candidate.endpoint.provider.slug not in names(asked(planner, catalog, 10.2))
    assert len(asked(planner, catalog, 15.2)) == 2


def test_nobody_serves_what_is_not_listed(planner_of):
    assert planner_of("random").plan(catalog_of([]), "demo/other", lambda group: None, 1.0) is None
