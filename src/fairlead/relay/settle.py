"""What an exchange cost, found after its last byte.

Not while the caller waits: finished exchanges are settled together a moment later. Large replies are settled at once
rather than kept.
"""

from dataclasses import dataclass

from fairlead.catalog.model import Endpoint
from fairlead.catalog.pricing import cost_usd_nanos
from fairlead.health.board import HealthBoard
from fairlead.health.endpoint import Attempt
from fairlead.telemetry.record import ExchangeRecord
from fairlead.wire.encoding import decoded
from fairlead.wire.usage import last_usage, usage_of_reply

READ_LIMIT_BYTES = 4 * 1024 * 1024
KEEP_LIMIT_BYTES = 16_384
"""Replies above this are settled at once: at 10 000 requests/s a tenth of a second holds a thousand of them."""


@dataclass(slots=True)
class Unsettled:
    """What is needed to settle an exchange: whose price, and the content where usage stands.

    `content` is a whole reply (`is_whole`), or the end of a stream. `ended_at` is `clock.monotonic` time.
    """

    endpoint: Endpoint
    content: bytes
    is_whole: bool
    encoding: bytes
    attempt: Attempt | None
    """Where its speed is worth noting: None for a reply that broke off, or was held up by the caller."""
    ended_at: float


def settle(record: ExchangeRecord, board: HealthBoard) -> None:
    """Fill in what was used and what it costs, and note how fast the reply came, if that is still to be done."""
    unsettled = record.unsettled
    if not isinstance(unsettled, Unsettled):
        return
    record.unsettled = None
    usage = None
    if unsettled.is_whole:
        body = decoded(unsettled.content, unsettled.encoding, READ_LIMIT_BYTES)
        usage = usage_of_reply(body) if body is not None else None
    elif unsettled.encoding in (b"", b"identity"):
        usage = last_usage(unsettled.content)
    record.usage = usage
    if unsettled.attempt is not None:
        tokens = usage.completion_tokens if usage is not None else 0
        board.replied(unsettled.attempt, unsettled.ended_at, record.first_content_at, tokens)
    if usage is not None and unsettled.endpoint.price is not None:
        record.cost_usd_nanos = cost_usd_nanos(unsettled.endpoint.price, usage)
