"""OpenAI's Responses API, answered by chat: what POST responses has beside POST chat/completions.

The relay is asked for a chat reply in OpenRouter's shape, which becomes a Response on its last steps to the caller. So
whatever holds for chat holds here: plans, failover, errors in band, money, the response cache.
"""

from fairlead import clock
from fairlead.errors import ProtocolError
from fairlead.relay.downstream import Before, Downstream, Headers
from fairlead.relay.keepalive import COMMENT
from fairlead.telemetry.record import ExchangeRecord
from fairlead.wire.openrouter_shape import Identity
from fairlead.wire.responses_events import ResponsesEvents
from fairlead.wire.responses_reply import response_object
from fairlead.wire.responses_request import Asked

_OF_THE_BODY = (b"content-type", b"content-length", b"content-encoding")


def is_responses(path: str) -> bool:
    return path.endswith("/responses")


class ResponsesDownstream(Before):
    """A `Downstream` that takes a chat reply in OpenRouter's shape and passes a Response on, or the events of one.

    Signs of life become events, since comments do not count for every client. A whole reply is passed on when it is
    complete; the relay sees to it that there is no more of it, or of an event, than `most_bytes` and its new shape.
    """

    def __init__(self, downstream: Downstream, asked: Asked, record: ExchangeRecord, most_bytes: int) -> None:
        self.is_started = False
        super().__init__(downstream)
        self._asked = asked
        self._created_at = int(record.started_unix)
        identity = Identity(record.id, "", record.model, self._created_at)
        self._events = ResponsesEvents(asked, identity, _now, most_bytes) if record.is_stream else None
        self._head: tuple[int, Headers] = (0, [])
        self._parts: list[bytes] = []

    def start(self, status: int, headers: Headers) -> None:
        self.is_started, self._head = True, (status, headers)
        if self._events is not None:
            self._downstream.start(status, headers)

    def write(self, data: bytes, *, is_last: bool) -> None:
        events = self._events
        if events is None:
            self._hold(data, is_last=is_last)
            return
        data = events.sign_of_life() if data is COMMENT else events.feed(data)
        self._downstream.write(data + events.finish() if is_last else data, is_last=is_last)

    @property
    def is_slow(self) -> bool:
        return self._downstream.is_slow or (self._events is not None and self._events.is_too_long)

    async def drained(self) -> None:
        """As of any caller; but one that has been told of an end takes no more. Raises ProtocolError then."""
        if self._events is not None and self._events.is_too_long:
            raise ProtocolError("the stream has more than can be held")
        await self._downstream.drained()

    def _hold(self, data: bytes, *, is_last: bool) -> None:
        self._parts.append(data)
        if is_last:
            body = response_object(b"".join(self._parts), self._asked, self._created_at, _now())
            status, headers = self._head
            headers = [header for header in headers if header[0] not in _OF_THE_BODY]
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
            self._downstream.start(status, headers)
            self._downstream.write(body, is_last=True)


def _now() -> int:
    return int(clock.wall())
