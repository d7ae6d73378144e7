"""From the first content to the last byte: pass it on, end honestly whatever happens, give back what was taken."""

import asyncio
import functools

from fairlead import clock
from fairlead.catalog.pricing import Usage, bill_of
from fairlead.errors import ApiError, UpstreamError
from fairlead.health.board import HealthBoard
from fairlead.health.outcome import GONE, OK, Outcome, judge_error
from fairlead.relay.attempts import Won
from fairlead.relay.downstream import Downstream, Headers
from fairlead.relay.pump import caught_up, pump
from fairlead.relay.settle import KEEP_LIMIT_BYTES, READ_LIMIT_BYTES, Unsettled, settle
from fairlead.relay.tap import Tap
from fairlead.telemetry.record import ExchangeRecord
from fairlead.wire.cost import CostSplicer, with_cost
from fairlead.wire.encoding import decoded
from fairlead.wire.errors import error_event
from fairlead.wire.tokens import TokenEstimates

SHUTTING_DOWN = ApiError(503, "The gateway is shutting down; send the request again", error_type="server")

_PASSED_ON = (b"content-type", b"content-language")
_STREAM_HEADERS = [(b"cache-control", b"no-cache, no-transform"), (b"x-accel-buffering", b"no")]


class Delivery:
    """A won attempt's reply on its way to the caller. `deadline` is `clock.monotonic` time."""

    __slots__ = (
        "_bill_of", "_board", "_content", "_deadline", "_downstream", "_encoding", "_estimates", "_is_stream",
        "_is_whole", "_limits", "_record", "_splicer", "_tap", "_usage", "_was_slow", "_won",
    )  # fmt: skip

    def __init__(
        self,
        won: Won,
        downstream: Downstream,
        record: ExchangeRecord,
        board: HealthBoard,
        estimates: TokenEstimates,
        limits: Headers,
        *,
        is_stream: bool,
        deadline: float,
    ) -> None:
        self._won = won
        self._board = board
        self._estimates = estimates
        self._limits = limits
        self._content = won.content
        self._encoding = won.reply.header(b"content-encoding")
        self._is_whole = won.reply.is_drained and not is_stream
        self._usage: Usage | None = None
        # Not a method of ours: a delivery must be freed without the cycle collector.
        self._bill_of = functools.partial(bill_of, won.dispatch.endpoint.price)
        self._splicer = CostSplicer(self._bill_of) if is_stream and not self._encoding else None
        self._downstream = downstream
        self._record = record
        self._is_stream = is_stream
        self._deadline = deadline
        self._tap = record.tap = Tap()
        self._was_slow = False
        """The caller held the provider up: how long the reply took says nothing of the provider."""

    async def run(self) -> None:
        """Deliver. Faults are told to the caller in band; raises CancelledError only when the caller has left."""
        won, downstream, record = self._won, self._downstream, self._record
        record.status = 200
        if self._is_whole:
            self._tell_cost()
        outcome = GONE
        try:
            if downstream.is_slow:  # with the replies to requests sent before this one
                self._was_slow = True
                await caught_up(downstream, self._deadline)
            downstream.start(200, self._headers())
            self._was_slow |= await pump(won.reply, self._content, downstream, self._tap, self._deadline, self._splicer)
            record.end, outcome = "ok", OK
        except UpstreamError as error:
            record.end, record.error = "cut", str(error)
            outcome = judge_error(error, is_promised=True)
            self._end_broken(
                ApiError(502, f"The provider's reply broke off: {error}", error_type="provider_unavailable")
            )
        except TimeoutError:  # nobody's fault but the caller's, who could not read an error either
            record.end, record.error = "cut", "the caller did not take the reply in time"
            downstream.abort()
        except asyncio.CancelledError:
            if not downstream.is_expired:
                raise
            record.end = "drained"
            self._end_broken(SHUTTING_DOWN)
        finally:
            self._give_back(outcome)
            self._leave_to_settle(is_complete=outcome is OK)

    def _tell_cost(self) -> None:
        """Put into a whole reply what it costs. One that is encoded is sent as it means: few callers save by that."""
        body = decoded(self._content, self._encoding, READ_LIMIT_BYTES)
        if body is not None:
            self._content, self._usage = with_cost(body, self._bill_of)
            self._encoding = b""

    def _headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers of the caller's reply: few of the provider's, and where the reply comes from."""
        reply, record = self._won.reply, self._record
        headers = [(name, value) for name in _PASSED_ON if (value := reply.header(name))]
        if self._encoding:
            headers.append((b"content-encoding", self._encoding))
        if self._is_stream:
            headers += _STREAM_HEADERS
        elif reply.is_drained:
            headers.append((b"content-length", b"%d" % len(self._content)))
        elif length := reply.header(b"content-length"):
            headers.append((b"content-length", length))
        headers.append((b"x-generation-id", record.id.encode()))
        headers.append((b"x-request-id", record.request_id.encode()))
        headers += self._won.dispatch.reply_headers
        headers += self._limits
        if len(record.attempts) > 1:
            headers.append((b"x-fairlead-attempts", b"%d" % len(record.attempts)))
        return headers

    def _end_broken(self, fault: ApiError) -> None:
        """End a reply that cannot be completed so that nobody takes it for complete."""
        # Half an event cannot be taken back: ended by us it would be delivered, as JSON that nobody can read (OpenAI's
        # client raises a bare JSONDecodeError). A broken connection is what every client knows how to report.
        if self._splicer is not None and (held := self._splicer.finish()):
            self._tap.feed(held)
            self._downstream.write(held, is_last=False)
        tail = self._tap.tail
        if not self._is_stream or self._encoding or not tail.endswith((b"\n", b"\r")):
            self._downstream.abort()
            return
        event = error_event(
            fault,
            generation_id=self._record.id,
            model=self._record.model,
            provider=self._won.dispatch.endpoint.provider.name,
            created=int(self._record.started_unix),
        )
        self._downstream.write(event if tail.endswith(b"\n\n") else b"\n\n" + event, is_last=True)

    def _give_back(self, outcome: Outcome) -> None:
        won, now = self._won, clock.monotonic()
        won.reply.abort()
        won.record.verdict = outcome.verdict
        won.record.message = outcome.message
        won.record.duration_s = now - won.attempt.begun_at
        self._board.end(won.attempt, outcome, now)

    def _leave_to_settle(self, *, is_complete: bool) -> None:
        won, record = self._won, self._record
        content = self._content if self._is_whole else self._tap.tail
        record.reply_bytes = self._tap.size
        record.unsettled = Unsettled(
            won.dispatch.endpoint,
            content,
            self._is_whole,
            self._encoding,
            won.attempt if is_complete and not self._was_slow else None,
            won.attempt.begun_at + won.record.duration_s,
            self._usage if self._splicer is None else self._splicer.usage,
        )
        if len(content) > KEEP_LIMIT_BYTES:
            settle(record, self._board, self._estimates)
