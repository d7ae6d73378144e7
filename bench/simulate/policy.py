"""What a routing policy is, and what it may know."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bench.simulate.attempt import Attempt, EndpointId, Outcome
from bench.simulate.requests import Request
from bench.simulate.store import StoreLink


@dataclass(frozen=True, slots=True)
class View:
    """What a gateway knows before it has asked anybody, and what it can do besides asking.

    `prices` are relative, per token, by endpoint. `alpha` is what a second of generation is worth beside a second of
    waiting, `gamma` the exponent of the price in what the caller minimises. `store` tells how the shared store fares,
    `at(when, call, *args)` has a call made at a simulated time, and `leave` gives up an attempt that still waits, if a
    retry can be paid.
    """

    prices: Sequence[float]
    alpha: float
    gamma: float
    first_byte_limit_s: float
    store: StoreLink
    at: Callable[..., None]
    leave: Callable[[Attempt], None]


class Policy(Protocol):
    """A whole fleet of workers that decide by one policy, and whatever they share.

    Simulated seconds throughout. `worker` counts from 0; what a policy does with another worker's knowledge is its own
    affair, but it has to take as long as it would in life.
    """

    @property
    def store_calls(self) -> int:
        """Calls to a shared store up to now."""

    def start(self, view: View, workers: int, rng: random.Random) -> None:
        """Begin, before anything else is called."""

    def listed(self, now: float, endpoints: Sequence[EndpointId]) -> None:
        """The catalogue has changed (or is read for the first time): these serve the model from now on."""

    def order(self, now: float, worker: int, request: Request) -> Sequence[EndpointId]:
        """Whom to ask, best first. Three are asked at most; nobody at all means that the request is refused."""

    def again(self, now: float, worker: int, left: Sequence[EndpointId]) -> EndpointId:
        """Whom to ask after a failure, of those in the order who have not been asked."""

    def began(self, now: float, worker: int, attempt: Attempt) -> None:
        """An attempt is under way."""

    def first_token(self, now: float, worker: int, attempt: Attempt) -> None:
        """Content begins to come."""

    def ended(self, now: float, worker: int, attempt: Attempt, outcome: Outcome) -> None:
        """An attempt is over, well or not."""
