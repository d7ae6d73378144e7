"""The story of one exchange: plan → attempts → pump → settle."""

import asyncio
import difflib
import random
from collections.abc import Mapping
from dataclasses import dataclass

from fairlead import clock
from fairlead.catalog.model import Catalog
from fairlead.errors import ApiError, UpstreamError
from fairlead.health.board import HealthBoard
from fairlead.health.outcome import GONE, OK, Outcome, judge_error
from fairlead.plan.plan import Plan, make_plan
from fairlead.relay.attempts import Attempts, Won
from fairlead.relay.downstream import Downstream
from fairlead.relay.pump import caught_up, pump
from fairlead.relay.settle import KEEP_LIMIT_BYTES, Unsettled, settle
from fairlead.relay.tap import Tap
from fairlead.telemetry.record import ExchangeRecord
from fairlead.upstream.client import UpstreamClient
from fairlead.upstream.dispatch import Dispatch
from fairlead.wire.errors import error_event
from fairlead.wire.request import ChatRequest


@dataclass(frozen=True, slots=True)
class Routes:
    """What can be asked and how it is reached: one snapshot, swapped whole."""

    catalog: Catalog
    dispatches: Mapping[str, Dispatch]


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """`worker_share` is 1 / workers: this worker's part of what is limited for all."""

    max_attempts: int = 4
    total_s: float = 900.0
    worker_share: float = 1.0


_PASSED_ON = (b"content-type", b"content-encoding", b"content-language")
_STREAM_HEADERS = [(b"cache-control", b"no-cache, no-transform"), (b"x-accel-buffering", b"no")]


class Relay:
    """Runs the exchanges of one worker."""

    def __init__(
        self, client: UpstreamClient, board: HealthBoard, routes: Routes, limits: RelayLimits, rng: random.Random
    ) -> None:
        self.routes = routes
        """Assign to swap; exchanges under way keep the snapshot they began with."""
        self._client = client
        self._board = board
        self._limits = limits
        self._rng = rng

    async def run(
        self, request: ChatRequest, extra_head: bytes, downstream: Downstream, record: ExchangeRecord
    ) -> None:
        """Answer `request` into `downstream` and fill in `record`.

        `extra_head` is header lines for the provider that come from this request. Raises ApiError as long as nothing
        has been promised to the caller; after that, faults are told in band. Raises CancelledError when the caller has
        left.
        """
        routes = self.routes
        plan = self._plan(routes.catalog, request.model)
        record.model = plan.model_id
        candidates = [routes.dispatches[endpoint.id] for endpoint in plan.candidates[: self._limits.max_attempts]]
        deadline = record.started_at + self._limits.total_s
        attempts = Attempts(self._client, self._board, request, extra_head, deadline, record.attempts)
        won = await attempts.win(candidates)
        record.first_content_at = clock.monotonic()
        record.provider = won.dispatch.endpoint.provider.slug
        reply, tap, outcome = won.reply, Tap(), GONE
        is_whole = reply.is_drained and not request.is_stream
        record.status = 200
        try:
            if downstream.is_slow:  # with the replies to requests sent before this one
                await caught_up(downstream, deadline)
            downstream.start(200, _headers(won, request.is_stream, record))
            await pump(reply, won.content, downstream, tap, deadline)
            record.end, outcome = "ok", OK
        except UpstreamError as error:
            record.end, record.error = "cut", str(error)
            outcome = judge_error(error, is_promised=True)
            fault = ApiError(502, f"The provider's reply broke off: {error}", error_type="provider_unavailable")
            self._end_broken(fault, request, won, downstream, record, tap)
        except TimeoutError:  # nobody's fault but the caller's, who could not read an error either
            record.end, record.error = "cut", "the caller did not take the reply in time"
            downstream.abort()
        except asyncio.CancelledError:
            if not downstream.is_expired:
                raise
            record.end = "drained"
            fault = ApiError(503, "The gateway is shutting down; send the request again", error_type="server")
            self._end_broken(fault, request, won, downstream, record, tap)
        finally:
            self._finish(won, outcome)
            record.reply_bytes = tap.size
            content = won.content if is_whole else tap.tail
            record.unsettled = Unsettled(won.dispatch.endpoint, content, is_whole, reply.header(b"content-encoding"))
            if len(content) > KEEP_LIMIT_BYTES:
                settle(record)

    def _plan(self, catalog: Catalog, model: str) -> Plan:
        plan = make_plan(
            catalog,
            self._board.of,
            model,
            worker_share=self._limits.worker_share,
            now=clock.monotonic(),
            rng=self._rng,
        )
        if plan is None:
            raise _unknown_model(catalog, model)
        if not plan.candidates:
            reasons = ", ".join(f"{endpoint.provider.name}: {reason}" for endpoint, reason in plan.skipped)
            raise ApiError(
                503,
                f"No endpoint of {plan.model_id} takes requests now ({reasons})",
                error_type="provider_unavailable",
                headers={"retry-after": "1"},
            )
        return plan

    def _end_broken(
        self,
        fault: ApiError,
        request: ChatRequest,
        won: Won,
        downstream: Downstream,
        record: ExchangeRecord,
        tap: Tap,
    ) -> None:
        """End a reply that cannot be completed so that nobody takes it for complete."""
        # Half an event cannot be taken back: ended by us it would be delivered, as JSON that nobody can read (OpenAI's
        # client raises a bare JSONDecodeError). A broken connection is what every client knows how to report.
        is_between_lines = tap.tail.endswith((b"\n", b"\r"))
        if not request.is_stream or won.reply.header(b"content-encoding") or not is_between_lines:
            downstream.abort()
            return
        event = error_event(
            fault,
            generation_id=record.id,
            model=record.model,
            provider=won.dispatch.endpoint.provider.name,
            created=int(record.started_unix),
        )
        downstream.write(event if tap.tail.endswith(b"\n\n") else b"\n\n" + event, is_last=True)

    def _finish(self, won: Won, outcome: Outcome) -> None:
        now = clock.monotonic()
        won.reply.abort()
        won.health.in_flight -= 1
        won.record.verdict = outcome.verdict
        won.record.message = outcome.message
        won.record.duration_s = now - won.started_at
        self._board.observe(won.dispatch.endpoint.id, outcome, now)


def _headers(won: Won, is_stream: bool, record: ExchangeRecord) -> list[tuple[bytes, bytes]]:
    """Return the headers of the caller's reply: few of the provider's, and where the reply comes from."""
    reply = won.reply
    headers = [(name, value) for name in _PASSED_ON if (value := reply.header(name))]
    if is_stream:
        headers += _STREAM_HEADERS
    elif reply.is_drained:
        headers.append((b"content-length", b"%d" % len(won.content)))
    elif length := reply.header(b"content-length"):
        headers.append((b"content-length", length))
    headers.append((b"x-generation-id", record.id.encode()))
    headers.append((b"x-request-id", record.request_id.encode()))
    headers += won.dispatch.reply_headers
    if len(record.attempts) > 1:
        headers.append((b"x-fairlead-attempts", b"%d" % len(record.attempts)))
    return headers


def _unknown_model(catalog: Catalog, model: str) -> ApiError:
    model = model[:200]  # it may be as long as a body
    close = difflib.get_close_matches(model, catalog.endpoints, n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(close)}?" if close else " GET /v1/models lists what can be asked for."
    return ApiError(400, f"{model} is not a valid model ID.{hint}", param="model")
