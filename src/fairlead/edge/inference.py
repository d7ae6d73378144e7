"""One inference request: admit, read, relay, answer for errors, record."""

import asyncio
import itertools
import re
import secrets
from collections.abc import Callable

from fairlead import clock
from fairlead.access.admit import check, token_of
from fairlead.edge.body import read_body
from fairlead.edge.downstream import Headers, HttpDownstream, Receive, Scope, Send
from fairlead.edge.drain import Drain
from fairlead.edge.respond import respond_error
from fairlead.errors import ApiError, ClientGone
from fairlead.relay.exchange import Relay
from fairlead.store.keys import KeyRing
from fairlead.telemetry.record import ExchangeRecord
from fairlead.wire.request import ChatRequest

_SAFE_ID = re.compile(rb"[A-Za-z0-9_.:/@-]{1,128}")
_TRACE_VALUE = re.compile(rb"[\x20-\x7e]{1,512}")
_GZIP = re.compile(rb"(?:^|[\s,])gzip(?:\s*;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[0-9.]+)?\s*(?:,|$)")


_SHUTTING_DOWN = ApiError(503, "The gateway is shutting down; send the request again", error_type="server")


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
        headers: Headers = scope["headers"]
        downstream = HttpDownstream(scope)
        record = self._new_record(headers)
        self._drain.enter(downstream)
        try:
            token = token_of(headers)
            key = self._keys.find(token) or await self._keys.look_up(token)
            record.key_hash = key.hash
            check(key)
            request = ChatRequest.parse(await read_body(receive, headers, self._max_body_bytes))
            record.model = request.model
            record.is_stream = request.is_stream
            await self._relay.run(request, _extra_head(headers, request, record), downstream, record)
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
            await self._refuse(downstream, _SHUTTING_DOWN, record)
        elif downstream.is_gone or downstream.is_expired or isinstance(reason, ClientGone):
            record.status, record.end = record.status or 499, record.end or "gone"
        else:
            raise reason

    async def _refuse(self, downstream: HttpDownstream, error: ApiError, record: ExchangeRecord) -> None:
        record.end, record.error = "error", error.message
        if downstream.is_started:  # nothing honest can be said any more
            downstream.abort()
            return
        record.status = error.status
        await respond_error(downstream, error, record)

    def _new_record(self, headers: Headers) -> ExchangeRecord:
        now = clock.wall()
        generation_id = f"gen-{int(now)}-{self._id_prefix}{next(self._id_counter):x}"
        request_id = generation_id
        for name, value in headers:
            if name == b"x-request-id" and _SAFE_ID.fullmatch(value):
                request_id = value.decode()
        return ExchangeRecord(generation_id, request_id, now, clock.monotonic())


def _extra_head(headers: Headers, request: ChatRequest, record: ExchangeRecord) -> bytes:
    """Return the header lines for the provider that come from this request. An allow-list: nothing else goes up.

    A stream is asked for without content-encoding, so that its end can be read along; for other replies gzip, which we
    can read, if the caller takes it.
    """
    lines = [b"x-request-id: %b\r\n" % record.request_id.encode()]
    accepts_gzip = False
    for name, value in headers:
        if name in (b"traceparent", b"tracestate") and _TRACE_VALUE.fullmatch(value):
            lines.append(b"%b: %b\r\n" % (name, value))
        elif name == b"accept-encoding":
            accepts_gzip = _GZIP.search(value) is not None
    if request.is_stream:
        lines.append(b"accept: text/event-stream\r\naccept-encoding: identity\r\n")
    elif accepts_gzip:
        lines.append(b"accept: application/json\r\naccept-encoding: gzip\r\n")
    else:
        lines.append(b"accept: application/json\r\naccept-encoding: identity\r\n")
    return b"".join(lines)
