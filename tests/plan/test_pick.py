import math
import random
from collections import Counter
from itertools import permutations

import pytest

from fairlead.catalog.model import FREE, Endpoint, Model, Provider
from fairlead.plan.pick import weighted_order

MODEL = Model("acme/large", "Acme: Large")


def endpoints(*weights):
    return [Endpoint(Provider(f"p{n}", "P", "http://x", weight=w), MODEL, "m", FREE) for n, w in enumerate(weights)]


def orders(weights, rounds, seed=7):
    rng = random.Random(seed)
    candidates = endpoints(*weights)
    return [tuple(int(e.provider.slug[1:]) for e in weighted_order(candidates, rng)) for _ in range(rounds)]


@pytest.mark.parametrize("weights", [(1, 1), (1, 3), (1, 2, 7), (0.001, 1000), (5, 5, 5, 5)])
def test_shares_follow_the_weights(weights):
    """Within five standard deviations of what drawing by weight gives."""
    rounds = 4000
    first = Counter(order[0] for order in orders(weights, rounds))
    for n, weight in enumerate(weights):
        share = weight / sum(weights)
        assert abs(first[n] - rounds * share) <= 5 * math.sqrt(rounds * share * (1 - share)) + 1


def test_the_whole_order_is_drawn_without_replacement():
    weights, rounds = (1, 2, 3), 6000
    seen = Counter(orders(weights, rounds))
    for order in permutations(range(3)):
        left, share = sum(weights), 1.0
        for n in order:
            share *= weights[n] / left
            left -= weights[n]
        assert abs(seen[order] - rounds * share) <= 5 * math.sqrt(rounds * share * (1 - share))


@pytest.mark.parametrize("weights", [(1,), (1, 1), (1e-300, 1.0, 1e300), (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)])
def test_each_comes_once(weights):
    for order in orders(weights, 50):
        assert sorted(order) == list(range(len(weights)))


def test_the_same_seed_gives_the_same_order():
    assert orders((1, 2, 3), 20, seed=1) == orders((1, 2, 3), 20, seed=1)
    assert orders((1, 2, 3), 20, seed=1) != orders((1, 2, 3), 20, seed=2)


def test_what_it_is_given_stays_as_it_is():
    candidates = endpoints(1, 2, 3)
    before = list(candidates)
    weighted_order(candidates, random.Random(1))
    assert candidates == before
