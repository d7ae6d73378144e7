"""A stream of the Responses API (wire-api, section 9.2), made of a chat stream in OpenRouter's shape.

What may go wrong ends in `response.failed`, whatever has been said before: an error in the stream, an error of the
gateway's, an end without a finish reason. `[DONE]` follows each end, as in OpenRouter's.
"""

from collections.abc import Callable
from typing import Final

from fairlead.errors import ApiError
from fairlead.wire.event_frames import MOST_EVENT_BYTES, EventFrames, fields_of
from fairlead.wire.openrouter_shape import NULL, UNREADABLE, Identity
from fairlead.wire.responses_errors import failure_of
from fairlead.wire.responses_reply import CHUNK, Chunk, Reply
from fairlead.wire.responses_request import Asked

_DONE: Final = b"data: [DONE]\n\n"
_TOO_LONG: Final = ApiError(502, "The provider has sent an event that is too long", error_type="provider_unavailable")
_TOO_MUCH: Final = ApiError(502, "The provider has sent more than can be held", error_type="provider_unavailable")


class ResponsesEvents:
    """Translates one stream, however it is cut into pieces. What is returned is whole events, each ended by LF LF.

    `completed_at` is asked for the time (Unix seconds) when the response is complete. Of the `identity` its id and date
    count, and its model until the stream names the one that serves. All that is said stands in the last event again: of
    that no more than `most_bytes` are held, and of one event no more either.
    """

    __slots__ = ("_completed_at", "_frames", "_has_begun", "_is_done", "_most_bytes", "_reply", "is_too_long")

    def __init__(
        self,
        asked: Asked,
        identity: Identity,
        completed_at: Callable[[], int],
        most_bytes: int = MOST_EVENT_BYTES,
    ) -> None:
        self.is_too_long = False
        """It was ended for that, whatever else comes."""
        self._reply = Reply(asked, identity.id, identity.model, identity.created)
        self._completed_at = completed_at
        self._most_bytes = most_bytes
        self._frames = EventFrames(most_bytes)
        self._has_begun = False
        self._is_done = False

    def feed(self, chat_events: bytes) -> bytes:
        """Take the next bytes of the chat stream and return the events that they come to."""
        said = b"".join([self._event(event) for event in self._frames.feed(chat_events)])
        if not self._frames.is_too_long and self._reply.held_bytes <= self._most_bytes:
            return said
        self.is_too_long = True
        return said + self.error(_TOO_LONG if self._frames.is_too_long else _TOO_MUCH)

    def finish(self) -> bytes:
        """Return the rest of a stream that has ended. Without a finish reason it cannot be known to be whole."""
        said = self._event(rest) if (rest := self._frames.rest()) else b""
        return said if self._is_done else said + self._begin() + self._end()

    def error(self, fault: ApiError) -> bytes:
        """Return the end of a stream that cannot be completed; nothing if it has ended."""
        if self._is_done:
            return b""
        self._reply.failure = failure_of(fault)
        return self._begin() + self._end()

    def sign_of_life(self) -> bytes:
        """Return an event that says nothing new; nothing if the stream has ended.

        It is no comment: to Codex those count for nothing, and it leaves a stream that has no events for long.
        """
        if self._is_done:
            return b""
        return self._begin() or self._state(b"in_progress", self._reply.so_far())

    def _event(self, event: bytes) -> bytes:
        if event.startswith(b"data: {") and b"\n" not in event:
            return self._payload(event[6:])
        comments, payloads = fields_of(event)
        if self._is_done:
            return b""
        return b"".join([*(comment + b"\n\n" for comment in comments), *map(self._payload, payloads)])

    def _payload(self, payload: bytes) -> bytes:
        if self._is_done:
            return b""
        try:
            chunk = CHUNK.decode(payload)
        except UNREADABLE:
            return self._begin() + self._end() if payload.strip() == b"[DONE]" else b""
        reply = self._reply
        reply.note(chunk)
        before = b"" if self._has_begun and chunk.debug is NULL else self._begin() + self._debug(chunk)
        said = before + reply.take(chunk)
        return said if reply.failure is None else said + self._end()

    def _begin(self) -> bytes:
        if self._has_begun:
            return b""
        self._has_begun = True
        so_far = self._reply.so_far()
        return self._state(b"created", so_far) + self._state(b"in_progress", so_far)

    def _debug(self, chunk: Chunk) -> bytes:
        if chunk.debug == NULL:
            return b""
        return self._reply.events.event(b"response.debug", b'"debug":' + bytes(chunk.debug))

    def _end(self) -> bytes:
        self._is_done = True
        said, state, response = self._reply.end(self._completed_at())
        return said + self._state(state, response) + _DONE

    def _state(self, state: bytes, response: bytes) -> bytes:
        return self._reply.events.event(b"response." + state, b'"response":' + response)
