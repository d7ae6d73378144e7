"""The caller's side of an exchange, as the relay sees it. `edge` implements it."""

from collections.abc import Awaitable
from typing import Protocol

Headers = list[tuple[bytes, bytes]]


class Downstream(Protocol):
    """Where a reply goes.

    Writing never waits; whoever writes looks at `is_slow` first and awaits `drained` if it is set, so that a caller
    that stops reading costs no memory. When the caller leaves, or the gateway must end, the task that runs the exchange
    is cancelled, with `is_gone` or `is_expired` set to say why.
    """

    is_gone: bool
    is_expired: bool
    is_started: bool

    @property
    def is_slow(self) -> bool:
        """Whether more is waiting for the caller than should."""

    def drained(self) -> Awaitable[None]:
        """Wait until the caller has caught up."""

    def start(self, status: int, headers: Headers) -> None:
        """Promise a reply: from here on its status cannot be changed."""

    def write(self, data: bytes, /, *, is_last: bool) -> None:
        """Send content; with `is_last` the reply is complete. `data` may be empty then."""

    def abort(self) -> None:
        """Break the connection, so that the caller cannot take what it has for the whole."""


class Before:
    """What stands before a `Downstream`: whatever it does not have itself is that one's."""

    is_gone: bool
    is_expired: bool
    is_started: bool

    def __init__(self, downstream: Downstream) -> None:
        self._downstream = downstream

    def __getattr__(self, name: str) -> object:
        return getattr(self._downstream, name)

    @property
    def is_slow(self) -> bool:
        return self._downstream.is_slow

    def drained(self) -> Awaitable[None]:
        return self._downstream.drained()

    def abort(self) -> None:
        self._downstream.abort()
