"""Ask one endpoint after another until one has content to give.

Until then the caller has been promised nothing, so a failure stays between us and the provider: it is judged, noted
on the health board, and the next candidate is asked. A reply that is not streamed is held back until it is complete
(or too large to hold), since that costs the caller no time and lets a reply that breaks off be asked for again.
"""

import asyncio
import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fairlead import clock
from fairlead.catalog.model import Endpoint
from fairlead.errors import ApiError, UpstreamError
from fairlead.health.board import EndpointHealth, HealthBoard
from fairlead.health.outcome import GONE, Outcome, Verdict, judge_error, judge_status
from fairlead.telemetry.record import AttemptRecord
from fairlead.upstream.client import UpstreamClient
from fairlead.upstream.connection import Reply
from fairlead.upstream.dispatch import Dispatch, redacted
from fairlead.wire.encoding import decoded
from fairlead.wire.errors import NOTHING_SAID, ProviderError, read_provider_error
from fairlead.wire.request import Buffer, ChatRequest, body_bytes

HOLD_BYTES = 262_144
"""Of an unstreamed reply. Nearly every text reply is smaller; beyond it, memory counts for more than a second try."""
ERROR_BODY_S = 3.0
"""How long a provider's error may take to arrive, once its status has: the next endpoint is waiting."""
ERROR_BODY_BYTES = 65_536
"""How much of a provider's error is read."""


@dataclass(slots=True)
class Won:
    """An attempt that has content to give."""

    dispatch: Dispatch
    reply: Reply
    content: bytes
    """What of the reply has been read."""
    health: EndpointHealth
    record: AttemptRecord
    started_at: float


@dataclass(slots=True)
class Failed:
    """An attempt that ended before it had content."""

    endpoint: Endpoint
    outcome: Outcome
    said: ProviderError = NOTHING_SAID


class Attempts:
    """The attempts of one request, in the order of its plan."""

    __slots__ = ("_board", "_client", "_deadline", "_extra_head", "_records", "_request")

    def __init__(
        self,
        client: UpstreamClient,
        board: HealthBoard,
        request: ChatRequest,
        extra_head: bytes,
        deadline: float,
        records: list[AttemptRecord],
    ) -> None:
        self._client = client
        self._board = board
        self._request = request
        self._extra_head = extra_head
        self._deadline = deadline
        self._records = records

    async def win(self, candidates: Sequence[Dispatch]) -> Won:
        """Return the first attempt that has content. Its place in the in-flight count is the caller's to give back.

        Raises ApiError with the most telling failure when none has.
        """
        failed: list[Failed] = []
        for dispatch in candidates:
            head, body = self._message(dispatch)
            endpoint = dispatch.endpoint
            health = self._board.of(endpoint.id)
            record = AttemptRecord(endpoint.provider.slug, Verdict.GONE, 0, 0.0)
            self._records.append(record)
            started_at = clock.monotonic()
            health.in_flight += 1
            result: tuple[Reply, bytes] | Failed = Failed(endpoint, GONE)  # stays that way if the caller leaves
            try:
                result = await self._ask(dispatch, head, body, record)
            finally:
                if isinstance(result, Failed):
                    now = clock.monotonic()
                    health.in_flight -= 1
                    record.duration_s = now - started_at
                    record.verdict, record.message = result.outcome.verdict, result.outcome.message
                    self._board.observe(endpoint.id, result.outcome, now)
            if not isinstance(result, Failed):
                reply, content = result
                return Won(dispatch, reply, content, health, record, started_at)
            failed.append(result)
            if not result.outcome.rule.can_go_elsewhere or clock.monotonic() >= self._deadline:
                break  # with no time left the next would be asked, and blamed, for nothing
        raise final_error(self._request.model, failed)

    def _message(self, dispatch: Dispatch) -> tuple[bytes, list[Buffer]]:
        """Return what is sent to this endpoint. Raises ApiError for a body that nobody can send."""
        request = self._request
        wants_usage = dispatch.endpoint.provider.is_stream_usage_on_request
        body = request.spliced(request.upstream_edits(dispatch.model_json, wants_usage=wants_usage))
        return dispatch.request_head(self._extra_head, body_bytes(body)), body

    async def _ask(
        self, dispatch: Dispatch, head: bytes, body: list[Buffer], record: AttemptRecord
    ) -> tuple[Reply, bytes] | Failed:
        endpoint = dispatch.endpoint
        timeouts = endpoint.provider.timeouts
        try:
            deadline = min(self._deadline, clock.monotonic() + timeouts.total_s)
            reply = await self._client.send(dispatch.origin, head, body, timeouts, deadline)
            record.status = reply.status
            if reply.status != 200:
                return await _read_error(reply, endpoint)
            content = await reply.read()
            if not (self._request.is_stream or reply.is_drained):
                content = await _read_on(reply, content, HOLD_BYTES)
        except UpstreamError as error:
            return Failed(endpoint, judge_error(error, is_promised=False))
        if (fault := _fault_of(reply, content)) is not None:
            reply.abort()
            return Failed(endpoint, fault)
        return reply, content


