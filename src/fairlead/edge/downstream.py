"""The caller of one request: read over ASGI, answered over our server's own connection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

Scope = dict[str, Any]
Message = dict[str, Any]
Headers = list[tuple[bytes, bytes]]


class Send(Protocol):
    def __call__(self, message: Message, /) -> Awaitable[None]: ...


class Receive(Protocol):
    def __call__(self) -> Awaitable[Message]: ...


class Write(Protocol):
    def __call__(self, body: bytes, /, *, is_last: bool) -> None: ...


class Flow(Protocol):
    write_paused: bool


class CallerConnection(Protocol):
    """What our server protocol offers beside ASGI, in `scope["extensions"]["fairlead.connection"]`.

    ASGI tells of a caller that left only to a task that waits in `receive()`: a task for each request. The protocol
    knows at once and for nothing.
    """

    task: "asyncio.Task[None]"
    """The one that handles the request."""
    start: Callable[[int, Headers], None]
    write: "Write"
    """As ASGI's `http.response.start` and `.body`, but never waiting: they can be called from
    the event that brings the content, where a `send` would need a task to be woken for each chunk."""
    take_body: Callable[[int], bytes | None]
    """Returns the request's body if it is all there, as nearly always, and has no more bytes than that; None if it has
    to be received."""

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        """Call `callback` when the caller of the current request leaves; at once if it has left already."""

    @property
    def flow(self) -> "Flow":
        """Says whether the client has not taken what was sent, so that more should wait."""

    def drained(self) -> Awaitable[None]:
        """Wait until it has."""

    def abort(self) -> None:
        """Close the connection without completing the reply."""


class HttpDownstream:
    """Implements `relay.downstream.Downstream`.

    The task that handles the request is cancelled when the caller leaves (`is_gone`) or the time for draining is over
    (`is_expired`).
    """

    __slots__ = ("_connection", "_flow", "_task", "is_expired", "is_gone", "is_started", "write")

    def __init__(self, scope: Scope) -> None:
        self._connection: CallerConnection = scope["extensions"]["fairlead.connection"]
        self._flow: Flow = self._connection.flow
        self._task = self._connection.task
        self.write = self._connection.write
        self.is_gone = False
        self.is_expired = False
        self.is_started = False
        self._connection.on_gone(self._gone)

    def _gone(self) -> None:
        self.is_gone = True
        self._task.cancel()

    def expire(self) -> None:
        """Make the exchange end now, with an error in band if its reply has begun."""
        if not self.is_expired:
            self.is_expired = True
            self._task.cancel()

    @property
    def is_slow(self) -> bool:
        return self._flow.write_paused

    def drained(self) -> Awaitable[None]:
        return self._connection.drained()

    def take_body(self, most_bytes: int) -> bytes | None:
        """Return the request's body if it is all there and no larger; None if it has to be read."""
        return self._connection.take_body(most_bytes)

    def start(self, status: int, headers: Headers) -> None:
        self.is_started = True
        self._connection.start(status, headers)

    def abort(self) -> None:
        self._connection.abort()

    def close(self) -> None:
        """The request is done with: stop watching the caller. Must be called before the task ends."""
        self._connection.on_gone(None)
