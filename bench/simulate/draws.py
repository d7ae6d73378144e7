"""Common random numbers: the luck of request 4711 at endpoint 3 is the same under every policy.

So two policies differ by what they decide and by nothing else, and a small difference shows in few requests.
"""

import random
from typing import NamedTuple

from bench.simulate.requests import lognormal

FIRST_TOKEN_CV = 0.7
SPEED_CV = 0.2
_TABLE = 4096


class Draw(NamedTuple):
    """The luck of one request at one endpoint. `service` and `speed` have mean 1; the rest is uniform in [0, 1)."""

    service: float
    speed: float
    error: float
    refusal: float
    silence: float
    cut: float
    part: float
    """How far a failure lets it come."""


class Draws:
    """Tables of draws, one per endpoint. A request of number n has the n-th, modulo the table's length."""

    __slots__ = ("_tables",)

    def __init__(self, endpoints: int, seed: str) -> None:
        self._tables = [_table(random.Random(f"{seed}/{endpoint}")) for endpoint in range(endpoints)]

    def of(self, request: int, endpoint: int) -> Draw:
        """Return the luck of a request at an endpoint."""
        return self._tables[endpoint][request % _TABLE]


def _table(rng: random.Random) -> list[Draw]:
    chance = rng.random
    return [
        Draw(
            lognormal(rng, 1.0, FIRST_TOKEN_CV),
            lognormal(rng, 1.0, SPEED_CV),
            chance(),
            chance(),
            chance(),
            chance(),
            chance(),
        )
        for _ in range(_TABLE)
    ]
