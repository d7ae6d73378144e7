"""A stream in OpenRouter's shape (wire-api, section 4), made event by event of any that is shaped like OpenAI's.

Where the reference is silent (its section 16): the usage comes last and alone, with `choices: []`, however the provider
told it; an event of empty `choices` that is not the usage (Azure begins with one) gets a choice that says nothing,
since many clients look at the first one without asking; an error in a stream ends it, and `[DONE]` follows it.
"""

from collections.abc import Callable

import msgspec
from msgspec import Raw

from fairlead.catalog.pricing import Usage
from fairlead.errors import ApiError
from fairlead.wire.cost import BillOf
from fairlead.wire.errors import error_event, read_provider_error
from fairlead.wire.event_frames import MOST_EVENT_BYTES, EventFrames, fields_of
from fairlead.wire.openrouter_calls import CallParts
from fairlead.wire.openrouter_pattern import Pattern, learned
from fairlead.wire.openrouter_reply import Estimate, Metadata, as_events
from fairlead.wire.openrouter_shape import (
    ASSISTANT,
    EMPTY,
    MEMBERS,
    NOTHING,
    NULL,
    OBJECTS,
    REPLACED,
    UNREADABLE,
    Identity,
    Members,
    drop_nulls,
    encode,
    flatten_content,
    hide_reasoning,
    normalise_finish,
    offer_reasoning,
    on_one_line,
)
from fairlead.wire.openrouter_usage import canonical_usage, priced, usage_json
from fairlead.wire.utf8 import paired, repaired

DONE = b"data: [DONE]\n\n"
MOST_LESSONS = 16
"""Events of a stream that are learned from. Where each is of its own kind (OpenAI pads them) it would not pay."""

_NEVER_NULL = ("system_fingerprint", "service_tier", "error")
"""Of a chunk: present with a value, or not at all."""

Redact = Callable[[str], str]
"""Takes out of a provider's text what only the operator may know."""


