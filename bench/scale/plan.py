"""How much of everything, and who runs where. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """Cores. With three or more, two workers have two for themselves."""

    one: frozenset[int]
    """Of a gateway with one worker."""
    two: frozenset[int]
    """Of one with two."""
    upstream: int
    load: int

    @property
    def is_apart(self) -> bool:
        """Whether two workers share no core with the load and the upstream."""
        return not self.two & {self.upstream, self.load}


def places(cores: Sequence[int]) -> Places:
    """Divide the cores that we may use; the last are the load's and the upstream's."""
    ordered = sorted(cores)
    return Places(frozenset(ordered[:1]), frozenset(ordered[:2]), ordered[-2 if len(ordered) > 3 else -1], ordered[-1])


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how much."""

    seconds: float = 1.5
    """Of each window."""
    windows: int = 3
    warm_s: float = 1.0
    rounds: int = 3
    """How often each number of workers is measured, in turn."""
    connections: int = 64
    balanced: Sequence[int] = (64, 256, 1_000)
    """Connections over which it is looked at who serves them."""
    balancing: Sequence[int] = (2, 4)
    """Workers."""
    endpoints: Sequence[int] = (1, 10, 100, 1_000)
    """Of one model."""
    models: Sequence[int] = (1, 100, 1_000)
    keys: Sequence[int] = (1, 100_000, 1_000_000)
    """In the store."""
    fresh: int = 2_000
    """Keys that are looked up for the first time."""
    upstream: Path | None = None
    """A program to run as the provider, in place of `bench.upstream`."""


QUICK = Plan(
    seconds=0.3,
    windows=1,
    warm_s=0.3,
    rounds=1,
    connections=8,
    balanced=(16,),
    balancing=(2,),
    endpoints=(1, 10),
    models=(1, 10),
    keys=(1, 2_000),
    fresh=100,
)
