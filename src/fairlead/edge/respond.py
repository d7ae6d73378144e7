"""Errors, and other small replies, as the caller's dialect wants them."""

from fairlead.edge.downstream import HttpDownstream
from fairlead.errors import ApiError
from fairlead.telemetry.record import ExchangeRecord
from fairlead.wire.errors import error_body
from fairlead.wire.responses_errors import responses_error
from fairlead.wire.router_metadata import Routing


async def respond_error(
    downstream: HttpDownstream, error: ApiError, record: ExchangeRecord, routing: Routing | None = None
) -> None:
    """Answer with `error`. Its `x-should-retry` tells OpenAI's clients whether another try can help.

    `routing`, for a caller who wants to know it, is told beside all but faults of ours.
    """
    body = error_body(error) if record.api == "chat" else responses_error(error, record.id)
    if routing is not None and error.status != 500:
        told = routing.json(record.asked, record.attempts)
        body = b'%b,"openrouter_metadata":%b}' % (body.removesuffix(b"}"), told)
    can_retry = error.status in (408, 429) or error.status >= 500
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-generation-id", record.id.encode()),
        (b"x-request-id", record.request_id.encode()),
        (b"x-should-retry", b"true" if can_retry else b"false"),
        *((name.encode(), value.encode()) for name, value in error.headers.items()),
    ]
    if downstream.is_slow:
        await downstream.drained()
    downstream.start(error.status, headers)
    downstream.write(body, is_last=True)