async def _read_on(reply: Reply, content: bytes, limit_bytes: int) -> bytes:
    """Return `content` and what follows it, until the reply is complete or too large to be held."""
    parts, size = [content], len(content)
    while size < limit_bytes and (part := await reply.read()):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _fault_of(reply: Reply, content: bytes) -> Outcome | None:
    """Return what is wrong with a reply of status 200, if it can be told by its beginning."""
    if not content:
        return Outcome(Verdict.TRANSIENT, 200, "the reply was empty")
    if reply.header(b"content-type").startswith(b"text/html"):
        return Outcome(Verdict.TRANSIENT, 200, "the reply was a web page, not a completion")
    return None


async def _read_error(reply: Reply, endpoint: Endpoint) -> Failed:
    """Read and judge a reply that is not 200. What cannot be read of it in time is judged by its status alone."""
    raw = b""
    with contextlib.suppress(UpstreamError, TimeoutError):
        async with asyncio.timeout(ERROR_BODY_S):
            raw = await _read_on(reply, b"", ERROR_BODY_BYTES)
    reply.abort()
    body = decoded(raw, reply.header(b"content-encoding"), ERROR_BODY_BYTES) or b""
    said = read_provider_error(body)
    said = ProviderError(redacted(said.message, endpoint.provider), redacted(said.code, endpoint.provider), said.param)
    retry_after = reply.header(b"retry-after").decode("latin-1") or None
    outcome = judge_status(
        reply.status, code=said.code, message=said.message, retry_after=retry_after, now_unix=clock.wall()
    )
    return Failed(endpoint, outcome, said)


def final_error(model: str, failed: Sequence[Failed]) -> ApiError:
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
            error_type=telling.outcome.rule.error_type,
            param=telling.said.param,
            metadata=metadata,
        )
    status, error_type = telling.outcome.rule.status, telling.outcome.rule.error_type
    if status == 429 and any(one.outcome.verdict is not Verdict.LIMIT for one in failed):
        status, error_type = 503, "provider_overloaded"
    tried = ", ".join(f"{one.endpoint.provider.name} {_TOLD[one.outcome.verdict]}" for one in failed)
    return ApiError(
        status,
        f"No provider could answer for {model}: {tried}",
        error_type=error_type,
        metadata=metadata,
        headers=_retry_headers(failed) if status in (429, 503) else {},
    )


_TOLD: Mapping[Verdict, str] = {
    Verdict.MISSING: "does not have this model",
    Verdict.AUTH: "is unavailable",
    Verdict.QUOTA: "is unavailable",
    Verdict.LIMIT: "is rate limited",
    Verdict.OVERLOAD: "is overloaded",
    Verdict.TRANSIENT: "failed",
    Verdict.TIMEOUT: "did not answer in time",
}
"""What a caller may know. Addresses, accounts and credentials are the operator's, who finds them in the log."""


def _retry_headers(failed: Sequence[Failed]) -> dict[str, str]:
    wait_s = min((one.outcome.retry_after_s for one in failed if one.outcome.retry_after_s is not None), default=1.0)
    return {"retry-after": str(math.ceil(wait_s)), "retry-after-ms": str(math.ceil(wait_s * 1000))}
