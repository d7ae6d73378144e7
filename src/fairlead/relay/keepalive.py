"""Signs of life: comments to callers whose stream has nothing to say.

Whoever stands between (proxies, load balancers, the caller's own patience) takes a long silence for the end. A comment
says nothing and counts as life. The first one of a stream also begins it, with status 200: a failure is told in band
from then on, while other endpoints can still be asked, since the caller has been promised no content.

Of a stream nothing is noted while it flows: one timer for all streams of a worker looks now and then which of them has
not grown.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType

from fairlead import clock
from fairlead.errors import ApiError
from fairlead.relay.deliver import SHUTTING_DOWN
from fairlead.relay.downstream import Downstream, Headers
from fairlead.relay.inflate import Readable
from fairlead.relay.manner import Manner
from fairlead.relay.tap import Tap
from fairlead.relay.told import EVENT_STREAM, STREAM_HEADERS
from fairlead.telemetry.record import ExchangeRecord
from fairlead.wire.openrouter_chunks import DONE, error_end
from fairlead.wire.openrouter_shape import Identity
from fairlead.wire.router_metadata import Routing

COMMENT = b": OPENROUTER PROCESSING\n\n"
_LOOKS = 4
"""How often a silent stream is looked at before it gets a comment: so exact is the interval."""
_BORDERS = (b"\n\n", b"\r\n\r\n", b"\r\r")


class KeepAlive:
    """The timer of a worker. A stream that has been silent for `interval_s` gets a comment, within a quarter more."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._waits: set[Wait] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, wait: "Wait") -> None:
        self._waits.add(wait)
        if self._timer is None:
            self._set_timer()

    def discard(self, wait: "Wait") -> None:
        self._waits.discard(wait)

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval_s / _LOOKS, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waits:
            self._set_timer()
            now = clock.monotonic()
            for wait in self._waits:
                wait.look(now, self._interval_s)


class Wait:
    """One stream, from before the first attempt to its end: `with` it, what is raised after its begin is told in band.

    `limits` are headers, as of when it begins. `now` is `clock.monotonic` time.
    """

    __slots__ = (
        "_downstream", "_keep_alive", "_limits", "_manner", "_record", "_routing", "_silent_since", "_size", "reply",
    )  # fmt: skip

    def __init__(
        self,
        keep_alive: KeepAlive,
        downstream: Downstream,
        record: ExchangeRecord,
        manner: Manner,
        limits: Callable[[], Headers] | None,
        routing: Routing | None,
        now: float,
    ) -> None:
        self.reply: Readable | None = None
        """What the caller gets, once there is content."""
        self._keep_alive = keep_alive
        self._downstream = downstream
        self._record = record
        self._manner = manner
        self._limits = limits
        self._routing = routing
        self._silent_since = now
        self._size = 0

    def __enter__(self) -> "Wait":
        self._keep_alive.add(self)
        return self

    def __exit__(self, _: object, error: BaseException | None, __: TracebackType | None) -> bool:
        self._keep_alive.discard(self)
        if error is None or not self._downstream.is_started:
            return False
        if isinstance(error, ApiError):
            self._end("error", error)
            return True
        if isinstance(error, asyncio.CancelledError) and self._downstream.is_expired and not self._downstream.is_gone:
            self._end("drained", SHUTTING_DOWN)
            return True
        return False

    def look(self, now: float, interval_s: float) -> None:
        """Send a comment, if the stream has been silent for so long and is not in the middle of an event."""
        tap = self._record.tap
        size = tap.size if tap is not None else 0
        if size != self._size:
            self._size, self._silent_since = size, now
        elif now - self._silent_since >= interval_s and not self._downstream.is_slow and self._can_speak():
            if not self._downstream.is_started:
                self._begin()
            self._downstream.write(COMMENT, is_last=False)
            self._silent_since = now

    def _can_speak(self) -> bool:
        reply, tap = self.reply, self._record.tap
        if reply is None:
            return True
        if not isinstance(tap, Tap) or not self._downstream.is_started or reply.header(b"content-encoding"):
            return False
        if self._manner.is_adapted:  # by whole events
            return True
        return reply.header(b"content-type").startswith(EVENT_STREAM) and tap.tail.endswith(_BORDERS)

    def _begin(self) -> None:
        record = self._record
        record.status = 200
        headers = [
            (b"content-type", EVENT_STREAM),
            *STREAM_HEADERS,
            (b"x-generation-id", record.id.encode()),
            (b"x-request-id", record.request_id.encode()),
            *(self._limits() if self._limits is not None else ()),
        ]
        self._downstream.start(200, headers)

    def _end(self, how: str, error: ApiError) -> None:
        record, routing = self._record, self._routing
        record.end, record.error = how, error.message
        provider = str(error.metadata.get("provider_name", ""))
        identity = Identity(record.id, provider, record.model, int(record.started_unix))
        metadata = (lambda: routing.json(record.asked, record.attempts)) if routing is not None else None
        end = error_end(error, identity, metadata)
        self._downstream.write(end + DONE if self._manner.is_adapted else end, is_last=True)
