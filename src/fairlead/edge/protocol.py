"""uvicorn's httptools protocol, made safe for the open network.

`Reading` is the state of the receiving side; each arrow is a callback of the parser:

    FRESH ──► HEAD ──► BODY ──► REST ──► HEAD …
      └────────┴────────┴────────┴─────► DEAF     refused, or finished: bytes are thrown away until the client leaves

A request whose head has been read before comes without the parser (`edge/known.py`).

Beside it the requests run: `active` is the one whose app runs, `pipeline` holds those read ahead, answered in order. A
refusal waits its turn behind them. It becomes a reply only while the request it is about has none; a reply that has
begun is cut off, since a second head inside a body would be read as content.

A client that closes its sending side (FIN) is gone: it cannot be told from one that closed altogether, and an answer
to nobody costs money here. nginx decides likewise.

Requests are not logged; uvicorn's `access_log` and `limit_concurrency` have no effect. Trailers are read, never shown.
"""

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Any, ClassVar, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from fairlead.edge import head
from fairlead.edge.cycle import Caller, GuardedCycle, Http10Cycle, Outlet
from fairlead.edge.known import Known, KnownHeads, plain_request
from fairlead.edge.limits import Limits, Sweep
from fairlead.edge.signal import Flow, Signal
from fairlead.errors import ApiError
from fairlead.turn import GatheredTransport, Turn

CALLER_EXTENSION = "fairlead.connection"
"""Where in `scope["extensions"]` an app finds the `Caller` of its request."""
HEAD_EXTENSION = "fairlead.head"
"""Where it may keep what it has found out about a head, for the next request that has the same."""

_NOTED = frozenset({b"host", b"expect", b"transfer-encoding"})

Reading = Enum("Reading", "FRESH HEAD BODY REST DEAF")
"""What the next byte from the client belongs to."""

# Read on every request; a global costs half of what a class attribute costs.
_FRESH, _HEAD, _BODY, _REST, _DEAF = Reading


