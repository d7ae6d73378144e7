"""One inference request: admit, read, relay, answer for errors, record."""

import asyncio
import itertools
import re
import secrets
from collections.abc import Callable, Mapping

from fairlead import clock
from fairlead.access.admit import check, token_of
from fairlead.edge.body import read_body
from fairlead.edge.downstream import HttpDownstream, Receive, Scope, Send
from fairlead.edge.drain import Drain
from fairlead.edge.respond import respond_error
from fairlead.errors import ApiError, ClientGone
from fairlead.relay.deliver import SHUTTING_DOWN
from fairlead.relay.exchange import Relay
from fairlead.store.keys import KeyRing
from fairlead.telemetry.record import ExchangeRecord
from fairlead.wire.request import ChatRequest

_SAFE_ID = re.compile(rb"[A-Za-z0-9_.:/@-]{1,128}")
_TRACE_VALUE = re.compile(rb"[\x20-\x7e]{1,512}")
_GZIP = re.compile(rb"(?:^|[\s,])gzip(?:\s*;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[0-9.]+)?\s*(?:,|$)")


Fields = Mapping[bytes, bytes]
"""Headers by lower-case name; of repeated ones the first."""


class ChatCompletions:
    """ASGI handler of POST chat/completions.

    `keep(record)` is called once for each request, when it has ended; `report(error)` for faults of our own.
    """

    def __init__(
        self,
        relay: Relay,
        keys: KeyRing,
        drain: Drain,
        max_body_bytes: int,
        keep: Callable[[ExchangeRecord], None],
        report: Callable[[str, BaseException], None],
    ) -> None:
        self._relay = relay
        self._keys = keys
        self._drain = drain
        self._max_body_bytes = max_body_bytes
        self._keep = keep
        self._report = report
        self._id_prefix = secrets.token_hex(5)
        self._id_counter = itertools.count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields: Fields = dict(reversed(scope["headers"]))
        downstream = HttpDownstream(scope)
        record = self._new_record(fields)
        self._drain.enter(downstream)
        try:
            token = token_of(fields)
            key = self._keys.find(token) or await self._keys.look_up(token)
            record.key_hash = key.hash
            check(key)
            request = ChatRequest.parse(await read_body(receive, fields, self._max_body_bytes))
            record.model = request.model
            record.is_stream = request.is_stream
            await self._relay.run(request, _extra_head(fields, request, record), downstream, record)
        except ApiError as error:
            await self._refuse(downstream, error, record)
        except (ClientGone, asyncio.CancelledError) as error:
            await self._leave(downstream, error, record)
        except Exception as error:  # noqa: BLE001 - the last resort: one request fails, the worker goes on
            self._report(f"request {record.request_id}", error)
            await self._refuse(downstream, ApiError(500, "Internal error", error_type="server"), record)
        finally:
            self._drain.leave(downstream)
            downstream.close()
            record.ended_at = clock.monotonic()
            self._keep(record)

    async def _leave(self, downstream: HttpDownstream, reason: BaseException, record: ExchangeRecord) -> None:
        """End without a reply: the caller has left; or with a short one: the time for draining is over."""
        if downstream.is_expired and not downstream.is_started:
            await self._refuse(downstream, SHUTTING_DOWN, record)
        elif downstream.is_gone or downstream.is_expired or isinstance(reason, ClientGone):
            record.status, record.end = record.status or 499, record.end or "gone"
        else:
            raise reason

    async def _refuse(self, downstream: HttpDownstream, error: ApiError, record: ExchangeRecord) -> None:
        record.end, record.error = "error", error.message
        if downstream.is_started or (downstream.is_expired and downstream.is_slow):
            downstream.abort()  # nothing honest can be said any more, or nobody takes it in time
            return
        record.status = error.status
        try:
            await respond_error(downstream, error, record)
        except asyncio.CancelledError:  # while it waited for the caller to take the replies before this one
            if not downstream.is_gone and not downstream.is_expired:
                raise
            record.status = 499
            downstream.abort()

    def _new_record(self, fields: Fields) -> ExchangeRecord:
        now = clock.wall()
        generation_id = request_id = f"gen-{int(now)}-{self._id_prefix}{next(self._id_counter):x}"
        if (given := fields.get(b"x-request-id")) is not None and _SAFE_ID.fullmatch(given):
            request_id = given.decode()
        return ExchangeRecord(generation_id, request_id, now, clock.monotonic())


def _extra_head(fields: Fields, request: ChatRequest, record: ExchangeRecord) -> bytes:
    """Return the header lines for the provider that come from this request. An allow-list: nothing else goes up.

    A stream is asked for without content-encoding, so that its end can be read along; for other replies gzip, which we
    can read, if the caller takes it.
    """
    head = b"x-request-id: %b\r\n" % record.request_id.encode()
    for name in (b"traceparent", b"tracestate"):
        if name in fields and _TRACE_VALUE.fullmatch(fields[name]):
            head += b"%b: %b\r\n" % (name, fields[name])
    if request.is_stream:
        return head + b"accept: text/event-stream\r\naccept-encoding: identity\r\n"
    if _GZIP.search(fields.get(b"accept-encoding", b"")):
        return head + b"accept: application/json\r\naccept-encoding: gzip\r\n"
    return head + b"accept: application/json\r\naccept-encoding: identity\r\n"
