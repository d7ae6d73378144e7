"""One HTTP/1.1 connection to a provider.

    IDLE ──send──► ACTIVE ──message complete──► IDLE     kept, back to the pool
                     │
                     └── error · limit · close · abort ──► CLOSED

The parser is httptools (llhttp). Bytes of the body are put into the `Reply` as they arrive.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import httptools

from fairlead import clock
from fairlead.catalog.model import Timeouts
from fairlead.errors import ProtocolError, StaleConnection, Truncated, UpstreamError, UpstreamTimeout
from fairlead.turn import GatheredTransport, Turn
from fairlead.upstream import tcp
from fairlead.upstream.reply import Reply

__all__ = ["Connection", "Limits", "Reply"]

LOOK_AFTER_S = 0.05
"""A connection that served longer ago than this is looked at before it serves again: a system call more.
Under load connections serve again sooner, and the event loop has just reported all that were closed."""
GREEDY_BYTES = 200_000
"""So much of a body in one read (uvloop's are 256 000 at most), and others have their turn before the next: the event
loop would read on at once, up to 8 MB from one socket, and nobody else be served for tens of milliseconds."""
WRITELINES_BYTES = 65_536
"""Above this a body is written beside its head rather than copied behind it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a reply may cost us before its connection is given up."""

    max_head_bytes: int = 65_536
    """Status line and headers, including those of 1xx replies before it."""
    max_framing_bytes: int = 65_536
    """Chunk sizes, chunk extensions and trailers between two bytes of content."""


class Connection(asyncio.Protocol):
    """A connection that serves one request after another.

    `on_idle(connection)` is called when a reply is complete and the connection can serve again, `on_closed(connection)`
    once when it is gone; both from the event loop.
    """

    __slots__ = (
        "_acked_before",
        "_body",
        "_can_serve_again",
        "_deadline",
        "_framing_bytes",
        "_head",
        "_head_bytes",
        "_is_paused",
        "_is_tls",
        "_limits",
        "_on_closed",
        "_on_idle",
        "_parser",
        "_progress_at",
        "_reply",
        "_socket",
        "_tcp",
        "_timeouts",
        "_timer",
        "_timer_at",
        "_transport",
        "_turn",
        "_unsent_bytes",
        "_written_bytes",
        "idle_since",
        "is_closed",
        "loop",
        "on_body",
        "opened_at",
        "served",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        turn: Turn,
        limits: Limits,
        on_idle: "Callable[[Connection], None]",
        on_closed: "Callable[[Connection], None]",
    ) -> None:
        # connection
        self.loop = loop
        self._turn = turn
        self._limits = limits
        self._on_idle = on_idle
        self._on_closed = on_closed
        self._body: list[bytes] = []
        """Content from the present read of the socket."""
        self.on_body = self._body.append  # for the parser: once for each chunk of a stream, so without a call of ours
        self._parser = httptools.HttpResponseParser(self)
        self._socket = sock  # the very one: the stand-in that uvloop's transports offer takes thrice as long to ask
        self._tcp: asyncio.Transport = cast(asyncio.Transport, None)
        self._transport: GatheredTransport = cast(GatheredTransport, None)
        self.is_closed = False
        self.opened_at = clock.monotonic()
        self.idle_since = self.opened_at
        self.served = 0
        # request
        self._reply: Reply | None = None
        self._acked_before = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._timeouts = Timeouts()
        self._deadline = 0.0
        self._progress_at = 0.0
        self._unsent_bytes = 0
        self._written_bytes = 0
        self._is_tls = False
        self._is_paused = False
        # reply head
        self._head: list[bytes] = []
        self._head_bytes = 0
        self._framing_bytes = 0
        self._can_serve_again = False

    @property
    def is_usable(self) -> bool:
        """Whether a request can be sent: open, and not about to close."""
        return not self.is_closed and not self._tcp.is_closing()

    # -- the request ---------------------------------------------------------------------------------------------

    def send(self, head: bytes, body: Sequence[bytes | memoryview], timeouts: Timeouts, deadline: float) -> Reply:
        """Write a request and return its reply to be awaited.

        `head` ends with the empty line; `deadline` is the `clock.monotonic` time at which the whole exchange must have
        ended.
        Raises StaleConnection, with nothing written, when the peer has closed and the loop has not noticed yet.
        """
        now = clock.monotonic()
        if self.served and (self._is_tls or now - self.idle_since > LOOK_AFTER_S):
            is_open, self._acked_before = tcp.look(self._socket)
            if not is_open:
                self._transport.abort()
                raise StaleConnection("the provider had closed the kept connection")
        else:
            self._acked_before = self._written_bytes + 1  # the SYN is acknowledged like a byte
        reply = self._reply = Reply(self)
        self._head.clear()
        self._can_serve_again = False
        self._head_bytes = self._framing_bytes = 0
        self._timeouts = timeouts
        self._deadline = deadline
        self._unsent_bytes = 0
        self._progress_at = now
        size = len(head) + sum(map(len, body))
        self._written_bytes += size
        if size > WRITELINES_BYTES:
            self._transport.writelines([head, *body])
        else:
            self._transport.write(b"".join((head, *body)))
        first_look_at = min(now + min(timeouts.first_byte_s, timeouts.idle_s), deadline)
        if self._timer is None or first_look_at < self._timer_at:
            self._look_at(first_look_at, now)
        return reply

    def resume(self) -> None:
        """The reader has caught up: take more from the socket."""
        if self._is_paused:
            self._is_paused = False
            # The pause was ours: silence during it is not the provider's.
            self._progress_at = clock.monotonic()
            self._tcp.resume_reading()

    def abort(self) -> None:
        """Close at once, whatever is under way; a reply being read ends with Truncated."""
        self._fail(Truncated("given up by us"))

    def close(self) -> None:
        """Close an idle connection: nothing is left to be sent, and a farewell over TLS would be waited for."""
        self._transport.abort()

    def _fail(self, error: UpstreamError) -> None:
        self._transport.abort()
        self._end_reply(error)

    def _end_reply(self, error: UpstreamError | None) -> None:
        reply, self._reply = self._reply, None
        if reply is not None:
            reply._finish(error)

    def _unsent(self) -> int:
        """Bytes of the request that have not left. A TLS transport counts only what it still has to encrypt."""
        size = self._transport.get_write_buffer_size()
        return size + self._tcp.get_write_buffer_size() if self._is_tls else size

    # -- time limits ---------------------------------------------------------------------------------------------

    def _look_at(self, at: float, now: float) -> None:
        """Set the one timer of this connection. It outlives the exchange that it was set for: the next one is seldom in
        more of a hurry, and nearly all are over before it fires."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self.loop.call_later(at - now, self._on_timer), at

    def _on_timer(self) -> None:
        """See which limit is next, and wait for that.

        Never longer than `idle_s`, since content moves no timer: its limit may have begun to run meanwhile.
        """
        self._timer = None
        reply, now = self._reply, clock.monotonic()
        if reply is None:
            return
        unsent = self._unsent()
        if unsent != self._unsent_bytes:  # a large body was still leaving: the wait for the reply had not begun
            self._unsent_bytes = unsent
            self._progress_at = now
        phase_limit_s = self._timeouts.idle_s if reply._arrived else self._timeouts.first_byte_s
        due = self._progress_at + phase_limit_s
        if now >= self._deadline:
            self._fail(UpstreamTimeout("total", self._timeouts.total_s))
        elif now >= due and not self._is_paused:
            self._fail(UpstreamTimeout("idle" if reply._arrived else "first_byte", phase_limit_s))
        else:
            next_look_at = now + phase_limit_s if self._is_paused else due
            self._look_at(min(next_look_at, now + self._timeouts.idle_s, self._deadline), now)

    # -- asyncio.Protocol ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called with the TCP transport, and again with the TLS transport on top of it, if there is to be one.

        Reading is paused below TLS: uvloop's layer drops what it holds for a paused reader when the peer closes.
        """
        plain = cast(asyncio.Transport, transport)
        self._transport = GatheredTransport(plain, self._turn)
        self._is_tls = transport.get_extra_info("ssl_object") is not None
        if not self._is_tls:
            self._tcp = plain

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None:  # nothing was asked: a late 408, a surplus reply
            self._transport.abort()
            return
        if not reply.status:
            self._head_bytes += len(data)
            self._head.append(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(ProtocolError("the provider switched protocols"))
        except httptools.HttpParserError as error:
            if self._reply is reply:  # else it is what came behind the reply
                self._take_last(reply)
            self._fail(ProtocolError(f"not HTTP: {error}"))
        else:
            if self._reply is None:
                self._rest()
            elif self._body:
                self._take(reply)
            elif not reply.status:
                self._check("head of the reply", self._head_bytes, self._limits.max_head_bytes)
            else:
                self._framing_bytes += len(data)
                self._check("chunk framing", self._framing_bytes, self._limits.max_framing_bytes)

    def _take(self, reply: Reply) -> None:
        """Hand on the content that has come; more is to come."""
        body = self._body
        data = body[0] if len(body) == 1 else b"".join(body)
        body.clear()
        self._framing_bytes = 0
        self._progress_at = clock.monotonic()
        wants_more = reply._arrive(data)
        if self._is_paused or (wants_more and len(data) < GREEDY_BYTES):
            return
        self._is_paused = True
        self._tcp.pause_reading()
        if wants_more:
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Others have had their turn."""
        if not self._tcp.is_closing():
            self.resume()

    def _take_last(self, reply: Reply) -> None:
        """Hand on the content that has come before the end, if there is some."""
        if self._body:
            reply._arrive_last(b"".join(self._body))
            self._body.clear()

    def _rest(self) -> None:
        """The reply has ended, and what came with it has been looked at."""
        self._body.clear()  # of a surplus reply
        if not self._can_serve_again:
            self._transport.abort()
            return
        if self._is_paused:
            self._is_paused = False
            self._tcp.resume_reading()
        self.served += 1
        self.idle_since = clock.monotonic()
        self._on_idle(self)

    def _check(self, what: str, size: int, limit: int) -> None:
        if size > limit:
            self._fail(ProtocolError(f"{what} over {limit} bytes"))

    def eof_received(self) -> None:
        """The peer has ended its side: TCP's FIN, or over TLS the close_notify before it."""
        reply = self._reply
        if reply is not None:
            self._end_reply(self._verdict_on_eof(reply))
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        reply = self._reply
        if reply is not None:  # no end was announced: a reset, or TLS without its close_notify
            where = f"after {reply.body_bytes} bytes of the body" if reply.status else "before the reply"
            reason = f": {exc.strerror}" if isinstance(exc, OSError) and exc.strerror else ""
            self._end_reply(Truncated(f"the connection broke {where}{reason}"))
        self._on_closed(self)
        del self._parser  # it leads back here: a closed connection is freed without the cycle collector

    def _verdict_on_eof(self, reply: Reply) -> UpstreamError | None:
        if reply.status:
            if not reply.header(b"content-length") and not reply.header(b"transfer-encoding"):
                return None  # the close is the end: RFC 9112, section 6.3, rule 8
            return Truncated(f"the connection closed after {reply.body_bytes} bytes of the body")
        if self.served and not self._head_bytes and self._is_unheard():
            return StaleConnection("the provider had closed the kept connection")
        return Truncated("the connection closed before the reply")

    def _is_unheard(self) -> bool:
        """Whether the peer, which has just ended its side, did so before any byte of the request reached it.

        A segment carries the acknowledgement of all that its sender has received; so the count has not moved. That
        holds for the segment of a FIN, not for a reset: the kernel drops what a reset acknowledges.
        """
        return 0 < tcp.look(self._socket)[1] <= self._acked_before

    # -- httptools callbacks -------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._reply is None:  # more than was asked for came behind the reply
            self._can_serve_again = False

    # Without `on_header`: to be called for each of them takes longer than to find the few that matter in the bytes.
    def on_headers_complete(self) -> None:
        reply = self._reply
        if reply is None:
            return
        status = self._parser.get_status_code()
        if status < 100:
            self._fail(ProtocolError(f"not HTTP: status {status:03}"))
            return
        text = b"".join(self._head).lstrip(b"\r\n")
        end = text.index(b"\r\n\r\n") + 2
        if status < 200:  # 1xx: drop it and read on
            self._head[:] = [text[end + 2 :]]
            return
        self._head.clear()
        limit = self._limits.max_head_bytes
        if self._head_bytes > limit:  # then look closer: the same read may have brought content
            self._check("head of the reply", end, limit)
            if self._reply is None:
                return
        reply._begin(status, text[:end])

    def on_message_complete(self) -> None:
        reply = self._reply
        if reply is None or not reply.status:
            return
        self._take_last(reply)
        self._can_serve_again = self._parser.should_keep_alive() and not self._unsent()
        self._end_reply(None)
