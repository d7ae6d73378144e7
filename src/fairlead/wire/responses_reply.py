"""The Response object (wire-api, section 9.2), made of a chat reply in OpenRouter's shape.

    response_object(chat, …)    of a whole reply
    Reply                       of one that comes whole or chunk by chunk: `responses_events.py` makes a stream of it

Its id is the generation's (`gen-…`, which 9.2 allows): what GET /generation takes, and what `x-generation-id` says. An
id of another kind would promise that the response is kept, and can be asked for or gone on from.

A reply is complete if it tells why the model has stopped, and then as complete as that says.
"""

from typing import Final

import msgspec
from msgspec import Raw

from fairlead.errors import ApiError
from fairlead.wire.openrouter_shape import NULL, UNREADABLE, encode
from fairlead.wire.responses_errors import UNTOLD, Failure, failure_told
from fairlead.wire.responses_item import Events
from fairlead.wire.responses_output import Output
from fairlead.wire.responses_request import Asked
from fairlead.wire.responses_said import Said, is_text
from fairlead.wire.responses_usage import responses_usage


class _Choice(msgspec.Struct):
    delta: Said | None = None
    message: Said | None = None
    finish_reason: Raw = NULL
    logprobs: Raw = NULL
    error: Raw = NULL


class Chunk(msgspec.Struct):
    """Of a chat reply in OpenRouter's shape; or all of it."""

    id: str = ""
    model: Raw = NULL
    choices: list[_Choice] = []
    usage: Raw = NULL
    error: Raw = NULL
    debug: Raw = NULL
    service_tier: Raw = NULL
    openrouter_metadata: Raw = NULL


CHUNK: Final = msgspec.json.Decoder(Chunk)

_REASONS: Final = {b'"length"': b"max_output_tokens", b'"content_filter"': b"content_filter"}
_ERROR: Final = Raw(b'"error"')
_STOP: Final = Raw(b'"stop"')
_BROKEN: Final = Failure(
    encode({"code": "server_error", "message": "The provider's reply broke off: it does not say why it ends"}),
    "provider_unavailable",
)


class Reply:
    """One reply on its way. `created_at` is in Unix seconds; `model` counts until a chunk knows better."""

    __slots__ = (
        "_asked", "_created_at", "_finish", "_knows_model", "_metadata", "_model", "_response_id", "_tier", "_usage",
        "events", "failure", "held_bytes", "output",
    )  # fmt: skip

    def __init__(self, asked: Asked, response_id: str, model: str, created_at: int) -> None:
        self.events = Events()
        self.output = Output(response_id, asked.tools, self.events)
        self.failure: Failure | None = None
        self.held_bytes = 0
        """Of what has been said, about: it all stands in the Response in the end."""
        self._asked = asked
        self._response_id = encode(response_id)
        self._model = encode(model)
        self._knows_model = False
        self._created_at = created_at
        self._finish = NULL
        self._usage = b"null"
        self._tier = asked.service_tier
        self._metadata = NULL

    def note(self, chunk: Chunk) -> None:
        """Take up what a chunk tells of the reply as a whole."""
        if not self._knows_model and is_text(chunk.model):
            self._model, self._knows_model = bytes(chunk.model), True
        if chunk.usage is not NULL:
            self._usage = responses_usage(chunk.usage)
        if chunk.service_tier is not NULL and is_text(chunk.service_tier):
            self._tier = bytes(chunk.service_tier)
        if chunk.openrouter_metadata is not NULL:
            self._metadata = chunk.openrouter_metadata
        if chunk.error is not NULL and chunk.error != NULL:
            self.failure = failure_told(chunk.error)

    def take(self, chunk: Chunk) -> bytes:
        """Return the events of what a chunk says. A response has one answer: the first choice is all there is."""
        if not chunk.choices:
            return b""
        choice = chunk.choices[0]
        said = choice.delta or choice.message
        told = self.output.take(said, choice.logprobs) if said is not None else b""
        if said is not None:
            self.held_bytes += said.size()
        if choice.logprobs is not NULL:
            self.held_bytes += len(memoryview(choice.logprobs))
        if choice.finish_reason is not NULL and choice.finish_reason != NULL:
            self._finish = choice.finish_reason
        if choice.error is not NULL and choice.error != NULL:
            self.failure = failure_told(choice.error)
        return told

    def so_far(self) -> bytes:
        """Return the Response while it is in progress: without its output, which the events tell."""
        return self._json(b"in_progress")

    def end(self, completed_at: int) -> tuple[bytes, bytes, bytes]:
        """Return the events that end what is open, what the Response has come to in a word, and the Response.

        What is open when it fails does not end: some clients (Codex) act upon an item as soon as it is done.
        """
        if self.failure is None and self._finish in (NULL, _ERROR):
            self.failure = UNTOLD if self._finish == _ERROR else _BROKEN
        if self.failure is not None:
            return b"", b"failed", self._json(b"failed", with_output=True)
        reason = _REASONS.get(bytes(self._finish))
        told = self.output.end(is_cut_short=reason is not None)
        if reason is not None:
            return told, b"incomplete", self._json(b"incomplete", reason=reason, with_output=True)
        return told, b"completed", self._json(b"completed", b"%d" % completed_at, with_output=True)

    def stop(self) -> None:
        """A whole reply is complete by its framing, if it does not say otherwise."""
        if self._finish == NULL:
            self._finish = _STOP

    def _json(
        self, status: bytes, completed_at: bytes = b"null", reason: bytes | None = None, *, with_output: bool = False
    ) -> bytes:
        more = b""
        if self._metadata != NULL:
            more += b',"openrouter_metadata":' + bytes(self._metadata)
        if self.failure is not None:
            more += b',"error_type":' + encode(self.failure.error_type)
        return (
            b'{"id":%b,"object":"response","created_at":%d,"completed_at":%b,"status":"%b","error":%b,'
            b'"incomplete_details":%b,"model":%b,"output":[%b],"output_text":%b,"service_tier":%b,"usage":%b,%b%b}'
        ) % (
            self._response_id,
            self._created_at,
            completed_at,
            status,
            b"null" if self.failure is None else self.failure.error,
            b"null" if reason is None else b'{"reason":"%b"}' % reason,
            self._model,
            self.output.json() if with_output else b"",
            self.output.text() if with_output else b'""',
            self._tier,
            self._usage,
            self._asked.repeated,
            more,
        )


def response_object(chat: bytes, asked: Asked, created_at: int, completed_at: int) -> bytes:
    """Return the Response for a whole reply, as `adapted_reply` returns it.

    Raises ApiError 502 for what is no chat reply: there is nothing to put into a Response then. One whose choice failed
    is a Response that failed.
    """
    try:
        whole = CHUNK.decode(chat)
    except UNREADABLE:
        raise ApiError(502, "The provider's reply is no chat completion", error_type="provider_unavailable") from None
    if not whole.choices:
        raise _refused(whole)
    reply = Reply(asked, whole.id, "", created_at)
    reply.note(whole)
    reply.take(whole)
    reply.stop()
    return reply.end(completed_at)[2]


def _refused(whole: Chunk) -> ApiError:
    """Return the error for a reply of status 200 that is one, or is nothing at all."""
    failure = failure_told(whole.error)
    return ApiError(502, msgspec.json.decode(failure.error)["message"], error_type=failure.error_type)
