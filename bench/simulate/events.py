"""The event loop: simulated time jumps from one thing that happens to the next."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count


class Loop:
    """Makes calls in the order of their times, and those of the same time in the order in which they were asked for."""

    __slots__ = ("_is_running", "_numbers", "_queue", "now")

    def __init__(self) -> None:
        self.now = 0.0
        """Simulated seconds since the start."""
        self._queue: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._numbers = count()
        self._is_running = False

    def at(self, when: float, call: Callable[..., None], *args: object) -> None:
        """Have `call(*args)` made at `when`; a time that has passed means now."""
        heappush(self._queue, (max(self.now, when), next(self._numbers), call, args))

    def run(self) -> None:
        """Go on until somebody calls `stop` or nothing is left to happen."""
        queue = self._queue
        self._is_running = True
        while queue and self._is_running:
            self.now, _, call, args = heappop(queue)
            call(*args)

    def stop(self) -> None:
        """Let the present event be the last."""
        self._is_running = False
