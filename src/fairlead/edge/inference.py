"""One inference request: admit, read, relay, answer for errors, record."""

import asyncio
import functools
import itertools
import secrets
from collections.abc import Callable, Iterable

from fairlead import clock
from fairlead.access.admit import check, token_of
from fairlead.access.keys import ApiKey
from fairlead.access.rate_headers import rate_headers
from fairlead.edge.body import read_body
from fairlead.edge.brake import Brake
from fairlead.edge.downstream import HttpDownstream, Receive, Scope, Send
from fairlead.edge.drain import Drain
from fairlead.edge.request_head import RequestHead, head_of
from fairlead.edge.respond import respond_error
from fairlead.edge.response_cache import ResponseCache
from fairlead.edge.responses import ResponsesDownstream
from fairlead.errors import ApiError, ClientGone
from fairlead.relay.admission import Admission
from fairlead.relay.deliver import SHUTTING_DOWN
from fairlead.relay.downstream import Downstream, Headers
from fairlead.relay.exchange import Caller, Relay
from fairlead.store.keys import KeyRing
from fairlead.store.till import Hold, Till
from fairlead.telemetry.record import ExchangeRecord
from fairlead.telemetry.trace import Trace
from fairlead.wire.cache_key import ASKED
from fairlead.wire.preset import NoPresets, Preset, Presets, read_chat
from fairlead.wire.request import ChatRequest
from fairlead.wire.responses_request import Asked, chat_request, is_for_responses
from fairlead.wire.router_metadata import Routing

NO_PRESETS = NoPresets()


