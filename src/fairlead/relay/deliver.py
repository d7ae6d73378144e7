"""From the first content to the last byte: pass it on, end honestly whatever happens, give back what was taken."""

import asyncio
import functools

from fairlead import clock
from fairlead.catalog.pricing import Usage, bill_of
from fairlead.errors import ApiError, ProtocolError, UpstreamError
from fairlead.health.board import HealthBoard
from fairlead.health.outcome import GONE, OK, Outcome, Verdict, judge_error
from fairlead.relay.attempts import Won
from fairlead.relay.beginning import said_by
from fairlead.relay.downstream import Downstream, Headers
from fairlead.relay.manner import OPENAI, Manner
from fairlead.relay.pump import Source, caught_up, pump
from fairlead.relay.resume import Followed, Resumes
from fairlead.relay.settle import Unsettled
from fairlead.relay.tap import tap_of
from fairlead.relay.told import (
    EVENT_STREAM,
    STREAM_HEADERS,
    estimate_of,
    identity_of,
    metadata_of,
    own_headers,
    passed_on,
)
from fairlead.telemetry.record import CALLER_SLOW, STREAM_ERROR, ExchangeRecord
from fairlead.upstream.dispatch import redacted
from fairlead.wire.cost import CostSplicer
from fairlead.wire.encoding import encoding_of
from fairlead.wire.ending import is_done
from fairlead.wire.openrouter_chunks import ChunkAdapter, echo, error_end
from fairlead.wire.openrouter_shape import Identity
from fairlead.wire.resume import Resumption
from fairlead.wire.router_metadata import Routing
from fairlead.wire.sse import last_error
from fairlead.wire.tokens import TokenEstimates

SHUTTING_DOWN = ApiError(503, "The gateway is shutting down; send the request again", error_type="server")

MOST_REPLY_BYTES = 64 * 1024 * 1024
"""Of a reply that has to be held to be changed, unless the operator says otherwise: several images."""