class ChunkAdapter:
    """Adapts one stream, however it is cut into pieces: `feed` returns whole events only, each ended by LF LF.

    So that an end can be made of it at any time, what a provider has begun and not completed is never passed on.
    """

    __slots__ = (
        "_bill_of", "_calls", "_estimate", "_frames", "_has_finished", "_identity", "_is_done", "_is_whole", "_last",
        "_lessons", "_metadata", "_most_bytes", "_noted", "_opening", "_parts", "_parts_bytes", "_pattern", "_redact",
        "_told", "fault", "usage",
    )  # fmt: skip

    def __init__(
        self,
        identity: Identity,
        bill_of: BillOf,
        estimate: Estimate,
        redact: Redact,
        metadata: Metadata | None = None,
        most_bytes: int = MOST_EVENT_BYTES,
    ) -> None:
        self.usage: Usage | None = None
        """As the provider has told it, once the stream has ended."""
        self.fault: ApiError | None = None
        """With what the stream was ended before its time."""
        self._identity = identity
        self._opening = b"data: {%b," % identity.members("chat.completion.chunk")
        self._bill_of = bill_of
        self._estimate = estimate
        self._redact = redact
        self._metadata = metadata
        self._most_bytes = most_bytes
        """Of an event, or of a whole reply that comes in place of a stream: more is not held."""
        self._frames = EventFrames(most_bytes)
        self._is_whole: bool | None = None
        """Whether it is no stream at all, but a whole reply; None before it has begun."""
        self._parts: list[bytes] = []
        """Of such a reply."""
        self._parts_bytes = 0
        self._told: Raw | None = None
        self._last: Members = {}
        """Members of the chunk that told the usage."""
        self._calls = CallParts()
        self._noted = 0
        """How many events have told something that matters later. They are no pattern for others."""
        self._pattern: Pattern | None = None
        # What is hidden is part of no pattern.
        self._lessons = 0 if identity.hides_reasoning else MOST_LESSONS
        self._has_finished = False
        self._is_done = False

    def resume(self, identity: Identity, bill_of: BillOf, estimate: Estimate) -> None:
        """Go on with another provider's stream, which has been cut to begin where this one has ended.

        What was begun and not passed on is dropped.
        """
        self._identity, self._bill_of, self._estimate = identity, bill_of, estimate
        self._opening = b"data: {%b," % identity.members("chat.completion.chunk")
        self._frames = EventFrames(self._most_bytes)
        self._pattern = None  # which begins with who answers

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes and return the events that are complete by now."""
        said = b"".join([self._event(event) for event in self._frames.feed(data)])
        if self._frames.is_too_long or self._parts_bytes > self._most_bytes:
            self._parts.clear()
            said += self.error(_broken("The provider has sent an event that is too long"))
        return said

    def finish(self) -> bytes:
        """Return the rest of a stream that has ended as its framing said.

        `[DONE]` is added where the provider has left it out after a finish reason: without one, the reply cannot be
        known to be whole, and is not said to be.
        """
        said = self._event(rest) if (rest := self._frames.rest()) else b""
        if self._is_whole:
            said += self._whole(b"\n".join(self._parts))
        if self._is_done:
            return said
        self._is_done = True
        return said + self._last_chunk() + (DONE if self._has_finished else b"")

    def error(self, fault: ApiError) -> bytes:
        """Return the end of a stream that cannot be completed, as OpenRouter has it; nothing if it has ended."""
        if self._is_done:
            return b""
        self._is_done = True
        self.fault = fault
        return error_end(fault, self._identity, self._metadata) + DONE

    def _event(self, event: bytes) -> bytes:
        event = repaired(event)
        if self._is_whole is not False:
            self._is_whole = self._is_whole or event.lstrip().startswith(b"{")
            if self._is_whole:
                self._parts.append(event)
                self._parts_bytes += len(event) + 1
                return b""
        if (pattern := self._pattern) is not None and pattern.fits(event):
            if not self._is_done and (said := pattern.adapted(event)) is not None:
                return said
        elif self._lessons and not self._is_done:
            return self._learn(event)
        return self._slowly(event)

    def _learn(self, event: bytes) -> bytes:
        """Adapt an event of a kind that has not come before."""
        self._lessons -= 1
        before = self._noted
        said = self._slowly(event)
        if self._noted == before and not self._is_done:
            self._pattern = learned(event, said, self._slowly) or self._pattern
        return said

    def _slowly(self, event: bytes) -> bytes:
        if event.startswith(b"data:") and b"\n" not in event:
            return self._payload(event[5:])
        comments, payloads = fields_of(event)
        if len(payloads) > 1 and _is_object(whole := b"\n".join(payloads)):
            payloads = [on_one_line(whole)]  # or else it is several events, with a single line end between them
        return b"".join([*(comment + b"\n\n" for comment in comments), *map(self._payload, payloads)])

    def _whole(self, reply: bytes) -> bytes:
        try:
            events = as_events(reply)
        except UNREADABLE:  # an error, perhaps
            return self._payload(b" ".join(reply.split()))
        return b"".join([self._slowly(event) for event in events.split(b"\n\n") if event])

    def _payload(self, payload: bytes) -> bytes:
        if self._is_done:
            return b""
        if payload.strip() == b"[DONE]":
            self._is_done = True
            return self._last_chunk() + DONE
        try:
            return self._chunk(MEMBERS.decode(payload))
        except UNREADABLE:
            return self._odd(payload.strip())

    def _odd(self, payload: bytes) -> bytes:
        """Return what becomes of an event that is no chunk: clients give up at what is not JSON, without a word."""
        if (whole := paired(payload)) != payload:
            return self._payload(whole)
        if _is_object(payload):
            return b"data: %b\n\n" % payload
        if not payload.startswith(b"{"):
            return b""
        return self.error(_broken("The provider has sent an event that is not JSON"))

    def _chunk(self, members: Members) -> bytes:
        choices = OBJECTS.decode(members.pop("choices", None) or b"[]")
        for name in REPLACED:
            members.pop(name, None)
        for name in _NEVER_NULL:
            if members.get(name) == NULL:
                del members[name]
        if "error" in members:
            return self.error(self._fault(members["error"]))
        told = members.pop("usage", NULL)
        if told != NULL:
            self._told = told
            self._noted += 1
            if not choices:
                self._last = members
                return b""
        if not choices and not members:
            return b""
        said = encode({"choices": [self._choice(choice) for choice in choices or [{}]], **members})
        return b"%b%b\n\n" % (self._opening, said[1:])

    def _choice(self, choice: Members) -> Members:
        delta: Members = {"role": ASSISTANT, "content": EMPTY}
        if (told := choice.pop("delta", NULL)) != NULL:
            delta |= MEMBERS.decode(told)
            delta["role"] = ASSISTANT
            drop_nulls(delta)
            flatten_content(delta)
            if self._identity.hides_reasoning:
                hide_reasoning(delta)
            else:
                offer_reasoning(delta)
            if delta.get("tool_calls", NOTHING) != NOTHING:
                delta["tool_calls"] = self._calls.adapted(delta["tool_calls"])
                self._noted += 1
                if delta["content"] == EMPTY:
                    delta["content"] = NULL
        normalise_finish(choice, has_calls=self._calls.begun > 0)
        if choice["finish_reason"] != NULL:
            self._has_finished = True
            self._noted += 1
        return {"index": 0, "delta": delta, "logprobs": NULL, **choice}

    def _last_chunk(self) -> bytes:
        told = canonical_usage(self._told) if self._told is not None else None
        if told is not None:
            self.usage = told[1]
        usage = priced(told[0] if told is not None else usage_json(self._estimate()), self._bill_of)
        last = {"choices": [], "usage": Raw(usage), **self._last}
        if self._metadata is not None:
            last["openrouter_metadata"] = Raw(self._metadata())
        return b"%b%b\n\n" % (self._opening, encode(last)[1:])

    def _fault(self, told: Raw) -> ApiError:
        """Return what the provider says in its stream has gone wrong, in our words for it.

        The code is a number: `@openrouter/sdk` takes no other. What is none, or no error's, becomes 502.
        """
        said = read_provider_error(b'{"error":%b}' % bytes(told))
        try:
            code = _CODED.decode(told).code
            status = int(code) if code is not None else 502
        except (*UNREADABLE, ValueError):
            status = 502
        status = status if 400 <= status < 600 else 502
        metadata: dict[str, object] = {"provider_name": self._identity.provider}
        if said.code:
            metadata["provider_code"] = self._redact(said.code)
        message = self._redact(said.message) or "The provider has ended its reply with an error"
        kind = {429: "rate_limit_exceeded", 503: "provider_overloaded", 529: "provider_overloaded"}.get(status)
        kind = kind or ("provider_unavailable" if status >= 500 else "invalid_request")
        return ApiError(status, message, error_type=kind, metadata=metadata)


def _broken(text: str) -> ApiError:
    return ApiError(502, text, error_type="provider_unavailable")


class _Coded(msgspec.Struct):
    code: int | str | None = None


_CODED = msgspec.json.Decoder(_Coded)


def echo(sent: bytes, identity: Identity) -> bytes:
    """Return the event that tells a caller what its provider was sent (JSON): wire-api, section 4.4."""
    return b'data: {%b,"choices":[],"debug":{"echo_upstream_body":%b}}\n\n' % (
        identity.members("chat.completion.chunk"),
        b" ".join(sent.split()) if b"\n" in sent or b"\r" in sent else sent,
    )


def error_end(fault: ApiError, identity: Identity, metadata: Metadata | None = None) -> bytes:
    """Return the event that ends a stream after its status has been promised.

    No `[DONE]`: who looks for nothing else would take the reply for whole.
    """
    event = error_event(
        fault,
        generation_id=identity.id,
        model=identity.model,
        provider=identity.provider,
        created=identity.created,
    )
    if metadata is not None:
        event = b'%b,"openrouter_metadata":%b}\n\n' % (event.removesuffix(b"}\n\n"), metadata())
    return event


def _is_object(text: bytes) -> bool:
    try:
        MEMBERS.decode(text)
    except UNREADABLE:
        return False
    return True
