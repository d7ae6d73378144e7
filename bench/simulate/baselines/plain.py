"""What the baselines have in common: they look on until they are asked."""

import random
from collections.abc import Callable, Sequence

from bench.simulate.attempt import Attempt, EndpointId, Outcome
from bench.simulate.policy import View
from bench.simulate.requests import Request

ASKED = 3
"""How many of an order are used at most."""


class Plain:
    """A policy that nothing has to be told, and one that keeps nothing in a store."""

    store_calls = 0

    def start(self, view: View, workers: int, rng: random.Random) -> None:
        """Remember what there is to know."""
        self.view = view
        self.workers = workers
        self.rng = rng
        self.endpoints: tuple[EndpointId, ...] = ()

    def listed(self, now: float, endpoints: Sequence[EndpointId]) -> None:
        """Choose among these from now on."""
        self.endpoints = tuple(endpoints)

    def order(self, now: float, worker: int, request: Request) -> Sequence[EndpointId]:
        """Whom to ask, best first."""
        raise NotImplementedError

    def again(self, now: float, worker: int, left: Sequence[EndpointId]) -> EndpointId:
        """The next in the order."""
        return left[0]

    def began(self, now: float, worker: int, attempt: Attempt) -> None:
        """Nothing to note."""

    def first_token(self, now: float, worker: int, attempt: Attempt) -> None:
        """Nothing to note."""

    def ended(self, now: float, worker: int, attempt: Attempt, outcome: Outcome) -> None:
        """Nothing to note."""


class Counting(Plain):
    """Each worker counts its own requests under way, by endpoint."""

    def start(self, view: View, workers: int, rng: random.Random) -> None:
        """Nobody is under way."""
        super().start(view, workers, rng)
        self.pending = [[0] * len(view.prices) for _ in range(workers)]

    def began(self, now: float, worker: int, attempt: Attempt) -> None:
        """One more."""
        self.pending[worker][attempt.endpoint] += 1

    def ended(self, now: float, worker: int, attempt: Attempt, outcome: Outcome) -> None:
        """One less."""
        self.pending[worker][attempt.endpoint] -= 1


def picked(endpoints: Sequence[EndpointId], pick: Callable[[Sequence[EndpointId]], EndpointId]) -> Sequence[EndpointId]:
    """An order made of picks, each among those whom the picks before have left."""
    left = list(endpoints)
    order: list[EndpointId] = []
    while left and len(order) < ASKED:
        order.append(pick(left))
        left.remove(order[-1])
    return order


def better_of_two(
    endpoints: Sequence[EndpointId], cost: Callable[[EndpointId], float], rng: random.Random
) -> EndpointId:
    """Draw two and return the cheaper. Mitzenmacher, The power of two choices in randomized load balancing (2001)."""
    count = len(endpoints)
    if count == 1:
        return endpoints[0]
    one = int(rng.random() * count)
    other = int(rng.random() * (count - 1))
    other += other >= one
    return endpoints[one] if cost(endpoints[one]) <= cost(endpoints[other]) else endpoints[other]
