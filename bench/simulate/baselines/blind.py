"""Policies that look at nothing."""

from collections.abc import Sequence

from bench.simulate.attempt import EndpointId
from bench.simulate.baselines.plain import ASKED, Plain
from bench.simulate.requests import Request


class RoundRobin(Plain):
    """Everyone in turn; each worker turns by itself."""

    def __init__(self) -> None:
        self._turns: dict[int, int] = {}

    def order(self, now: float, worker: int, request: Request) -> Sequence[EndpointId]:
        """The next, and then those after it."""
        turn = self._turns.get(worker, worker)
        self._turns[worker] = turn + 1
        count = len(self.endpoints)
        return [self.endpoints[(turn + step) % count] for step in range(min(ASKED, count))]


class Random(Plain):
    """Anyone."""

    def order(self, now: float, worker: int, request: Request) -> Sequence[EndpointId]:
        """Three different ones."""
        return self.rng.sample(self.endpoints, min(ASKED, len(self.endpoints)))