class GuardedProtocol(HttpToolsProtocol):
    """One client connection. `guarded_protocol` makes the class of a worker, which owns `sweep` and `turn`."""

    # Slots beside uvicorn's attributes: together they would be too many for a key-sharing dict (30).
    __slots__ = (
        "_active", "_age", "_backlog", "_begun", "_held_up", "_host", "_idle_sweeps", "_left", "_max_head_bytes",
        "_new_head", "_outlet", "_raw", "_reading", "_refusal", "_scope", "_unflushed", "_valid_host",
    )  # fmt: skip

    sweep: ClassVar[Sweep]
    turn: ClassVar[Turn]
    heads: ClassVar[KnownHeads]
    cycle: GuardedCycle | None  # type: ignore[assignment]  # the request read last; None before the first, as uvicorn's

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.pipeline = []  # type: ignore[assignment]  # an empty deque is 620 bytes, and few connections need any
        self._active: GuardedCycle | None = None  # whose app runs, or ran last; None once the client is lost
        self._reading = Reading.FRESH
        self._refusal: ApiError | None = None
        self._age = 0  # sweeps since the last progress
        self._held_up = 0  # sweeps for which its client has been at this body, or at nothing of a reply
        self._raw = 0  # bytes since the last progress
        self._backlog = 0  # bytes read while requests are queued
        self._unflushed = 0
        self._host: bytes | None = None
        self._valid_host: bytes | None = None  # the last one checked; a client rarely changes it
        self._left = 0  # to come of a body whose length is known
        self._new_head: bytes | None = None  # of that request, if the parser reads it
        self._begun = 0  # requests that the parser has begun since
        self._max_head_bytes = self.sweep.limits.max_header_bytes
        self._idle_sweeps = self.sweep.sweeps(self.timeout_keep_alive)

    # --- For the server

    @classmethod
    def drain(cls) -> None:
        """Go on serving, but let each response that begins from now on be the last of its connection."""
        cls.sweep.draining = True
        for connection in cls.sweep.connections:
            cycle = cast(GuardedProtocol, connection).cycle
            if cycle is not None and not cycle.response_started:
                cycle.end_connection()

    def shutdown(self) -> None:
        """Finish what runs and close the rest; uvicorn calls this when it has stopped accepting."""
        if self.cycle is None or self._active is None or self._active.response_complete:
            self.transport.close()
        else:
            self.cycle.end_connection()

    # --- The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self.flow = Flow(transport)
        gathered = GatheredTransport(transport, self.turn)
        self.transport = cast(asyncio.Transport, gathered)
        self._outlet = Outlet(gathered, self._end_of_response, self._abort)
        self._scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
        }
        self.sweep.add(self, self.loop)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        super().connection_lost(exc)
        self.sweep.discard(self)
        # What leads back here goes, so that a closed connection is freed without the cycle collector.
        self.cycle = None
        del self._outlet

    def eof_received(self) -> None:
        self._leave()  # returning None lets the transport close

    def data_received(self, data: bytes) -> None:
        """Take a request whose head is known for what it is; let the parser read everything else."""
        if self._left:
            self._go_on(data)
            return
        active = self._active
        is_between = (self._reading is _REST or self._reading is _FRESH) and (
            active is None or active.response_complete
        )
        request = plain_request(data) if is_between and not self.sweep.draining else None
        if request is None:
            self._read(data)
            return
        head, body_at, left = request
        known = self.heads.get(head)
        self._left, self._new_head = left, head if known is None else None
        if known is not None:
            self._begin_known(known, data[body_at:], left)
            return
        self._begun = 0
        self._read(data)
        if not left:
            self._learn()

    def _go_on(self, data: bytes) -> None:
        """Take more of a request that was not all there when it began."""
        size, left = len(data), self._left
        self._left = max(left - size, 0)
        if self._new_head is not None:
            self._read(data)
            if size == left:
                self._learn()
        elif self._reading is _BODY:
            self.on_body(data if size <= left else data[:left])
            if size >= left:
                self.on_message_complete()
            if size > left:
                self.data_received(data[left:])

    def _begin_known(self, known: Known, body: bytes, left: int) -> None:
        """Begin a request as the parser's callbacks would; of its body so many bytes are still to come."""
        caller, size = Caller(self._outlet.abort, self.flow), len(body) + left
        scope = {**self._scope, **known.scope, "headers": known.headers_of(size), "state": self.app_state.copy()}
        scope["extensions"] = {CALLER_EXTENSION: caller, HEAD_EXTENSION: known.kept}
        cycle = self._new_cycle(GuardedCycle, scope, caller, keep_alive=True)
        self.cycle = self._active = cycle
        self._raw = self._age = self._held_up = 0
        if left:
            self._reading = _BODY
            self.on_body(body)
        else:
            self._reading = _REST
            cycle.whole, cycle.more_body = body, False
            cycle.message_event.set()
        self._start_asgi_task(cycle, self.app)

    def _learn(self) -> None:
        """Learn the head of the request that was just read to its end, if it is one that comes again.

        That nothing else was read is part of it: one that is framed otherwise than its length says is not learnt.
        Neither is one whose client waits for `100 Continue`.
        """
        cycle, head = self.cycle, self._new_head
        if cycle is None or head is None or self._begun != 1 or self._reading is not _REST or cycle.more_body:
            return
        if self.expect_100_continue:
            return
        is_usual = cycle.keep_alive and cycle.scope["method"] == "POST" and not isinstance(cycle, Http10Cycle)
        if is_usual and self.heads.has_come(head):
            self.heads.learn(head, cycle.scope)

    def _read(self, data: bytes | memoryview) -> None:
        size = len(data)
        if size > self._max_head_bytes:  # in pieces, so that a head in one piece is never too large
            view = memoryview(data)
            for start in range(0, size, self._max_head_bytes):
                self._read(view[start : start + self._max_head_bytes])
            return
        if self._reading is _DEAF:
            return
        self._raw += size
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._refuse(head.parser_refusal(error, data))
            return
        if self._raw > self._max_head_bytes:
            self._refuse(head.too_large(self.sweep.limits))
        elif self.pipeline:
            self._backlog += size
            if self._backlog > HIGH_WATER_LIMIT:
                self.flow.pause_reading()

    # --- Parser callbacks

    def on_message_begin(self) -> None:
        self._reading = _HEAD
        self._age = 0
        self._begun += 1
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._host = None

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > head.MAX_TARGET_BYTES:
            raise head.long_target()

    def on_header(self, name: bytes, value: bytes) -> None:
        name, value = name.lower(), value.rstrip()  # llhttp leaves the space behind a value
        if name in _NOTED:
            self._note(name, value)
        self.headers.append((name, value))

    def _note(self, name: bytes, value: bytes) -> None:
        if name == b"host":
            if value != self._valid_host or self._host is not None:
                head.check_host(value, self._host)
                self._valid_host = value
            self._host = value
        elif name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        else:
            head.check_transfer_encoding(value)

    def on_headers_complete(self) -> None:
        parser = self.parser
        limits = self.sweep.limits
        method = parser.get_method()
        version = parser.get_http_version()
        is_current = version == "1.1"
        if not is_current or self._host is None:
            head.check_version(version, self._host, self.headers)
        if parser.should_upgrade():
            raise head.no_upgrade(method)
        # `_raw` also counts what came behind the head in the same read.
        if self._raw > limits.max_header_bytes or len(self.headers) > limits.max_headers:
            head.check_size(self.url, self.headers, limits)
        is_next = self._active is None or self._active.response_complete
        if not is_next and len(self.pipeline) >= head.MAX_PIPELINED:
            raise head.too_many()

        caller = Caller(self._outlet.abort, self.flow)
        cycle = self._new_cycle(
            GuardedCycle if is_current else Http10Cycle,
            self._new_scope(method, version, caller),
            caller,
            keep_alive=is_current and parser.should_keep_alive() and not self.sweep.draining,
            expects_continue=is_current and self.expect_100_continue,
        )
        if cycle.waiting_for_100_continue:
            cycle.expect_continue()
        self.cycle = cycle
        self.headers = []  # trailers go here, not into the scope
        self._reading = _BODY
        self._raw = self._age = self._held_up = 0
        if is_next:
            self._active = cycle
            self._start_asgi_task(cycle, self.app)
        else:
            self.pipeline.insert(0, (cycle, self.app))

    def _new_cycle(
        self,
        kind: type[GuardedCycle],
        scope: dict[str, Any],
        caller: Caller,
        *,
        keep_alive: bool,
        expects_continue: bool = False,
    ) -> GuardedCycle:
        cycle = kind(
            scope=scope,  # type: ignore[arg-type]  # as dict, and without `cast`, which is a call
            transport=self._outlet,  # type: ignore[arg-type]  # as far as it is used
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=Signal(),  # type: ignore[arg-type]  # as far as it is used
            expect_100_continue=expects_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        cycle.caller = caller
        return cycle

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        assert isinstance(cycle, GuardedCycle)
        task = self.loop.create_task(cycle.run_asgi(app))
        caller = cycle.caller
        caller.task, caller.start, caller.write, caller.take_body = task, cycle.start, cycle.write, cycle.take_body
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _new_scope(self, method: bytes, version: str, caller: Caller) -> dict[str, Any]:
        target = self.url
        if not target.startswith(b"/"):
            target = head.origin_form(target, method, self._host)
        path, raw_path, query = head.split_target(target)
        scope = self._scope.copy()
        scope["http_version"] = version
        scope["method"] = method.decode("ascii")
        scope["path"] = self.root_path + path
        scope["raw_path"] = self.root_path.encode("ascii") + raw_path
        scope["query_string"] = query
        scope["headers"] = self.headers
        scope["state"] = self.app_state.copy()
        scope["extensions"] = {CALLER_EXTENSION: caller}
        return scope

    def on_body(self, body: bytes) -> None:
        self._raw = 0
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return  # nobody will read it, and it does not prolong the wait for its end
        self._age = 0
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        self._reading = _REST
        self._raw = self._age = 0
        cycle = self.cycle
        if cycle is not None:
            cycle.more_body = False
            if not cycle.response_complete:
                cycle.message_event.set()

    # --- The end of a response

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        self._age = 0
        if self._active is not None:
            self._active.caller.release()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._active, app = cast("tuple[GuardedCycle, Any]", self.pipeline.pop())
            if not self.pipeline:
                self._backlog = 0
            self._start_asgi_task(self._active, app)
        elif self._refusal is not None:
            self._reply(self._refusal)

    def _end_of_response(self) -> None:
        """The cycle closes: its response was the last of the connection, or its app failed in the middle of it."""
        if self._active is None:
            return
        if not self._active.response_complete:
            self._abort()
        elif self._reading is _REST and not self.pipeline:
            self.transport.close()
        else:
            self._linger()

    def _linger(self) -> None:
        """Close our side, and throw away what comes until the client closes its own or `receive_timeout_s` has passed.

        Closing over unread bytes would send a reset, which can destroy the reply on its way to a client still sending.
        """
        self._reading = _DEAF
        self._refusal = None
        self._age = 0
        self.pipeline.clear()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _abort(self) -> None:
        """The app gives up in the middle of its response."""
        active = self._detach()
        if active is not None:
            self._reading = _DEAF
            active.caller.release()
            active.break_off(self.transport)

    # --- Refusals and departures

    def _refuse(self, refusal: ApiError) -> None:
        """Read no further, and answer with `refusal` when it is its turn."""
        is_about_body = self._reading is _BODY
        self._reading = _DEAF
        self.flow.resume_reading()  # to see the client leave
        if is_about_body and self.pipeline:
            del self.pipeline[0]  # the request it is about; no app has seen it
        elif is_about_body:
            self._cut_off(refusal)
            return
        if self._active is None or self._active.response_complete:
            self._reply(refusal)
        else:
            self._refusal = refusal

    def _cut_off(self, refusal: ApiError) -> None:
        """Take the client from the active request, and tell it why if it can still be told."""
        active = self._detach()
        if active is None:
            self._linger()
            return
        if active.response_started:
            active.break_off(self.transport)
        else:
            self._reply(refusal)
        active.caller.leave()

    def _reply(self, refusal: ApiError) -> None:
        self.sweep.refusals[refusal.status] = self.sweep.refusals.get(refusal.status, 0) + 1
        self.transport.write(head.reply(refusal, self.server_state.default_headers))
        self._linger()

    def _leave(self) -> None:
        """The client is gone: tell the active request at once, and begin none of those behind it."""
        active = self._detach()
        if active is not None:
            active.caller.leave()

    def _detach(self) -> GuardedCycle | None:
        """Return the unanswered request, if any, with its connection taken: sends go nowhere, and waits are over."""
        active, self._active = self._active, None
        self.pipeline.clear()
        self.flow.resume_writing()
        if active is None or active.response_complete:
            return None
        active.disconnected = True
        active.message_event.set()
        return active

    # --- Time

    def on_sweep(self) -> int | None:
        if self.transport.is_closing():
            self._age_closing()
            return None
        patience = self._patience()
        self._age = self._age + 1 if patience else 0
        if patience and self._age >= patience:
            self._lose_patience()
        elif self._count_hold_up(patience) >= self.sweep.total_sweeps:
            self._end_hold_up()
        return cast(int, self.transport.get_extra_info("socket").fileno()) if self.flow.read_paused else None

    def _patience(self) -> int:
        """How many sweeps the present state may last; 0 while nothing is expected of the client."""
        active = self._active
        if self.flow.read_paused:
            # Our doing. But a FIN can be stuck behind what a client has sent ahead, and we would serve nobody for long.
            return self.sweep.receive_sweeps if self.pipeline else 0
        if active is not None and not active.response_complete and self._reading is not _HEAD:
            is_wanted = self._reading is _BODY and active is self.cycle and active.is_waiting
            return self.sweep.receive_sweeps if is_wanted else 0
        return self._idle_sweeps if self._reading is _REST else self.sweep.receive_sweeps

    def _lose_patience(self) -> None:
        if self.flow.read_paused:
            self._refuse(head.too_many())
        elif self._reading is _HEAD:
            self._refuse(head.too_slow("head", self.sweep.limits.receive_timeout_s))
        elif self._reading is _BODY and self._active is not None and not self._active.response_complete:
            self._refuse(head.too_slow("body", self.sweep.limits.receive_timeout_s))
        else:
            self.transport.close()

    def _count_hold_up(self, patience: int) -> int:
        """Return for how many sweeps the client has kept us waiting, by small parts of a body or as a reader."""
        if self.flow.write_paused:
            self._held_up = 0 if self._has_flushed() else self._held_up + 1
        elif self._reading is not _BODY:
            self._held_up = 0
        elif patience:
            self._held_up += 1
        return self._held_up

    def _end_hold_up(self) -> None:
        if self.flow.write_paused:
            self.on_hang_up()
        else:
            self._refuse(head.too_slow("body", self.sweep.limits.total_s))

    def _has_flushed(self) -> bool:
        """Whether the client has taken something since this was asked last."""
        before, self._unflushed = self._unflushed, self.transport.get_write_buffer_size()
        return self._unflushed != before

    def _age_closing(self) -> None:
        """Give up on a client that does not take the rest of a finished response."""
        self._age = 0 if self._has_flushed() else self._age + 1
        if self._age >= self.sweep.receive_sweeps:
            self.transport.abort()

    def on_hang_up(self) -> None:
        self._leave()
        self.transport.abort()


def guarded_protocol(limits: Limits, before_writes: Callable[[], None] | None = None) -> type[GuardedProtocol]:
    """Return the protocol class of one worker, to be given to uvicorn as `http`.

    `before_writes()` is called before the last byte of any response leaves.
    """

    class Guarded(GuardedProtocol):
        __slots__ = ()
        sweep = Sweep(limits)
        turn = Turn(before_writes)
        heads = KnownHeads()

    return Guarded