class Delivery:
    """A won attempt's reply on its way to the caller in the parts that it comes in: a stream, or one too large to hold.

    `deadline` and `asked_at` are `clock.monotonic` time.
    """

    __slots__ = (
        "_adapter", "_asked_at", "_bill_of", "_board", "_deadline", "_downstream", "_encoding",
        "_estimates", "_is_promised", "_is_readable", "_is_resumed", "_is_stream", "_limits", "_manner",
        "_max_reply_bytes", "_record", "_resumes", "_routing", "_splicer", "_tap", "_was_slow", "_won",
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
        asked_at: float,
        manner: Manner = OPENAI,
        routing: Routing | None = None,
        resumes: Resumes | None = None,
        choices: int = 1,
        max_reply_bytes: int = MOST_REPLY_BYTES,
    ) -> None:
        self._won = won
        self._max_reply_bytes = max_reply_bytes
        self._board = board
        self._estimates = estimates
        self._limits = limits
        self._encoding = encoding_of(won.reply.header(b"content-encoding"))
        # Not a method of ours: a delivery must be freed without the cycle collector.
        self._bill_of = functools.partial(bill_of, won.dispatch.endpoint.price)
        self._is_resumed = False
        self._downstream = downstream
        self._record = record
        self._is_stream = is_stream
        self._deadline = deadline
        self._asked_at = asked_at
        self._manner = manner
        self._routing = routing
        self._resumes = resumes
        self._tap = record.tap = tap_of(choices if is_stream else 1) if resumes is None else resumes.tap()
        self._is_readable = is_stream and not self._encoding
        """It is a stream, and of what stands in it can be told."""
        self._splicer = CostSplicer(self._bill_of) if self._is_readable and not manner.is_adapted else None
        self._adapter = self._new_adapter() if self._is_readable and manner.is_adapted else None
        self._is_promised = False
        """The caller gets this reply: nobody else can be asked."""
        self._was_slow = False
        """The caller held the provider up: how long the reply took says nothing of the provider."""

    async def run(self) -> None:
        """Deliver. Once the caller has been promised this reply faults are told in band; before that they are raised.

        Raises ApiError, and CancelledError when the caller has left.
        """
        downstream, record = self._downstream, self._record
        outcome = GONE
        try:
            await self._pass_on()
            outcome = self._judged()
        except UpstreamError as error:
            if self._is_promised and self._has_ended():
                self._end_whole()
                outcome = self._judged()
                return
            outcome = judge_error(error, is_promised=self._is_promised)
            fault = ApiError(502, f"The provider's reply broke off: {error}", error_type="provider_unavailable")
            if not self._is_promised:
                raise fault from None
            record.end, record.error = "cut", str(error)
            self._end_broken(fault)
        except TimeoutError:  # nobody's fault but the caller's, who could not read an error either
            record.end, record.error = "cut", CALLER_SLOW
            downstream.abort()
        except asyncio.CancelledError:
            if not (downstream.is_expired and self._is_promised):
                raise
            record.end = "drained"
            self._end_broken(SHUTTING_DOWN)
        finally:
            self._give_back(outcome)
            if self._is_promised or outcome is GONE:
                self._leave_to_settle(is_complete=outcome is OK)

    async def _pass_on(self) -> None:
        downstream = self._downstream
        if downstream.is_slow:  # with the replies to requests sent before this one
            self._was_slow = True
            await caught_up(downstream, self._deadline)
        if not downstream.is_started:
            downstream.start(200, self._headers())
        elif self._adapter is None and not self._is_event_stream():  # and as one it was begun, as a sign of life
            raise ProtocolError("it is no stream")
        self._record.status, self._is_promised = 200, True
        if self._adapter is not None and self._won.sent:
            downstream.write(echo(self._won.sent, self._identity()), is_last=False)
        try:
            await self._pump(self._won.reply, self._won.content)
        except UpstreamError as error:
            if (resumption := self._resumption()) is None:
                raise
            await self._resume(resumption, error)

    async def _pump(self, source: Source, content: bytes) -> None:
        self._was_slow |= await pump(
            source,
            content,
            self._downstream,
            self._tap,
            self._deadline,
            self._splicer,
            self._adapter,
            has_end=self._is_stream and self._is_event_stream(),
        )

    def _resumption(self) -> Resumption | None:
        """Return what would compare another reply with what the caller has; None if there is to be none."""
        if self._resumes is None or not self._is_readable or self._has_ended():
            return None
        return self._resumes.following(self._tap, is_by_events=self._adapter is not None)

    async def _resume(self, resumption: Resumption, broken: UpstreamError) -> None:
        """Go on with another reply where the caller's text ends. Raises `broken` if there is none."""
        assert self._resumes is not None
        self._give_back(judge_error(broken, is_promised=True))
        won = await self._resumes.again(self._won)
        if won is None:
            raise broken
        self._won, self._is_resumed = won, True
        endpoint, record = won.dispatch.endpoint, self._record
        record.answered_by(endpoint)
        self._bill_of = functools.partial(bill_of, endpoint.price)
        if self._adapter is not None:
            self._adapter.resume(self._identity(), self._bill_of, self._estimate())
            self._tap.feed(b"\n\n")  # after what was begun and not passed on
        else:
            self._splicer = CostSplicer(self._bill_of)
        followed = Followed(won.reply, resumption)
        await self._pump(followed, followed.new(won.content))

    def _judged(self) -> Outcome:
        """Judge a reply that has been passed on to its end."""
        record = self._record
        told, adapter = self._told_error(), self._adapter
        if told is not None:
            said = said_by(self._won.dispatch.endpoint, told).message
            outcome = Outcome(Verdict.CUT, 200, f"{STREAM_ERROR}: {said}")
        elif adapter is not None and (fault := adapter.fault) is not None:  # the caller has been told, and no more
            is_theirs = "provider_name" in fault.metadata  # in their words, and too far back for the tap
            outcome = Outcome(Verdict.CUT, 200, f"{STREAM_ERROR}: {fault.message}" if is_theirs else fault.message)
        else:
            record.end = "ok"
            return OK
        record.end, record.error = "cut", outcome.message
        return outcome

    def _told_error(self) -> bytes | None:
        return last_error(self._tap.tail) if self._is_readable else None

    def _has_ended(self) -> bool:
        """Whether the stream has said so, or that it failed. How its connection ends does not matter then."""
        return self._is_readable and (is_done(self._tap.tail) or self._told_error() is not None)

    def _end_whole(self) -> None:
        editor = self._splicer or self._adapter
        self._downstream.write(b"" if editor is None else editor.finish(), is_last=True)

    def _is_event_stream(self) -> bool:
        return not self._encoding and self._won.reply.header(b"content-type").startswith(EVENT_STREAM)

    def _new_adapter(self) -> ChunkAdapter:
        provider = self._won.dispatch.endpoint.provider
        redact = functools.partial(redacted, provider=provider)
        most = self._max_reply_bytes
        return ChunkAdapter(
            self._identity(),
            self._bill_of,
            self._estimate(),
            redact,
            metadata_of(self._routing, self._won, self._record),
            most,
        )

    def _identity(self) -> Identity:
        return identity_of(self._won, self._record, self._manner)

    def _estimate(self) -> "functools.partial[Usage]":
        return estimate_of(self._won, self._record, self._estimates, self._tap)

    def _headers(self) -> Headers:
        reply = self._won.reply
        headers = passed_on(self._won)
        if self._adapter is not None:
            headers = [(b"content-type", EVENT_STREAM)]
        if self._encoding:
            headers.append((b"content-encoding", self._encoding))
        if self._is_stream:
            headers += STREAM_HEADERS
        elif length := reply.header(b"content-length"):
            headers.append((b"content-length", length))
        return headers + own_headers(self._won, self._record, self._limits, self._asked_at)

    def _end_broken(self, fault: ApiError) -> None:
        """End a reply that cannot be completed so that nobody takes it for complete."""
        if self._adapter is not None:
            self._downstream.write(self._adapter.error(fault), is_last=True)
            return
        # Half an event cannot be taken back: ended by us it would be delivered, as JSON that nobody can read (OpenAI's
        # client raises a bare JSONDecodeError). A broken connection is what every client knows how to report.
        if self._splicer is not None and (held := self._splicer.finish()):
            self._tap.feed(held)
            self._downstream.write(held, is_last=False)
        tail = self._tap.tail
        if not self._is_stream or self._encoding or not tail.endswith((b"\n", b"\r")):
            self._downstream.abort()
            return
        end = error_end(fault, self._identity())
        self._downstream.write(end if tail.endswith(b"\n\n") else b"\n\n" + end, is_last=True)

    def _give_back(self, outcome: Outcome) -> None:
        if self._won.record.verdict != Verdict.GONE:  # it has been, before another was asked
            return
        won, now = self._won, clock.monotonic()
        won.reply.abort()
        won.record.verdict = outcome.verdict
        won.record.message = outcome.message
        won.record.duration_s = now - won.attempt.begun_at
        self._board.end(won.attempt, outcome, now)

    def _leave_to_settle(self, *, is_complete: bool) -> None:
        won, record = self._won, self._record
        content, editor = self._tap.tail, self._splicer or self._adapter
        record.reply_bytes = self._tap.size
        record.unsettled = Unsettled(
            won.dispatch.endpoint,
            content,
            False,
            self._encoding,
            won.attempt if is_complete and not self._was_slow and not self._is_resumed else None,
            won.attempt.begun_at + won.record.duration_s,
            editor.usage if editor is not None else None,
        )
