"""What an exchange cost, found after its last byte.

Not while the caller waits: finished exchanges are settled together a moment later. Large replies are settled at once
rather than kept.

What is charged. Nothing without content: a request that failed, or whose caller left before the first token, costs
nothing, and neither does a reply of no tokens that ended in an error or without a reason. A reply is charged by what
its provider says it cost, else by the provider's count of tokens and the price of the endpoint that answered; where the
provider tells no usage (it left it out, the reply broke off, the caller left), by tokens estimated from the bytes that
went either way, and marked so. A count of zero stays zero.
"""

import msgspec

from fairlead.catalog.model import Endpoint
from fairlead.catalog.pricing import Usage, cost_of
from fairlead.health.board import HealthBoard
from fairlead.health.endpoint import Attempt
from fairlead.relay.stick import Stay
from fairlead.telemetry.record import ExchangeRecord
from fairlead.wire.encoding import decoded
from fairlead.wire.ending import finish_reason, reason_and_id, reply_id
from fairlead.wire.tokens import TokenEstimates
from fairlead.wire.usage import last_usage, usage_of_reply

READ_LIMIT_BYTES = 4 * 1024 * 1024
KEEP_LIMIT_BYTES = 16_384
"""Replies above this are settled at once: at 10 000 requests/s a tenth of a second holds a thousand of them."""


class Unsettled(msgspec.Struct):
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
    usage: Usage | None = None
    """Where it has been read already."""
    usd_nanos: int | None = None
    """What that costs, where it has been reckoned already."""


def settle(record: ExchangeRecord, board: HealthBoard, estimates: TokenEstimates) -> None:
    """Fill in what was used and what it costs, and note how fast the reply came, if that is still to be done."""
    unsettled = record.unsettled
    if not isinstance(unsettled, Unsettled):
        return
    record.unsettled = None
    content, endpoint = _plain(unsettled), unsettled.endpoint
    usage = unsettled.usage
    if usage is None and content is not None:
        usage = usage_of_reply(content) if unsettled.is_whole else last_usage(content)
    if content is not None:
        found = reason_and_id(content) if unsettled.is_whole else (finish_reason(content), reply_id(content))
        record.finish_reason, record.upstream_id = found
    if record.end == "cut":
        record.finish_reason = "error"
    if usage is None:
        charge_estimate(record, endpoint, estimates)
        return
    record.usage = usage
    usd_nanos = unsettled.usd_nanos
    record.cost_usd_nanos = cost_of(endpoint.price, usage) if usd_nanos is None else usd_nanos
    if usage.completion_tokens == 0 and record.finish_reason in ("", "error"):
        record.cost_usd_nanos = 0
    if isinstance(record.stay, Stay):
        record.stay.settled(record)
    if unsettled.attempt is not None:
        estimates.observe(endpoint.id, usage, record.request_bytes, record.reply_bytes, is_stream=record.is_stream)
        board.replied(unsettled.attempt, unsettled.ended_at, record.first_content_at, usage.completion_tokens)


def _plain(unsettled: Unsettled) -> bytes | None:
    """Return the content, None if it cannot be read."""
    if unsettled.is_whole:
        return decoded(unsettled.content, unsettled.encoding, READ_LIMIT_BYTES)
    return unsettled.content if unsettled.encoding in (b"", b"identity") else None


def charge_estimate(record: ExchangeRecord, endpoint: Endpoint, estimates: TokenEstimates) -> None:
    """Fill in what was presumably used, and what that costs: from the bytes of the request and of the reply so far."""
    reply_bytes = record.tap.size if record.tap is not None else record.reply_bytes
    record.usage = Usage(
        prompt_tokens=estimates.prompt_tokens(endpoint.id, record.request_bytes),
        completion_tokens=estimates.completion_tokens(endpoint.id, reply_bytes, is_stream=record.is_stream),
    )
    record.cost_usd_nanos = cost_of(endpoint.price, record.usage)
    record.is_estimated = True
