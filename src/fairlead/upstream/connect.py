"""Opening a connection: look the name up, race the addresses, tunnel, wrap in TLS.

Every failure leaves here as `ConnectError`, so the caller knows that nothing of the request has been sent. The time
limit is the caller's.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar, cast

import aiohappyeyeballs

from fairlead import clock
from fairlead.errors import ConnectError
from fairlead.upstream.origin import Origin, Proxy

P = TypeVar("P", bound=asyncio.Protocol)
Addresses = list[aiohappyeyeballs.AddrInfoType]

RESOLVE_TTL_S = 10.0
"""How long an answer of the resolver serves. Short, since load balancers are moved by DNS; long enough that a busy
worker asks seldom."""
MAX_RESOLVED = 1024
ATTEMPT_DELAY_S = 0.25
"""Head start of one address over the next: RFC 8305, section 8."""
MAX_PROXY_HEAD_BYTES = 16_384


def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """The context of all upstream TLS: certificates and names verified, HTTP/1.1 offered by ALPN.

    `ca_file` (`SSL_CERT_FILE`) replaces the system's roots.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


class Connector:
    """Opens transports to origins; owns the resolver's short memory."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._resolved: dict[tuple[str, int], tuple[float, Addresses]] = {}

    async def open(self, origin: Origin, protocol_factory: Callable[[socket.socket], P]) -> P:
        """Return a connected protocol; the factory is given the socket below it. Raises ConnectError.

        With TLS, `connection_made` is called twice: for TCP, and for TLS once the handshake is done.
        """
        loop = asyncio.get_running_loop()
        sock: socket.socket | None = None
        try:
            hop: Origin | Proxy = origin.proxy or origin
            sock = await aiohappyeyeballs.start_connection(
                await self._resolve(hop.host, hop.port), happy_eyeballs_delay=ATTEMPT_DELAY_S, loop=loop
            )
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if origin.proxy is not None:
                await _tunnel(loop, sock, origin, origin.proxy)
            protocol = await (self._start_tls if origin.is_tls else _start)(origin, sock, protocol_factory)
            sock = None
            return protocol
        except ssl.SSLCertVerificationError as error:
            raise ConnectError(f"certificate of {origin.authority} refused: {error.verify_message}") from error
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            raise ConnectError(f"no connection to {origin.authority}: {reason}") from error
        finally:
            if sock is not None:
                sock.close()

    async def _start_tls(self, origin: Origin, sock: socket.socket, factory: Callable[[socket.socket], P]) -> P:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(_Mute, sock=sock)
        try:
            if transport.is_closing():
                raise ConnectError(f"{origin.authority} does not speak TLS")
            protocol = factory(sock)
            protocol.connection_made(transport)
            secure = await loop.start_tls(transport, protocol, self._tls, server_hostname=origin.host)
            assert secure is not None  # it is None for a transport that has closed, which was seen to
            protocol.connection_made(secure)
        except BaseException:
            transport.abort()
            raise
        return protocol

    async def _resolve(self, host: str, port: int) -> Addresses:
        now = clock.monotonic()
        known = self._resolved.get((host, port))
        if known is not None and known[0] > now:
            return known[1]
        found: Addresses = list(await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM))
        if len(self._resolved) >= MAX_RESOLVED:
            self._resolved.clear()
        self._resolved[host, port] = (now + RESOLVE_TTL_S, found)
        return found


async def _start(origin: Origin, sock: socket.socket, factory: Callable[[socket.socket], P]) -> P:
    _, protocol = await asyncio.get_running_loop().create_connection(lambda: factory(sock), sock=sock)
    return protocol


class _Mute(asyncio.Protocol):
    """What the peer talks to until TLS begins. It is not to: in TLS the client speaks first."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.abort()


async def _tunnel(loop: asyncio.AbstractEventLoop, sock: socket.socket, origin: Origin, proxy: Proxy) -> None:
    """Ask `proxy` for a tunnel to `origin` over the connected `sock` (RFC 9110, section 9.3.6)."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    lines = [f"CONNECT {host}:{origin.port} HTTP/1.1", f"host: {host}:{origin.port}"]
    if proxy.authorization is not None:
        lines.append(f"proxy-authorization: {proxy.authorization}")
    await loop.sock_sendall(sock, "\r\n".join([*lines, "", ""]).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        part = await loop.sock_recv(sock, 4096)
        head += part
        if not part or len(head) > MAX_PROXY_HEAD_BYTES:
            raise ConnectError(f"proxy {proxy.host}:{proxy.port} broke off the CONNECT to {origin.authority}")
    status = head.split(b"\r\n", 1)[0].split(b" ", 2)
    with contextlib.suppress(ValueError, IndexError):
        if 200 <= int(status[1]) < 300 and head.endswith(b"\r\n\r\n"):
            return
    answer = head.split(b"\r\n", 1)[0].decode("latin-1")[:120]
    raise ConnectError(f"proxy {proxy.host}:{proxy.port} refused the tunnel to {origin.authority}: {answer}")
