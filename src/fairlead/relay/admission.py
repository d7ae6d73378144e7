"""How much a worker takes on: so many exchanges and so many bytes of requests at once; then a short wait, in which who
pays for priority goes first and who asked for `flex` last; then a refusal that says when to come again.

A worker that took on more would serve nobody better: it would be slow for all, and run out of files or memory.
"""

import math

from fairlead import clock
from fairlead.errors import ApiError
from fairlead.relay.line import Line
from fairlead.wire.request import ChatRequest

WAIT_S = 0.1
_RANKS = {"priority": 0, "fast": 0, "ultrafast": 0, "flex": 2}
_USUAL = 1


class Admission:
    """The exchanges of one worker. `most`: at once; `most_bytes`: of their requests' bodies together."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._line = Line()
        self.in_flight = 0
        self.bytes = 0

    @property
    def waiting(self) -> int:
        return len(self._line)

    async def enter(self, request: ChatRequest) -> None:
        """Take a place, to be left. Raises ApiError 503."""
        size = len(request.raw)
        if self._line.is_empty and self._has_room(size):  # nearly always
            pass
        elif not await self._wait(request, size):
            raise self._full()
        self.in_flight += 1
        self.bytes += size

    async def _wait(self, request: ChatRequest, size: int) -> bool:
        rank, until = rank_of(request), clock.monotonic() + WAIT_S
        while await self._line.wait(rank, until - clock.monotonic()):
            if self._has_room(size):
                return True
        return False

    def let_go(self, request: ChatRequest) -> None:
        """The body of a request that stays is needed no more: others may have its room."""
        self.bytes -= len(request.raw)
        request.let_go()
        self._line.give()

    def leave(self, request: ChatRequest) -> None:
        self.in_flight -= 1
        self.bytes -= len(request.raw)
        self._line.freed(clock.monotonic())
        self._line.give()

    def _has_room(self, size: int) -> bool:
        # One that is large is let in when there is nothing else: else it would never be.
        return self.in_flight < self._most and (self.bytes + size <= self._most_bytes or not self.bytes)

    def _full(self) -> ApiError:
        what = f"{self.in_flight} requests" if self.in_flight >= self._most else f"{self.bytes} bytes of requests"
        seconds = math.ceil(self._line.foretold_s(clock.monotonic()))
        return ApiError(
            503,
            f"The gateway is busy: a worker has {what} under way, as many as it takes. Try again in {seconds} s",
            error_type="provider_overloaded",
            headers={"retry-after": str(seconds), "retry-after-ms": str(1000 * seconds)},
        )


def rank_of(request: ChatRequest) -> int:
    """Return a request's place before or behind others, by its `service_tier`."""
    return _RANKS.get(request.named("service_tier"), _USUAL)
