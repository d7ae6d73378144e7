"""What can be wrong with an endpoint, and when. Faults strike the attempts that begin while they last."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Condition:
    """How an endpoint fares. Probabilities are per attempt.

    `slow` multiplies its times. `error`: fails before content (1 means at once, the connection is refused). `limited`:
    429 for no reason of ours. `silent`: accepts and never answers. `stall`: stands still after some content. `cut`:
    breaks off after some content.
    """

    slow: float = 1.0
    error: float = 0.0
    limited: float = 0.0
    silent: float = 0.0
    stall: float = 0.0
    cut: float = 0.0

    @property
    def failure(self) -> float:
        """Probability that an attempt ends without content."""
        return 1 - (1 - self.error) * (1 - self.limited) * (1 - self.silent)

    @property
    def breaking(self) -> float:
        """Probability that content does not come to its end."""
        return 1 - (1 - self.stall) * (1 - self.cut)


WELL = Condition()
DOWN = Condition(error=1.0)
BLACK_HOLE = Condition(silent=1.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """A condition of an endpoint from `start` to `end`. With `is_timed`, how fast it is noticed is measured."""

    endpoint: int
    start: float
    end: float
    condition: Condition
    is_timed: bool = False


def timeline(faults: Sequence[Fault], endpoint: int) -> Iterator[tuple[float, Condition]]:
    """Yield the condition of an endpoint from each time on at which it changes. Faults that overlap add up."""
    own = [fault for fault in faults if fault.endpoint == endpoint]
    for at in sorted({time for fault in own for time in (fault.start, fault.end)}):
        condition = WELL
        for fault in own:
            if fault.start <= at < fault.end:
                condition = _both(condition, fault.condition)
        yield at, condition


def _both(one: Condition, other: Condition) -> Condition:
    def either(a: float, b: float) -> float:
        return 1 - (1 - a) * (1 - b)

    return Condition(
        one.slow * other.slow,
        either(one.error, other.error),
        either(one.limited, other.limited),
        either(one.silent, other.silent),
        either(one.stall, other.stall),
        either(one.cut, other.cut),
    )
