"""Errors, and other small replies, as the caller's dialect wants them."""

from fairlead.edge.downstream import HttpDownstream
from fairlead.errors import ApiError
from fairlead.telemetry.record import ExchangeRecord
from fairlead.wire.errors import error_body


async def respond_error(downstream: HttpDownstream, error: ApiError, record: ExchangeRecord) -> None:
    """Answer with `error`. Its `x-should-retry` tells OpenAI's clients whether another try can help."""
    body = error_body(error)
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
