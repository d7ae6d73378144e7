"""A client, and providers to ask: plain and TLS."""

import socket
import ssl

import pytest
import trustme

from fairlead.upstream.client import UpstreamClient
from upstream.peer import LOOPBACK, Peer, reset, turns


@pytest.fixture(scope="session")
def ca():
    return trustme.CA()


@pytest.fixture(scope="session")
def make_server_context(ca):
    """A function that makes the TLS side of a provider from a certificate."""

    def make(certificate=None):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.set_alpn_protocols(["h2", "http/1.1"])
        (certificate or ca.issue_cert("localhost", "127.0.0.1")).configure_cert(context)
        return context

    return make


@pytest.fixture(scope="session")
def client_context(ca):
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    ca.configure_trust(context)
    return context


@pytest.fixture
def peer():
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def tls_peer(make_server_context):
    peer = Peer(make_server_context(), name="localhost")
    yield peer
    peer.close()


@pytest.fixture(params=["plain", "tls"])
def any_peer(request):
    """The test runs against a plain provider, and against one behind TLS."""
    return request.getfixturevalue("peer" if request.param == "plain" else "tls_peer")


@pytest.fixture
async def make_client(client_context):
    """A function that makes clients, all closed at the end."""
    clients = []

    def make(**options):
        clients.append(UpstreamClient(client_context, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
    await turns()


@pytest.fixture
async def client(make_client):
    return make_client()


class TcpPair:
    """Two ends of a real connection, with no loop between."""

    def __init__(self):
        with socket.create_server((LOOPBACK, 0)) as listener:
            self.ours = socket.create_connection(listener.getsockname())
            self.theirs, _ = listener.accept()
        for sock in (self.ours, self.theirs):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def answer(self, data):
        """Send from their side, and let ours read it."""
        self.theirs.sendall(data)
        assert self.ours.recv(len(data)) == data

    def send(self, data):
        """Send, and let the other side read it."""
        self.ours.sendall(data)
        while data:
            data = data[len(self.theirs.recv(len(data))) :]

    def close(self):
        self.theirs.close()

    def reset(self):
        reset(self.theirs)


@pytest.fixture
def tcp_pair():
    pair = TcpPair()
    yield pair
    pair.ours.close()
    pair.close()
