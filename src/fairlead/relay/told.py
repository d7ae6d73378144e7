"""What a reply tells its caller beside its content: in its head, and in what OpenRouter's shape adds to it."""

import functools

from fairlead import clock
from fairlead.catalog.pricing import Usage
from fairlead.relay.attempts import Won
from fairlead.relay.downstream import Headers
from fairlead.relay.manner import Manner
from fairlead.relay.tap import Tap
from fairlead.telemetry.record import ExchangeRecord
from fairlead.wire.openrouter_shape import Identity
from fairlead.wire.router_metadata import Routing
from fairlead.wire.tokens import TokenEstimates

EVENT_STREAM = b"text/event-stream"
STREAM_HEADERS: Headers = [(b"cache-control", b"no-cache, no-transform"), (b"x-accel-buffering", b"no")]


def passed_on(won: Won) -> Headers:
    """Return those of the provider's headers that go on."""
    header = won.reply.header
    headers = [(b"content-type", kind)] if (kind := header(b"content-type")) else []
    if language := header(b"content-language"):
        headers.append((b"content-language", language))
    return headers


def own_headers(won: Won, record: ExchangeRecord, limits: Headers, asked_at: float) -> Headers:
    """Return the headers that tell of the exchange. `asked_at`: when the first provider was (`clock.monotonic`)."""
    ours_ms = 1000.0 * (asked_at - record.started_at)
    theirs_ms = 1000.0 * (won.first_content_at - asked_at)
    headers = [
        (b"x-generation-id", record.id.encode()),
        (b"x-request-id", record.request_id.encode()),
        *won.dispatch.reply_headers,
        *limits,
    ]
    if len(record.attempts) > 1:
        headers.append((b"x-fairlead-attempts", b"%d" % len(record.attempts)))
    headers.append((b"server-timing", b"gateway;dur=%.2f, upstream;dur=%.2f" % (ours_ms, theirs_ms)))
    return headers


def identity_of(won: Won, record: ExchangeRecord, manner: Manner) -> Identity:
    endpoint = won.dispatch.endpoint
    return Identity(
        record.id, endpoint.provider.name, endpoint.model.id, int(record.started_unix), manner.hides_reasoning
    )


def estimate_of(
    won: Won, record: ExchangeRecord, estimates: TokenEstimates, size: int | Tap
) -> "functools.partial[Usage]":
    """Return what will be charged for a reply of that `size` whose provider does not tell its usage, when asked."""
    return functools.partial(_estimated, estimates, won.dispatch.endpoint.id, record, size)


def _estimated(estimates: TokenEstimates, endpoint_id: str, record: ExchangeRecord, size: int | Tap) -> Usage:
    """`settle` reckons likewise."""
    reply_bytes = size.size if isinstance(size, Tap) else size
    return Usage(
        prompt_tokens=estimates.prompt_tokens(endpoint_id, record.request_bytes),
        completion_tokens=estimates.completion_tokens(endpoint_id, reply_bytes, is_stream=record.is_stream),
    )


def metadata_of(routing: Routing | None, won: Won, record: ExchangeRecord) -> "functools.partial[bytes] | None":
    """Return what tells how the request was routed, if the caller wants to know."""
    if routing is None:
        return None
    routing.selected = won.dispatch.endpoint
    return functools.partial(_routed, routing, record, won.attempt.begun_at)


def _routed(routing: Routing, record: ExchangeRecord, begun_at: float) -> bytes:
    return routing.json(record.asked, record.attempts, clock.monotonic() - begun_at)