class Inference:
    """ASGI handler of POST chat/completions and POST responses.

    `keep(record)` is called once for each request, when it has ended; `report(error)` for faults of our own.
    `begin_trace` is given each request's headers; None: traces are off.
    """

    def __init__(
        self,
        relay: Relay,
        keys: KeyRing,
        till: Till,
        brake: Brake,
        drain: Drain,
        admission: Admission,
        max_body_bytes: int,
        keep: Callable[[ExchangeRecord], None],
        report: Callable[[str, BaseException], None],
        cache: ResponseCache | None = None,
        presets: Presets = NO_PRESETS,
        begin_trace: Callable[[Headers], Trace] | None = None,
    ) -> None:
        self._relay = relay
        self._keys = keys
        self._till = till
        self._brake = brake
        self._drain = drain
        self._admission = admission
        self._max_body_bytes = max_body_bytes
        self._keep = keep
        self._report = report
        self._cache = cache
        self._presets = presets
        self._begin_trace = begin_trace
        self._id_prefix = secrets.token_hex(5)
        self._id_counter = itertools.count()
        self._running: dict[str, ExchangeRecord] = {}

    def running(self) -> Iterable[ExchangeRecord]:
        """Return the records of the requests under way."""
        return self._running.values()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = head_of(scope)
        downstream = HttpDownstream(scope)
        record = self._new_record(head)
        if self._begin_trace is not None:
            record.trace = self._begin_trace(scope["headers"])
        routing = Routing() if head.wants_metadata else None
        self._drain.enter(downstream)
        self._running[record.id] = record
        admitted: ChatRequest | None = None
        try:
            key = self._keys.known(head.key_hash) or await self._look_up(head.token or token_of(head.fields), scope)
            record.key_hash = key.hash
            check(key, record.started_unix)
            caller = Caller(key, manner=head.manner, routing=routing)
            if not self._till.is_unlimited(key):
                record.hold = hold = await self._till.enter(key)
                reserve = functools.partial(self._till.reserve, hold)
                caller = Caller(key, reserve, functools.partial(self._limits, hold), head.manner, routing)
            raw = downstream.take_body(self._max_body_bytes)
            if raw is None:
                asked_at = clock.monotonic()
                raw = await read_body(receive, dict(reversed(scope["headers"])), self._max_body_bytes)
                record.body_wait_s = clock.monotonic() - asked_at
            request, preset, asked = _read(raw, self._presets, record)
            del raw  # the request has it, and may let go of it
            record.asked = record.model = request.model
            record.is_stream = request.is_stream
            record.session = request.named("session_id") or head.session
            record.user = request.named("user")
            record.app = head.app
            extra_head = _extra_head(head, request, record)
            kept = None
            if preset is not None:
                record.preset, kept = preset.slug, preset.cache
            target = downstream if asked is None else self._responses(downstream, asked, record)
            await self._admission.enter(request)
            admitted = request
            if self._cache is not None and (ASKED in head.fields or kept is not None):
                run = functools.partial(self._relay.run, request, caller, extra_head)
                await self._cache.answer(scope["path"], head.fields, request, caller, target, record, run, kept)
            else:
                await self._relay.run(request, caller, extra_head, target, record)
        except ApiError as error:
            await self._refuse(downstream, error, record, routing)
        except (ClientGone, asyncio.CancelledError) as error:
            await self._leave(downstream, error, record)
        except Exception as error:  # noqa: BLE001 - the last resort: one request fails, the worker goes on
            self._report(f"request {record.request_id}", error)
            await self._refuse(downstream, ApiError(500, "Internal error", error_type="server"), record)
        finally:
            if admitted is not None:
                self._admission.leave(admitted)
            self._drain.leave(downstream)
            downstream.close()
            record.ended_at = clock.monotonic()
            del self._running[record.id]
            self._keep(record)

    def _responses(self, downstream: Downstream, asked: Asked, record: ExchangeRecord) -> ResponsesDownstream:
        return ResponsesDownstream(downstream, asked, record, self._relay.limits.max_reply_bytes)

    def _limits(self, hold: Hold) -> list[tuple[bytes, bytes]]:
        return rate_headers(hold.leases.requests, hold.leases.tokens, clock.monotonic())

    async def _look_up(self, token: bytes, scope: Scope) -> ApiKey:
        """Find a key that this worker does not know; who shows many that nobody knows has to wait."""
        address = self._brake.address_of(scope)
        self._brake.check(address, clock.monotonic())
        try:
            return await self._keys.look_up(token)
        except ApiError as refusal:
            if refusal.status == 401:
                self._brake.refused(address, clock.monotonic())
            raise

    async def _leave(self, downstream: HttpDownstream, reason: BaseException, record: ExchangeRecord) -> None:
        """End without a reply: the caller has left; or with a short one: the time for draining is over."""
        if downstream.is_expired and not downstream.is_started:
            await self._refuse(downstream, SHUTTING_DOWN, record)
        elif downstream.is_gone or downstream.is_expired or isinstance(reason, ClientGone):
            record.status, record.end = record.status or 499, record.end or "gone"
        else:
            raise reason

    async def _refuse(
        self, downstream: HttpDownstream, error: ApiError, record: ExchangeRecord, routing: Routing | None = None
    ) -> None:
        record.end, record.error, record.error_type = "error", error.message, error.error_type
        if downstream.is_started or (downstream.is_expired and downstream.is_slow):
            downstream.abort()  # nothing honest can be said any more, or nobody takes it in time
            return
        record.status = error.status
        try:
            await respond_error(downstream, error, record, routing)
        except asyncio.CancelledError:  # while it waited for the caller to take the replies before this one
            if not downstream.is_gone and not downstream.is_expired:
                raise
            record.status = 499
            downstream.abort()

    def _new_record(self, head: RequestHead) -> ExchangeRecord:
        now = clock.wall()
        generation_id = f"gen-{int(now)}-{self._id_prefix}{next(self._id_counter):x}"
        return ExchangeRecord(generation_id, head.request_id or generation_id, now, clock.monotonic(), head.api)


def _read(raw: bytes, presets: Presets, record: ExchangeRecord) -> tuple[ChatRequest, Preset | None, Asked | None]:
    """Return the request for chat, the preset under it, and what a Response to it has to know."""
    if record.api == "responses":
        raw, asked = chat_request(raw)
        return *read_chat(raw, presets), asked
    try:
        return *read_chat(raw, presets), None
    except ApiError as refusal:
        if refusal.param != "messages" or not is_for_responses(raw):
            raise
    return *read_chat(chat_request(raw)[0], presets), None  # as Cursor asks: with one API's body, for the other's reply


def _extra_head(head: RequestHead, request: ChatRequest, record: ExchangeRecord) -> bytes:
    """Return the header lines for the provider that come from this request. An allow-list: nothing else goes up.

    Without content-encoding, since what the reply costs is put into it. With a trace, each attempt names itself.
    """
    kind = b"text/event-stream" if request.is_stream else b"application/json"
    trace_lines = head.trace_lines if record.trace is None else b""
    return b"x-request-id: %b\r\n%baccept: %b\r\naccept-encoding: identity\r\n" % (
        record.request_id.encode(),
        trace_lines,
        kind,
    )
