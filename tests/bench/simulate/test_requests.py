"""The traffic has the rate, the sizes and the conversations that it was asked to have."""

import random
from collections import defaultdict
from itertools import pairwise
from statistics import fmean

import pytest
from bench.simulate.requests import Traffic, arrivals


def drawn(traffic, seconds=100.0, seed=1):
    return arrivals(traffic, seconds, random.Random(seed))


def test_the_same_seed_draws_the_same_traffic():
    assert drawn(Traffic()) == drawn(Traffic())
    assert drawn(Traffic()) != drawn(Traffic(), seed=2)


def test_rate_and_sizes_are_near_their_means():
    requests = drawn(Traffic(rate=100.0, burst=1.0))
    assert len(requests) == pytest.approx(10_000, rel=0.05)
    assert fmean(request.prompt_tokens for request in requests) == pytest.approx(800, rel=0.1)
    assert fmean(request.output_tokens for request in requests) == pytest.approx(200, rel=0.1)


def test_bursts_add_to_the_rate():
    calm, bursting = drawn(Traffic(burst=1.0)), drawn(Traffic(burst=3.0))
    assert len(calm) * 1.1 < len(bursting) < len(calm) * 2


def test_a_turn_of_a_conversation_begins_with_all_that_was_said_before():
    turns = defaultdict(list)
    for request in drawn(Traffic(rate=20.0, sessions=10)):
        turns[request.session].append(request)
    assert len(turns) > 10
    for session in turns.values():
        for before, after in pairwise(session):
            assert after.prefix_tokens == before.prompt_tokens + before.output_tokens
