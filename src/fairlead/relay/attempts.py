"""Ask one endpoint after another until one has content to give.

Until then the caller has been promised nothing, so a failure stays between us and the provider: it is judged, noted
on the health board, and the next candidate is asked. A reply that is not streamed is held back until it is complete
(or too large to hold, where it may be passed on in parts), since that costs the caller no time and lets a reply that
breaks off be asked for again.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from fairlead import clock
from fairlead.catalog.model import Model, Timeouts
from fairlead.errors import ApiError, UpstreamError
from fairlead.health.board import HealthBoard
from fairlead.health.endpoint import Attempt
from fairlead.health.outcome import GONE, OUTRUN, RULES, Outcome, Verdict, judge_error
from fairlead.health.retry_budget import RetryBudget
from fairlead.plan.candidate import Candidate
from fairlead.plan.score import BYTES_PER_TOKEN
from fairlead.relay.beginning import Failed, begin_stream, begin_whole, read_error, wrong_with
from fairlead.relay.hedge import Hedging, Race
from fairlead.relay.inflate import Readable, readable
from fairlead.relay.learned import RenamedLimits
from fairlead.telemetry.record import AttemptRecord
from fairlead.telemetry.trace import Trace
from fairlead.upstream.client import UpstreamClient
from fairlead.upstream.connection import Reply
from fairlead.upstream.dispatch import Dispatch
from fairlead.wire.request import Buffer, ChatRequest, body_bytes

MOST_ATTEMPTS = 8
"""For one request, however many models it names."""
MOST_SHARES = 3
"""So many further attempts are left time for: with more, an attempt would be too short for a healthy endpoint."""


class Won(msgspec.Struct):
    """An attempt that has content to give."""

    dispatch: Dispatch
    reply: Readable
    content: bytes
    """What of the reply has been read."""
    attempt: Attempt
    record: AttemptRecord
    first_content_at: float
    sent: bytes = b""
    """What the provider was sent, where the caller wants to see it."""


class Attempts:
    """The attempts of one request, in the order of its plan. `deadline` is `clock.monotonic` time."""

    __slots__ = (
        "_board", "_budget", "_client", "_deadline", "_evades_filters", "_extra_head", "_hedging", "_if_cancelled",
        "_most_held", "_others", "_records", "_renamed", "_request", "_trace", "_wants_echo",
    )  # fmt: skip

    def __init__(
        self,
        client: UpstreamClient,
        board: HealthBoard,
        budget: RetryBudget,
        request: ChatRequest,
        extra_head: bytes,
        deadline: float,
        records: list[AttemptRecord],
        renamed: RenamedLimits,
        hedging: Hedging | None = None,
        trace: Trace | None = None,
        *,
        most_held_bytes: int = 0,
        evades_filters: bool = False,
    ) -> None:
        self._client = client
        self._board = board
        self._budget = budget
        self._trace = trace
        self._request = request
        self._wants_echo = request.wants_echo
        self._extra_head = extra_head
        self._deadline = deadline
        self._records = records
        self._renamed = renamed
        self._hedging = hedging
        self._evades_filters = evades_filters
        self._most_held = most_held_bytes
        """In bytes, of a reply without a stream that has to be changed as a whole; 0: it need not be."""
        self._if_cancelled = GONE
        self._others: list[tuple[Candidate, Dispatch]] = []
        """Who may be asked should the reply that was won break off: those not asked yet, else the same once more."""

    async def win(self, candidates: Sequence[tuple[Candidate, Dispatch]]) -> Won:
        """Return the first attempt that has content; it is under way, and the caller's to end on the board.

        Raises ApiError with the most telling failure when none has.
        """
        failed: list[Failed] = []
        left = list(candidates)
        while left:
            if self._hedging and not failed:
                result = await self._hedged(left, failed)
            else:
                result = await self._try(*self._next(left), left)
            if isinstance(result, Won):
                self._renamed.confirm(result.dispatch.endpoint.id)
                self._others = left or [one for one in candidates if one[1] is result.dispatch]
                return result
            if self._is_worth_again(result):
                left.insert(0, next(one for one in candidates if one[1].endpoint is result.endpoint))
                continue
            failed.append(result)
            rule, can_go_elsewhere = result.outcome.rule, self._can_go_elsewhere(result)
            if not can_go_elsewhere:  # but to another model that the caller has named
                left = [one for one in left if one[1].endpoint.model.id != result.endpoint.model.id]
            if not left or len(self._records) >= MOST_ATTEMPTS or clock.monotonic() >= self._deadline:
                break  # with no time left the next would be asked, and blamed, for nothing
            is_paid = result.outcome.verdict is Verdict.EVACUATED or not can_go_elsewhere
            if not is_paid and not self._budget.take(rule.retry_tokens):
                self._records[-1].message += "; not retried: the retry budget is spent"
                break
        raise final_error(self._request.models, failed)

    async def again(self, broken: Won) -> Won | None:
        """Ask once more for a reply that has broken off, of the same model; None if that is not to be had.

        Elsewhere if possible, and for no more than the retry budget has.
        """
        left = [one for one in self._others if one[1].endpoint.model is broken.dispatch.endpoint.model]
        while left and len(self._records) < MOST_ATTEMPTS and clock.monotonic() < self._deadline:
            if not self._budget.take(RULES[Verdict.CUT].retry_tokens):
                return None
            result = await self._try(*self._next(left), left)
            if isinstance(result, Won):
                return result
        return None

    async def _hedged(self, left: list[tuple[Candidate, Dispatch]], failed: list[Failed]) -> Won | Failed:
        """Try the next candidate, and when it takes long another of the same model: the first that has content goes on.

        A failure of either is noted in `failed` while the other goes on.
        """
        hedging, first = self._hedging, left[0][0].endpoint
        delay_s = hedging.delay_s(first.id, len(self._request.raw) / BYTES_PER_TOKEN) if hedging else None
        if hedging is None or delay_s is None or not self._is_next_of(first.model, left[1:]):
            return await self._try(*self._next(left), left)
        async with Race[Won | Failed](self._outrun) as race:
            race.start(self._try(*self._next(left), left))
            result = await race.next(delay_s)
            if result is None:
                if self._is_next_of(first.model, left) and hedging.take() and self._budget.is_half_full:
                    race.start(self._try(*self._next(left), left))
                result = await race.next()
            while isinstance(result, Failed) and self._can_go_elsewhere(result) and race.is_on:
                failed.append(result)
                result = await race.next()
            assert result is not None  # without a time limit it waits for one
            self._if_cancelled = OUTRUN
        self._if_cancelled = GONE
        return result

    def _can_go_elsewhere(self, failed: Failed) -> bool:
        return failed.outcome.rule.can_go_elsewhere or (
            self._evades_filters and failed.outcome.verdict is Verdict.FILTERED
        )

    def _is_worth_again(self, failed: Failed) -> bool:
        """Whether the same endpoint may take the request when it is said otherwise."""
        endpoint, said, status = failed.endpoint, failed.said, failed.outcome.status
        text = f"{said.code} {said.param} {said.message}"
        return self._renamed.try_other(endpoint.id, endpoint.provider.speaks, self._request, status, text)

    def _outrun(self, late: Won | Failed) -> None:
        """Nobody waits for this one any more."""
        if isinstance(late, Won):
            late.reply.abort()
            outcome, now = self._if_cancelled, clock.monotonic()
            late.record.verdict, late.record.message = outcome.verdict, outcome.message
            late.record.duration_s = now - late.attempt.begun_at
            self._board.end(late.attempt, outcome, now)

    def _next(self, left: list[tuple[Candidate, Dispatch]]) -> tuple[Candidate, Dispatch]:
        """Take the next candidate out of `left`: one that has not become unfit since the plan was made, if there is."""
        return left.pop(self._next_index(left))

    def _next_index(self, left: Sequence[tuple[Candidate, Dispatch]]) -> int:
        if len(left) == 1 or not self._records:
            return 0
        now = clock.monotonic()
        return next((i for i, (candidate, _) in enumerate(left) if not candidate.health.is_out(now)), 0)

    def _is_next_of(self, model: Model, left: Sequence[tuple[Candidate, Dispatch]]) -> bool:
        """Whether the next one serves this model."""
        return bool(left) and left[self._next_index(left)][0].endpoint.model.id == model.id

    async def _try(
        self, candidate: Candidate, dispatch: Dispatch, left: Sequence[tuple[Candidate, Dispatch]]
    ) -> Won | Failed:
        """Make one attempt, and note on the board how it ended unless it goes on."""
        endpoint = dispatch.endpoint
        record = AttemptRecord(endpoint.provider.slug, Verdict.GONE, 0, 0.0)
        extra_head = self._extra_head
        if self._trace is not None:
            record.span_id, lines = self._trace.attempt()
            record.endpoint, extra_head = endpoint, extra_head + lines
        head, body = self._message(candidate, dispatch, extra_head)
        self._records.append(record)
        started_at = record.begun_at = clock.monotonic()
        attempt = candidate.health.begin(started_at, is_stream=self._request.is_stream)
        result: Won | Failed | None = None
        try:
            result = await self._ask(dispatch, head, body, attempt, record, left)
            if isinstance(result, Won) and self._wants_echo:
                result.sent = b"".join(body)
        finally:
            if not isinstance(result, Won):
                result = Failed(endpoint, self._if_cancelled) if result is None else result
                now = clock.monotonic()
                record.duration_s = now - started_at
                record.verdict, record.message = result.outcome.verdict, result.outcome.message
                self._board.end(attempt, result.outcome, now)
        return result

    def _message(self, candidate: Candidate, dispatch: Dispatch, extra_head: bytes) -> tuple[bytes, list[Buffer]]:
        """Return what is sent to this endpoint. Raises ApiError for a body that nobody can send."""
        request = self._request
        provider = dispatch.endpoint.provider
        edits = request.upstream_edits(
            dispatch.model_json,
            wants_usage=provider.is_stream_usage_on_request,
            dialect=self._renamed.applied(provider.speaks, dispatch.endpoint.id),
            dropped=dispatch.dropped,
        )
        for name, value in (candidate.adds or {}).items():
            said = ("reasoning", name) if name == "reasoning_effort" else (name,)
            if not any(map(request.has, said)):
                edits.setdefault(name, value)
        body = request.spliced(edits)
        return dispatch.request_head(extra_head, body_bytes(body)), body

    async def _ask(
        self,
        dispatch: Dispatch,
        head: bytes,
        body: list[Buffer],
        attempt: Attempt,
        record: AttemptRecord,
        left: Sequence[tuple[Candidate, Dispatch]],
    ) -> Won | Failed:
        endpoint, is_stream = dispatch.endpoint, self._request.is_stream
        timeouts = self._timeouts(endpoint.provider.timeouts, attempt.begun_at, len(left))
        reply: Readable | None = None
        try:
            deadline = min(self._deadline, attempt.begun_at + timeouts.total_s)
            begun = (lambda reply: self._let_leave(attempt, reply)) if left else None
            raw = await self._client.send(dispatch.origin, head, body, timeouts, deadline, begun)
            record.status = raw.status
            if raw.status != 200:
                return await read_error(raw, endpoint)
            reply = readable(raw)
            content = await (
                begin_stream(reply, attempt.begun_at) if is_stream else begin_whole(reply, self._most_held)
            )
        except UpstreamError as error:
            if attempt.has_left:
                return Failed(endpoint, Outcome(Verdict.EVACUATED, 0, "left, since the endpoint has become too slow"))
            if reply is not None:
                reply.abort()
            return Failed(endpoint, judge_error(error, is_promised=False))
        attempt.leave = None
        if (failed := wrong_with(endpoint, reply, content)) is not None:
            reply.abort()
            return failed
        record.first_content_at = now = clock.monotonic()
        if is_stream:
            self._board.first_token(attempt, now)
        return Won(dispatch, reply, content, attempt, record, now)

    def _timeouts(self, timeouts: Timeouts, now: float, left: int) -> Timeouts:
        """Return the limits of an attempt that leaves time for the `left` others."""
        share_s = self._deadline - now
        if left:
            share_s /= min(left, MOST_SHARES) + 1
        return timeouts if timeouts.first_byte_s <= share_s else replace(timeouts, first_byte_s=share_s)

    def _let_leave(self, attempt: Attempt, reply: Reply) -> None:
        """Let the attempt be given up while it waits, for another endpoint, when this one turns out to be stuck.

        A head alone is no reason to stay: many providers send it at once, and think then.
        """

        def leave() -> None:
            is_silent = reply.status in (0, 200) and not reply.body_bytes
            if is_silent and self._budget.take(RULES[Verdict.EVACUATED].retry_tokens):
                attempt.has_left = True
                reply.abort()

        attempt.leave = leave


def final_error(models: Sequence[str], failed: Sequence[Failed]) -> ApiError:
    """Return what the caller is told when no attempt succeeded.

    A refusal of the request itself says most, and in the provider's own words; then a limit reached everywhere (with
    the soonest Retry-After); then the last failure.
    """
    refusals = [one for one in failed if one.outcome.rule.status == 0]
    telling = refusals[0] if refusals else failed[-1]
    metadata: dict[str, object] = {"provider_name": telling.endpoint.provider.name}
    if len(failed) > 1:
        metadata["previous_errors"] = [
            {"provider": one.endpoint.provider.name, "code": one.outcome.verdict, "status": one.outcome.status}
            for one in failed
        ]
    if refusals:
        if telling.said.code:
            metadata["provider_code"] = telling.said.code
        return ApiError(
            telling.outcome.status,
            telling.outcome.message,
            error_type=_ERROR_TYPES.get(telling.said.code)
            or _ERROR_TYPES.get(telling.outcome.status, telling.outcome.rule.error_type),
            param=telling.said.param,
            metadata=metadata,
        )
    status, error_type = telling.outcome.rule.status, telling.outcome.rule.error_type
    if status == 429 and any(one.outcome.verdict is not Verdict.LIMIT for one in failed):
        status, error_type = 503, "provider_overloaded"
    retry_headers = _retry_headers(failed) if status in (429, 503) else {}
    tried = ", ".join(f"{one.endpoint.provider.name} {_TOLD[one.outcome.verdict]}" for one in failed)
    return ApiError(
        status,
        f"No provider could answer for {models[0]}: {tried}",
        error_type=error_type,
        metadata=metadata,
        headers=retry_headers,
        availability={
            "code": _AVAILABILITY.get(status, "temporarily_unavailable"),
            "retryable": status != 404,
            "requested_models": list(models),
            "retry_after": int(retry_headers["retry-after"]) if "retry-after" in retry_headers else None,
            "affected_providers": sorted({one.endpoint.provider.slug for one in failed}),
        },
    )


_ERROR_TYPES: Mapping[int | str, str] = {
    413: "payload_too_large",
    422: "unprocessable",
    "content_policy_violation": "content_policy_violation",
}
_AVAILABILITY: Mapping[int, str] = {404: "model_unavailable_upstream", 429: "capacity_exhausted"}
_TOLD: Mapping[Verdict, str] = {
    Verdict.MISSING: "does not have this model",
    Verdict.AUTH: "is unavailable",
    Verdict.QUOTA: "is unavailable",
    Verdict.LIMIT: "is rate limited",
    Verdict.OVERLOAD: "is overloaded",
    Verdict.TRANSIENT: "failed",
    Verdict.PROTOCOL: "sent something that is no reply",
    Verdict.EVACUATED: "is far slower than usual",
    Verdict.TIMEOUT: "did not answer in time",
    Verdict.OVERSIZE: "sent more than fits",
    Verdict.FILTERED: "refused the request for its content",
    Verdict.FULL: "has as many requests as it may be sent at once",
}
"""What a caller may know. Addresses, accounts and credentials are the operator's, who finds them in the log."""


def _retry_headers(failed: Sequence[Failed]) -> dict[str, str]:
    wait_s = min((one.outcome.retry_after_s for one in failed if one.outcome.retry_after_s is not None), default=1.0)
    return {"retry-after": str(math.ceil(wait_s)), "retry-after-ms": str(math.ceil(wait_s * 1000))}
