"""Who got how much of the traffic, second by second."""

from collections.abc import Callable, Sequence
from itertools import accumulate

BIN_S = 0.05
WINDOW_S = 1.0


class Shares:
    """Attempts by endpoint and time. `bins[endpoint][k]` counts those begun in the k-th `BIN_S`."""

    def __init__(self, bins: Sequence[Sequence[int]]) -> None:
        self._sums = [list(accumulate(row, initial=0)) for row in bins]
        self._totals = [sum(column) for column in zip(*self._sums, strict=True)]

    def count(self, endpoint: int, start: float, end: float) -> int:
        """Attempts at an endpoint between two times."""
        return self._between(self._sums[endpoint], start, end)

    def total(self, start: float, end: float) -> int:
        """Attempts at any endpoint between two times."""
        return self._between(self._totals, start, end)

    def of(self, endpoint: int, start: float, end: float) -> float:
        """Share of an endpoint between two times; 0 if there was no attempt at all."""
        return self.count(endpoint, start, end) / max(1, self.total(start, end))

    def wait(self, endpoint: int, start: float, end: float, is_it: Callable[[float], bool]) -> float:
        """Seconds from `start` to the first window whose share `is_it`; all the time until `end` if there is none."""
        for step in range(round((end - start - WINDOW_S) / BIN_S) + 1):
            at = start + step * BIN_S
            if is_it(self.of(endpoint, at, at + WINDOW_S)):
                return step * BIN_S
        return end - start

    @staticmethod
    def _between(sums: Sequence[int], start: float, end: float) -> int:
        last = len(sums) - 1
        return sums[min(max(round(end / BIN_S), 0), last)] - sums[min(max(round(start / BIN_S), 0), last)]
