"""uvicorn as one of our workers: it leaves without a request noticing.

    SERVING ──SIGTERM──▶ DRAINING ──drain_delay_s──▶ CLOSED ──drain_timeout_s──▶ EXPIRED ──2 s──▶ cut
       │                 readiness off,              ▲  no new connections       the app ends what is open
       │                 still accepting             │
       └──────the supervisor lets go─────────────────┘

From DRAINING on each reply says `connection: close`, so that clients move their kept connections elsewhere instead of
finding them closed. From CLOSED on the process ends as soon as nothing is open.
"""

import asyncio
import contextlib
import math
import signal
import socket
from collections.abc import Iterator
from types import FrameType
from typing import Final, Protocol

import uvicorn
from uvicorn._types import ASGIApplication, LifespanScope
from uvicorn.lifespan.on import LifespanOn, LifespanSendMessage

from fairlead.clock import monotonic
from fairlead.edge.protocol import GuardedProtocol
from fairlead.errors import FairleadError

BACKLOG: Final = 2048

_LINGER_S: Final = 0.5
"""An idle connection is closed no sooner than this after the last was accepted: a request may be under way to it."""
_EXPIRY_S: Final = 2.0
"""For the last words of expired streams to reach their clients."""
_LOOK_S: Final = 0.02


class StartFailed(FairleadError):
    """The application said over the lifespan protocol that it cannot start, and why."""


class DrainHooks(Protocol):
    """What the application does about a drain."""

    @property
    def in_flight(self) -> int:
        """Exchanges not yet settled, those of clients that have left included."""

    def begin(self) -> None:
        """Turn readiness off. Not called when the supervisor lets go: then nobody can ask any more."""

    def end_endless(self) -> None:
        """End what would never end by itself. Called once, when we begin to leave, for whatever reason."""

    def expire(self) -> None:
        """End each open exchange now, with an in-band error."""


class Supervision(Protocol):
    """The way to whoever started this process."""

    def fileno(self) -> int:
        """Readable once we are let go: stop accepting and end."""

    def ready(self) -> None: ...
    def alive(self) -> None:
        """Called about once a second while this worker serves."""

    def leaving(self) -> None: ...


class WorkerServer(uvicorn.Server):
    """`run(sockets=[...])` returns after the drain and raises no signal again: the exit code is 0.

    When the application cannot start, its own exception (or StartFailed) comes out of `run`.
    """

    def __init__(
        self,
        app: ASGIApplication,
        http: type[GuardedProtocol],
        hooks: DrainHooks,
        supervision: Supervision,
        *,
        keep_alive_s: float,
        drain_delay_s: float,
        drain_timeout_s: float,
    ) -> None:
        # Bare: the application does its own logs, proxy headers and limits.
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http=http,
            ws="none",
            lifespan="on",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            forwarded_allow_ips=[],  # not given, it is read from the environment
            workers=1,  # the same
            backlog=BACKLOG,
            timeout_keep_alive=math.ceil(keep_alive_s),
        )
        config.load()
        config.lifespan_class = _Lifespan
        super().__init__(config)
        self._http = http
        self._hooks = hooks
        self._supervision = supervision
        self._drain_delay_s = drain_delay_s
        self._drain_timeout_s = drain_timeout_s
        self._drain_began_at: float | None = None
        self._closing = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.handle_exit, signal.SIGTERM, None)
        loop.add_reader(self._supervision.fileno(), self._let_go)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
            loop.remove_reader(self._supervision.fileno())

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._supervision.ready()

    async def main_loop(self) -> None:
        # uvicorn's own wakes ten times a second to look at a flag; what is left to do is the Date header.
        while not await self.on_tick(0):
            self._supervision.alive()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._closing.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain. A second signal changes nothing: an impatient supervisor kills."""
        if self._drain_began_at is None:
            self._hooks.begin()
            self._begin_drain(self._drain_delay_s)

    def _let_go(self) -> None:
        asyncio.get_running_loop().remove_reader(self._supervision.fileno())  # an end of file stays readable
        self._begin_drain(0.0)

    def _begin_drain(self, delay_s: float) -> None:
        if self._drain_began_at is None:
            self._drain_began_at = monotonic()
            self._supervision.leaving()
            self._http.drain()
            self._hooks.end_endless()
        asyncio.get_running_loop().call_later(delay_s, self._close)

    def _close(self) -> None:
        self.should_exit = True
        self._closing.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        waiting = [accepted for listener in sockets or [] for accepted in _accepted(listener)]
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        loop = asyncio.get_running_loop()
        for accepted in waiting:
            await loop.connect_accepted_socket(self._new_protocol, accepted)
        deadline = monotonic() + self._drain_timeout_s
        await self._until_idle(min(deadline, monotonic() + _LINGER_S))
        for connection in list(self.server_state.connections):
            connection.shutdown()  # closes it if idle, else after its reply
        if not await self._until_idle(deadline):
            self._hooks.expire()
            if not await self._until_idle(monotonic() + _EXPIRY_S):
                self._cut()
        await self.lifespan.shutdown()

    def _new_protocol(self) -> GuardedProtocol:
        """As uvicorn makes one for each connection."""
        return self._http(self.config, self.server_state, self.lifespan.state)

    async def _until_idle(self, deadline: float) -> bool:
        """Wait until no connection and no exchange is open; False when that takes longer.

        Never True at once: a connection accepted in this turn of the loop becomes one of ours in the next.
        """
        state = self.server_state
        while True:
            await asyncio.sleep(_LOOK_S)
            if not (state.connections or state.tasks or self._hooks.in_flight):
                return True
            if monotonic() >= deadline:
                return False

    def _cut(self) -> None:
        for task in self.server_state.tasks:
            task.cancel("the drain time ran out")
        for connection in self.server_state.connections:
            if connection.transport is not None:
                connection.transport.abort()


def _accepted(listener: socket.socket) -> Iterator[socket.socket]:
    """Connections that the kernel has accepted and we have not: when the listener closes, it resets them."""
    listener.setblocking(False)
    with contextlib.suppress(OSError):  # no more are there, or no more can be had
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)
            yield connection


class _Lifespan(LifespanOn):
    """uvicorn's, except that a failed start ends as an exception for the caller, not as lines of log."""

    _failure: BaseException | None = None

    async def startup(self) -> None:
        await super().startup()
        if self._failure is not None:
            raise self._failure

    async def main(self) -> None:
        scope: LifespanScope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self.config.loaded_app(scope, self.receive, self.send)
        except Exception as error:
            if self._failure is not None or not self.startup_event.is_set():
                self._failure = error
            elif not self.shutdown_failed:
                self.logger.exception("the application failed at its shutdown")
        finally:
            self.startup_event.set()
            self.shutdown_event.set()

    async def send(self, message: LifespanSendMessage) -> None:
        if message["type"] == "lifespan.startup.failed":
            self._failure = StartFailed(message.get("message") or "the application did not say why")
            self.startup_event.set()
        else:
            await super().send(message)
