"""Opening connections: names, addresses, TLS, tunnels; and that whatever goes wrong says so and leaves nothing open."""

import asyncio
import contextlib
import datetime
import gc
import os
import socket
import ssl

import pytest
import trustme

from fairlead import clock
from fairlead.catalog.model import Timeouts
from fairlead.errors import ConnectError, UpstreamTimeout
from fairlead.upstream import connect
from fairlead.upstream.connect import Connector, tls_context
from fairlead.upstream.origin import Origin, Proxy
from fairlead.upstream.pool import PoolLimits
from upstream.peer import LOOPBACK, PATIENT, TIME_LIMIT_S, Peer, ask, ask_all, on_both_loops, turns

pytestmark = pytest.mark.anyio

HASTY = Timeouts(connect_s=0.05)
YEAR = datetime.timedelta(days=365)


async def refusal(client, origin):
    """The text of the error that a request ends in."""
    with pytest.raises(ConnectError) as caught:
        await ask(client, origin)
    assert client.connection_count == 0
    return str(caught.value)


class TestAddresses:
    async def test_refused(self, client):
        with socket.socket() as sock:
            sock.bind((LOOPBACK, 0))  # and does not listen
            port = sock.getsockname()[1]
            assert f"no connection to {LOOPBACK}:{port}" in await refusal(client, Origin(False, LOOPBACK, port))

    async def test_unknown_name(self, client):
        assert "no connection to nobody.invalid: " in await refusal(client, Origin(False, "nobody.invalid", 80))

    async def test_nobody_answers(self, client):
        with socket.socket() as listener, contextlib.ExitStack() as crowd:
            listener.bind((LOOPBACK, 0))
            listener.listen(0)
            for _ in range(4):  # fill the backlog: from then on the kernel does not answer
                sock = crowd.enter_context(socket.socket())
                sock.setblocking(False)
                sock.connect_ex(listener.getsockname())
            with pytest.raises(UpstreamTimeout) as caught:
                await ask(client, Origin(False, *listener.getsockname()), timeouts=HASTY)
            assert (caught.value.phase, caught.value.limit_s) == ("connect", 0.05)
            with pytest.raises(UpstreamTimeout) as caught:
                await ask(client, Origin(False, *listener.getsockname()), total_s=0.02)
        assert (caught.value.phase, caught.value.limit_s) == ("total", PATIENT.total_s)

    async def test_the_next_address_is_tried(self, client, peer, monkeypatch):
        async def resolve(connector, host, port):
            return [
                (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
                for address in ("127.0.0.2", "127.0.0.3", LOOPBACK)
            ]

        monkeypatch.setattr(Connector, "_resolve", resolve)
        reply, _ = await asyncio.gather(ask_all(client, Origin(False, "many.test", peer.port)), peer.answer())
        assert reply == (200, b"ok")

    async def test_answers_of_the_resolver_are_kept_for_a_while(self, monkeypatch):
        now = 1000.0
        monkeypatch.setattr(clock, "monotonic", lambda: now)
        connector = Connector(tls_context())
        first = await connector._resolve("localhost", 80)
        now += connect.RESOLVE_TTL_S - 0.1
        assert await connector._resolve("localhost", 80) is first
        now += 0.2
        assert await connector._resolve("localhost", 80) is not first

    async def test_not_for_any_number_of_names(self, monkeypatch):
        monkeypatch.setattr(connect, "MAX_RESOLVED", 3)
        connector = Connector(tls_context())
        for port in range(1, 6):
            await connector._resolve(LOOPBACK, port)
        assert len(connector._resolved) <= 3


@on_both_loops
class TestTls:
    @pytest.mark.parametrize(("host", "name"), [("localhost", "localhost"), (LOOPBACK, None)])
    async def test_name_and_protocol_are_told(self, client, make_server_context, host, name):
        names = []
        context = make_server_context()
        context.sni_callback = lambda sslobject, name, context: names.append(name)
        with contextlib.closing(Peer(context, name=host)) as peer:
            reply, guest = await asyncio.gather(ask_all(client, peer.origin), peer.answer())
        assert reply == (200, b"ok")
        assert names == [name]  # an address is no server name: RFC 6066, section 3
        assert guest.tls.selected_alpn_protocol() == "http/1.1"
        assert guest.tls.version() == "TLSv1.3"

    @pytest.mark.parametrize("host", ["localhost", LOOPBACK])
    async def test_wrong_name(self, client, ca, make_server_context, host):
        text = await self.refusal(client, make_server_context(ca.issue_cert("example.com", "10.0.0.1")), host)
        assert "certificate of" in text
        assert "mismatch" in text

    async def test_expired(self, client, ca, make_server_context):
        now = datetime.datetime.now(datetime.UTC)
        certificate = ca.issue_cert("localhost", not_before=now - 2 * YEAR, not_after=now - YEAR)
        assert "certificate has expired" in await self.refusal(client, make_server_context(certificate))

    async def test_unknown_authority(self, client, make_server_context):
        certificate = trustme.CA().issue_cert("localhost")
        assert "unable to get local issuer" in await self.refusal(client, make_server_context(certificate))

    async def test_self_signed(self, client, make_server_context, tmp_path):
        authority = trustme.CA()
        (tmp_path / "both.pem").write_bytes(authority.private_key_pem.bytes() + authority.cert_pem.bytes())
        context = make_server_context()
        context.load_cert_chain(tmp_path / "both.pem")
        assert "certificate of" in await self.refusal(client, context)

    async def test_a_greeting_instead(self, client, peer):
        async def greet():
            guest = await peer.accept()
            await guest.send(b"220 mail.example.com ready\r\n")

        text, _ = await asyncio.gather(refusal(client, Origin(True, "localhost", peer.port)), greet())
        assert "TLS" in text or "SSL" in text

    async def test_plain_http_instead(self, client, peer):
        async def answer():
            guest = await peer.accept()
            await guest.recv()
            await guest.send(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")

        text, _ = await asyncio.gather(refusal(client, Origin(True, "localhost", peer.port)), answer())
        assert "no connection to localhost" in text
        assert "SSL" in text

    async def test_closed_in_the_handshake(self, client, peer):
        async def close():
            guest = await peer.accept()
            await guest.recv()
            guest.close()

        text, _ = await asyncio.gather(refusal(client, Origin(True, "localhost", peer.port)), close())
        assert text.partition(": ")[2]

    async def test_silence_in_the_handshake(self, client, peer):
        with pytest.raises(UpstreamTimeout, match=r"connect time limit of 0\.05 s ran out"):
            await ask(client, Origin(True, "localhost", peer.port), timeouts=HASTY)
        guest = await peer.accept()
        assert await guest.end()  # a greeting, and then nothing more

    @staticmethod
    async def refusal(client, context, host="localhost"):
        async def welcome():
            with contextlib.suppress(OSError):
                await peer.accept()

        with contextlib.closing(Peer(context, name=host)) as peer:
            text, _ = await asyncio.gather(refusal(client, peer.origin), welcome())
        return text


def test_the_context_verifies(ca, tmp_path):
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = tls_context(str(tmp_path / "ca.pem"))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1


class ConnectProxy(Peer):
    """A proxy that opens tunnels."""

    requests: list

    @contextlib.asynccontextmanager
    async def running(self):
        self.requests = []
        async with self.serving(self._tunnel):
            yield

    async def _tunnel(self, guest):
        self.requests.append(await guest.read_request())
        host, _, port = self.requests[-1].split()[1].decode().rpartition(":")
        with socket.socket() as target:
            target.setblocking(False)
            await asyncio.get_running_loop().sock_connect(target, (socket.gethostbyname(host), int(port)))
            await guest.send(b"HTTP/1.1 200 Connection established\r\nproxy-agent: tiny\r\n\r\n")
            await asyncio.gather(_pipe(guest.sock, target), _pipe(target, guest.sock))


async def _pipe(source, sink):
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while data := await loop.sock_recv(source, 65536):
            await loop.sock_sendall(sink, data)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy():
    proxy = ConnectProxy()
    yield proxy
    proxy.close()


def through(peer, proxy, authorization=None):
    return Origin(True, "localhost", peer.port, Proxy(LOOPBACK, proxy.port, authorization))


class TestTunnel:
    @on_both_loops
    async def test_requests_go_through_one(self, client, tls_peer, proxy):
        origin = through(tls_peer, proxy)
        async with proxy.running():
            reply, guest = await asyncio.gather(ask_all(client, origin), tls_peer.answer())
            assert reply == (200, b"ok")
            reply, request = await asyncio.gather(ask_all(client, origin, b"{}"), guest.answer())
            assert request.startswith(b"POST /v1/chat HTTP/1.1\r\n")
            assert b"proxy" not in request
            client.close()
        [request] = proxy.requests
        where = b"localhost:%d" % tls_peer.port
        assert request == b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n\r\n" % (where, where)

    async def test_credentials_are_for_the_proxy_alone(self, client, tls_peer, proxy):
        async with proxy.running():
            _, guest = await asyncio.gather(ask_all(client, through(tls_peer, proxy, "Basic abc")), tls_peer.answer())
            client.close()
        assert b"\r\nproxy-authorization: Basic abc\r\n" in proxy.requests[0]
        assert b"abc" not in await guest.end()

    @pytest.mark.parametrize(
        ("answer", "text"),
        [
            (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "refused the tunnel to localhost.*: .* 407 Proxy"),
            (b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 4\r\n\r\noops", "refused the tunnel.*502 Bad Gateway"),
            (b"garbage\r\n\r\n", "refused the tunnel.*: garbage"),
            (b"HTTP/1.1 OK\r\n\r\n", "refused the tunnel"),
            (b"HTTP/1.1\r\n\r\n", "refused the tunnel"),
            (b"HTTP/1.1 200 OK\r\n\r\nand more", "refused the tunnel"),
            (b"HTTP/1.1 200 OK\r\n", "broke off the CONNECT"),
            (b"", "broke off the CONNECT"),
            (b"HTTP/1.1 200 OK\r\nx: " + b"x" * connect.MAX_PROXY_HEAD_BYTES, "broke off the CONNECT"),
        ],
    )
    async def test_refused(self, client, tls_peer, proxy, answer, text):
        async def refuse():
            guest = await proxy.answer(answer)
            guest.sock.shutdown(socket.SHUT_WR)
            return guest

        refused, guest = await asyncio.gather(refusal(client, through(tls_peer, proxy)), refuse())
        assert refused.startswith(f"proxy {LOOPBACK}:{proxy.port} ")
        with pytest.raises(ConnectError, match=text):
            raise ConnectError(refused)
        assert await guest.end() == b""

    async def test_answer_in_pieces(self, client, tls_peer, proxy):
        async def refuse():
            guest = await proxy.accept()
            await guest.read_request()
            for byte in b"HTTP/1.1 403 Forbidden\r\n\r\n":
                await guest.send(bytes([byte]))
                await turns(2)

        text, _ = await asyncio.gather(refusal(client, through(tls_peer, proxy)), refuse())
        assert text.endswith("HTTP/1.1 403 Forbidden")

    async def test_silence(self, client, tls_peer, proxy):
        with pytest.raises(UpstreamTimeout, match="connect"):
            await ask(client, through(tls_peer, proxy), timeouts=HASTY)
        guest = await proxy.accept()
        assert (await guest.end()).startswith(b"CONNECT ")

    async def test_the_proxy_is_away(self, client, tls_peer, proxy):
        proxy.close()
        assert "no connection to localhost" in await refusal(client, through(tls_peer, proxy))


def open_sockets():
    """Those of this process, each by the kernel's number of it."""
    gc.collect()
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
    return {name for name in found if name.startswith("socket:")}


@on_both_loops
@pytest.mark.parametrize("way", ["plain", "tls", "tunnel"])
async def test_cancelled_at_any_turn(make_client, peer, tls_peer, proxy, way):
    """Nothing stays open, and the place in the pool is free again."""
    client = make_client(pool_limits=PoolLimits(max_connections=1))
    target = peer if way == "plain" else tls_peer
    origin = through(tls_peer, proxy) if way == "tunnel" else target.origin

    async def serve(guest):
        while True:
            await guest.answer()

    before = open_sockets()
    async with target.serving(serve), proxy.running():
        is_done, count = False, 0
        while not is_done:  # until a whole exchange fits in
            asking = asyncio.gather(ask_all(client, origin), return_exceptions=True)
            await turns(count)
            is_done, count = asking.done(), count + 1
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
            client.close()  # so that the next one connects too
        async with asyncio.timeout(TIME_LIMIT_S):
            assert await ask_all(client, origin) == (200, b"ok")
        assert client.connection_count == 1
        client.close()
        await turns()
        assert client.connection_count == 0
    for guest in target.guests + proxy.guests:
        guest.close()
    assert open_sockets() - before == set()  # some of an earlier test's may have gone meanwhile
