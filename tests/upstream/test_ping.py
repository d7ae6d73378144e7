import asyncio
import contextlib
import socket
import ssl

import aiohttp
import pytest
import trustme

from fairlead.catalog.model import Provider
from fairlead.demo import DEMO_PROVIDERS, Script, Simulator
from fairlead.upstream.connect import tls_context
from fairlead.upstream.dispatch import ProxyRule
from fairlead.upstream.origin import Proxy
from fairlead.upstream.ping import Pinged, fault_of, ping

pytestmark = pytest.mark.anyio

KEY = "sk-up-secret"
LONG_S = 10.0
LIST = b'{"object":"list","data":[{"id":"a"},{"id":"b"}]}'


async def asked(base_url, *, timeout_s=LONG_S, rule=None, **members):
    provider = Provider("acme", "Acme", base_url, **{"api_key": KEY, **members})
    async with aiohttp.ClientSession() as session:
        return await ping(session, tls_context(), provider, rule or ProxyRule(), timeout_s)


@contextlib.asynccontextmanager
async def server(answer_to, tls=None):
    """Answers by what it is sent; yields its base URL. None: it stays silent."""
    ended = asyncio.Event()

    async def answer(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            told = answer_to(await reader.readuntil(b"\r\n\r\n"))
            if told is None:
                await ended.wait()
            else:
                writer.write(told)
        writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    try:
        scheme = "https" if tls else "http"
        yield f"{scheme}://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
    finally:
        ended.set()
        listener.close()
        await listener.wait_closed()


def reply(status, body=b""):
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (status, len(body), body)


def for_the_key(head):
    return reply(200, LIST) if KEY.encode() in head else reply(401)


async def test_a_provider_that_wants_a_key_and_takes_this_one():
    async with server(for_the_key) as url:
        found = await asked(url)
    assert (found.status, found.fault, found.models, found.is_key_known) == (200, None, 2, True)


async def test_a_list_that_anybody_gets_says_nothing_of_the_key():
    async with server(lambda _: reply(200, LIST)) as url:
        assert not (await asked(url)).is_key_known


async def test_without_a_key_it_is_asked_once():
    async with Simulator(DEMO_PROVIDERS[0]) as simulator:
        found = await asked(simulator.base_url, api_key=None)
        assert len(simulator.requests) == 1
    assert (found.status, found.models, found.is_key_known) == (200, len(DEMO_PROVIDERS[0].models), False)


@pytest.mark.parametrize("status", [302, 401, 402, 404, 429, 500, 503])
async def test_any_other_status_is_told(status):
    async with Simulator(script=Script(status=status)) as simulator:
        found = await asked(simulator.base_url)
    assert (found.status, found.models, found.is_key_known) == (status, None, False)


async def test_what_is_no_list():
    async with server(lambda _: reply(200, b"<html>Welcome</html>")) as url:
        found = await asked(url)
    assert (found.status, found.models) == (200, None)


async def test_silence_has_an_end():
    async with server(lambda _: None) as url:
        found = await asked(url, timeout_s=0.05)
    assert (found.status, found.fault) == (0, "timeout")


async def test_nobody_listens():
    with socket.socket() as held:  # bound and not listening: nobody else can take the port
        held.bind(("127.0.0.1", 0))
        assert (await asked(f"http://127.0.0.1:{held.getsockname()[1]}/v1")).fault == "refused"


async def test_a_proxy_that_is_not_there():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        rule = ProxyRule(Proxy("127.0.0.1", held.getsockname()[1]))
        assert (await asked("https://api.acme.example/v1", rule=rule)).fault == "proxy"


async def test_an_authority_that_nobody_trusts():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with server(for_the_key, context) as url:
        assert (await asked(url)).fault == "certificate"


async def test_what_is_not_http():
    async with server(lambda _: b"SSH-2.0-OpenSSH_9.9\r\n") as url:
        assert (await asked(url)).fault == "broken"


def test_a_host_that_nobody_knows():
    key = aiohttp.client_reqrep.ConnectionKey("nowhere.example", 443, True, True, None, None, None)
    assert fault_of(aiohttp.ClientConnectorDNSError(key, OSError("not known"))) == "name"


def test_nothing_in_it_is_the_provider_s_own_word():
    assert set(Pinged.__slots__) == {"seconds", "status", "fault", "models", "is_key_known"}
