"""Changes of state, as they happen, to everyone who listens (server-sent events).

Each listener has a bounded queue of its own: who reads too slowly loses the oldest events and is told how many, and
costs no memory beyond that.
"""

import asyncio
from collections import deque

import orjson

from fairlead import clock
from fairlead.health.endpoint import VERDICTS
from fairlead.health.record import WHY_TEXT, Change, Why

MAX_WAITING = 256
"""Events kept for one listener. All endpoints of a large provider may be ejected at once."""


def event_bytes(kind: str, data: dict[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(data))


def change_event(change: Change, at_unix: float) -> bytes:
    """Return the event that tells of `change`.

    Its kind is `ejected`, `probing`, `recovered` or `cooling`; its data has `at` (Unix seconds), `kind`, `endpoint`,
    `provider`, `model`, `why` and `seconds` until it ends, 0 if it does not. What cools down may be a whole account:
    then `endpoint` is `@provider`, and `model` is null.
    """
    provider, _, model = change.endpoint.removeprefix("@").partition(":")
    data: dict[str, object] = {
        "at": round(at_unix, 3),
        "kind": change.kind,
        "endpoint": change.endpoint,
        "provider": provider,
        "model": model or None,
        "why": why_text(change),
        "seconds": round(change.seconds, 3),
    }
    return event_bytes(change.kind, data)


def why_text(change: Change) -> str:
    """Return the reason of a change for people: of the breaker's, or the verdict that began a cool-down."""
    if change.kind == "cooling":
        return VERDICTS[int(change.why)].value
    return WHY_TEXT[Why(int(change.why))]


class Listener:
    """One who listens. `take` waits for what there is to be told."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._news = asyncio.Event()

    def put(self, event: bytes) -> None:
        """Keep an event for the listener, at the expense of the oldest."""
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(event)
        self._news.set()

    async def take(self, limit_s: float) -> bytes:
        """Return all events that wait; nothing if there were none for `limit_s`."""
        try:
            async with asyncio.timeout(limit_s):
                await self._news.wait()
        except TimeoutError:
            return b""
        self._news.clear()
        told = b"".join(self._waiting)
        if self._dropped:
            told = event_bytes("dropped", {"at": round(clock.wall(), 3), "count": self._dropped}) + told
        self._waiting.clear()
        self._dropped = 0
        return told


class Feed:
    """Everyone who listens to one worker, which hears of every change in the fleet."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    def join(self) -> Listener:
        listener = Listener()
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)

    @property
    def count(self) -> int:
        return len(self._listeners)

    def tell(self, change: Change) -> None:
        """Pass a change on. It is written out once for all of them, and not at all for nobody."""
        if self._listeners:
            event = change_event(change, clock.wall())
            for listener in self._listeners:
                listener.put(event)
