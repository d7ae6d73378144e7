"""Requests that wait for a place, in the order in which they get one: by rank, then by arrival."""

import asyncio
import heapq
import itertools
import math

MOST_WAITING = 1_000
PACE_S = 5.0
"""How far back the pace goes by which a wait is foretold."""
_LONGEST_S = 30.0


class Line:
    """A queue in front of some places that are all taken. Ranks: the smaller goes first."""

    __slots__ = ("_at", "_freed", "_numbers", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._freed = 0.0
        self._at = -math.inf

    def __len__(self) -> int:
        return sum(not place.done() for _, _, place in self._waiting)

    @property
    def is_empty(self) -> bool:
        return not self._waiting or not len(self)

    async def wait(self, rank: int, seconds: float) -> bool:
        """Wait for a place, no longer than so; return whether there is one. It has been given then, to be given back.

        With MOST_WAITING in line nobody joins it. Raises CancelledError, and then passes a place on that was given in
        the very moment.
        """
        if len(self._waiting) >= MOST_WAITING and len(self) >= MOST_WAITING:
            return False
        place = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._numbers), place))
        try:
            async with asyncio.timeout(seconds):
                await place
        except TimeoutError:
            return False
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.give()
            raise
        return True

    def give(self) -> bool:
        """Give a place that is free to who is next; return whether there was anybody."""
        while self._waiting:
            *_, place = heapq.heappop(self._waiting)
            if not place.done():
                place.set_result(None)
                return True
        return False

    def freed(self, now: float) -> None:
        """Note that a place has become free at `now` (monotonic seconds)."""
        self._freed = self._freed * math.exp((self._at - now) / PACE_S) + 1.0
        self._at = now

    def foretold_s(self, now: float) -> float:
        """Return in how many seconds whoever comes now would have a place, by the pace of late: 1 to 30."""
        pace = self._freed * math.exp((self._at - now) / PACE_S) / PACE_S
        return min(max((len(self) + 1) / pace, 1.0), _LONGEST_S) if pace > 0.0 else _LONGEST_S
