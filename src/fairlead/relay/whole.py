"""A reply in one piece that has all arrived, as nearly all have that are no streams.

Nothing can go wrong with it any more, so it goes to its caller in one go.
"""

import functools

from fairlead import clock
from fairlead.catalog.pricing import bill_of
from fairlead.health.board import HealthBoard
from fairlead.health.outcome import GONE, OK
from fairlead.relay.attempts import Won
from fairlead.relay.downstream import Downstream, Headers
from fairlead.relay.manner import Manner
from fairlead.relay.pump import caught_up
from fairlead.relay.settle import KEEP_LIMIT_BYTES, Unsettled, settle
from fairlead.relay.told import estimate_of, identity_of, metadata_of, own_headers, passed_on
from fairlead.telemetry.record import CALLER_SLOW, ExchangeRecord
from fairlead.wire.cost import with_cost
from fairlead.wire.encoding import encoding_of
from fairlead.wire.openrouter_reply import adapted_reply
from fairlead.wire.router_metadata import Routing
from fairlead.wire.tokens import TokenEstimates


async def deliver_whole(
    won: Won,
    downstream: Downstream,
    record: ExchangeRecord,
    board: HealthBoard,
    estimates: TokenEstimates,
    limits: Headers,
    *,
    deadline: float,
    asked_at: float,
    manner: Manner,
    routing: Routing | None = None,
) -> None:
    """Deliver. `deadline` and `asked_at` are `clock.monotonic` time. Raises CancelledError when the caller has left."""
    content, usage, bill, outcome, was_slow = won.content, None, None, GONE, False
    sent = content
    encoding = encoding_of(won.reply.header(b"content-encoding"))
    try:
        if encoding:  # nobody here can read it
            pass
        elif manner.is_adapted:
            sent, usage = adapted_reply(
                content,
                identity_of(won, record, manner),
                functools.partial(bill_of, won.dispatch.endpoint.price),
                estimate_of(won, record, estimates, len(content)),
                metadata_of(routing, won, record),
            )
        else:
            sent, usage, bill = with_cost(content, functools.partial(bill_of, won.dispatch.endpoint.price))
            content = sent
        if downstream.is_slow:  # with the replies to requests sent before this one
            was_slow = True
            await caught_up(downstream, deadline)
        headers = passed_on(won)
        if encoding:
            headers.append((b"content-encoding", encoding))
        headers.append((b"content-length", b"%d" % len(sent)))
        downstream.start(200, headers + own_headers(won, record, limits, asked_at))
        downstream.write(sent, is_last=True)
        record.status, record.end, record.reply_bytes, outcome = 200, "ok", len(content), OK
    except TimeoutError:  # nobody's fault but the caller's, who could not read an error either
        record.end, record.error = "cut", CALLER_SLOW
        downstream.abort()
    finally:
        now = clock.monotonic()
        won.record.verdict, won.record.message = outcome.verdict, outcome.message
        won.record.duration_s = now - won.attempt.begun_at
        board.end(won.attempt, outcome, now)
        attempt = won.attempt if outcome is OK and not was_slow else None
        usd_nanos = bill.usd_nanos if bill is not None else None
        record.unsettled = Unsettled(won.dispatch.endpoint, content, True, encoding, attempt, now, usage, usd_nanos)
        if len(content) > KEEP_LIMIT_BYTES:
            settle(record, board, estimates)
