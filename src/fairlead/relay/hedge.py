"""A second attempt beside the first, before that has failed: off unless asked for, since both are paid for.

Source: Dean and Barroso, The Tail at Scale (2013): waiting for the 95th percentile first adds 5 % of load and takes
most of the tail away.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fairlead.tasks import start

T = TypeVar("T")

MAX_PROMPT_TOKENS = 4000.0
"""Longer prompts are not sent twice: they cost too much, and their time to the first token is their own."""


@dataclass(slots=True)
class Hedging:
    """Decides when, and keeps the share of the requests that are asked twice.

    `p95_s` returns the 95th percentile of an endpoint's first-token time, None while too little is known of it.
    """

    p95_s: Callable[[str], float | None]
    share: float = 0.05
    burst: float = 10.0
    tokens: float = 1.0

    def earn(self) -> None:
        """Count one request."""
        self.tokens = min(self.burst, self.tokens + self.share)

    def delay_s(self, endpoint_id: str, prompt_tokens: float) -> float | None:
        """Return how long to wait for the endpoint before another is asked too; None: until it fails."""
        return self.p95_s(endpoint_id) if prompt_tokens <= MAX_PROMPT_TOKENS else None

    def take(self) -> bool:
        """Pay for a second attempt; False when the share is used up."""
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class Race(Generic[T]):
    """Attempts that run beside each other. Use `async with`: whatever way it is left, none of them goes on.

    `drop` is given each result that nobody has taken by then.
    """

    def __init__(self, drop: Callable[[T], None]) -> None:
        self._drop = drop
        self._running: set[asyncio.Task[T]] = set()
        self._done: list[asyncio.Task[T]] = []

    async def __aenter__(self) -> "Race[T]":
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._running:
            task.cancel()
        for result in await asyncio.gather(*self._done, *self._running, return_exceptions=True):
            if not isinstance(result, BaseException):
                self._drop(result)

    @property
    def is_on(self) -> bool:
        """Whether a result is still to come."""
        return bool(self._running or self._done)

    def start(self, attempt: Coroutine[Any, Any, T]) -> None:
        self._running.add(start("attempt", attempt))

    async def next(self, timeout_s: float | None = None) -> T | None:
        """Return the next result, None if there is none within `timeout_s`. Raises what the attempt raised."""
        if not self._done:
            done, self._running = await asyncio.wait(
                self._running, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            self._done = list(done)
        return self._done.pop().result() if self._done else None
