import asyncio
import contextlib
import gzip
import json

import pytest

from fairlead.catalog.model import Provider
from fairlead.demo import DEMO_PROVIDERS, Script, Simulator
from fairlead.errors import ConfigError, ConnectError, ProtocolError, UpstreamError
from fairlead.upstream import discovery
from fairlead.upstream.client import UpstreamClient
from fairlead.upstream.connect import tls_context
from fairlead.upstream.discovery import fetch_models
from fairlead.upstream.dispatch import ProxyRule
from fairlead.upstream.origin import Proxy

pytestmark = pytest.mark.anyio

DIRECT = ProxyRule()
SECRETS = ("sk-up-secret", "team-secret", "cHJveHktc2VjcmV0")


def provider(base_url, **members):
    return Provider(
        "acme", "Acme", base_url, **{"api_key": "sk-up-secret", "headers": {"X-Team": "team-secret"}, **members}
    )


async def fetch(asked, rule=DIRECT):
    """Return once no connection is left, either: without being told, the client would keep some."""
    client = UpstreamClient(tls_context())
    async with asyncio.timeout(10):
        try:
            return await fetch_models(client, asked, rule)
        finally:
            while client.connection_count:
                await asyncio.sleep(0)


async def failure(asked, kind, rule=DIRECT):
    with pytest.raises(UpstreamError) as caught:
        await fetch(asked, rule)
    assert type(caught.value) is kind
    assert not any(secret in str(caught.value) for secret in SECRETS)
    return str(caught.value)


@contextlib.asynccontextmanager
async def server(*parts, keep_open=False, endless=b""):
    """A server that answers any request with `parts`; yields its base URL and what it was sent."""
    heads, left = [], asyncio.Event()

    async def answer(reader, writer):
        with contextlib.suppress(ConnectionError):
            heads.append(await reader.read(65_536))
            for part in parts:
                writer.write(part)
            while endless:
                writer.write(endless)
                await writer.drain()
            if keep_open:
                await reader.read()
        writer.close()
        left.set()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1", heads
        if heads:
            await left.wait()
    finally:
        listener.close()
        await listener.wait_closed()


def reply(status, body=b"", *lines):
    head = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", "connection: close", *lines]
    return "\r\n".join([*head, "", ""]).encode() + body


class TestList:
    async def test_it_comes_as_it_was_sent(self):
        async with Simulator(DEMO_PROVIDERS[0]) as simulator:
            listing = json.loads(await fetch(provider(simulator.base_url)))
            assert listing["object"] == "list"
            assert listing["data"]
            (request,) = simulator.requests
        assert (request.method, request.path) == ("GET", "/v1/models")
        assert request.header("authorization") == "Bearer sk-up-secret"
        assert request.header("x-team") == "team-secret"

    async def test_exactly(self):
        body = b'{"data": [ ], "n": 123456789012345678901234567890}\n'
        async with server(reply(200, body)) as (base_url, _):
            assert await fetch(provider(base_url)) == body

    async def test_compressed(self):
        body = gzip.compress(b'{"data":[]}')
        async with server(reply(200, body, "content-encoding: gzip")) as (base_url, _):
            assert await fetch(provider(base_url)) == b'{"data":[]}'

    async def test_another_header_for_the_key(self):
        async with server(reply(200, b"{}")) as (base_url, heads):
            await fetch(provider(base_url, auth_header="Api-Key", headers={"API-KEY": "team-secret"}))
        assert heads[0].lower().count(b"api-key: ") == 1
        assert b"authorization" not in heads[0].lower()

    async def test_no_key(self):
        async with server(reply(200, b"{}")) as (base_url, heads):
            await fetch(provider(base_url, api_key=None))
        assert b"authorization" not in heads[0].lower()


class TestRefusals:
    @pytest.mark.parametrize("status", [201, 204, 400, 401, 403, 404, 429, 500, 503])
    async def test_any_other_status(self, status):
        async with server(reply(status, b"" if status == 204 else b"sk-up-secret")) as (base_url, _):
            assert await failure(provider(base_url), ProtocolError) == f"GET {base_url}/models answered {status}"

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_redirects_are_not_followed(self, status):
        async with server(reply(200, b"{}")) as (elsewhere, asked):
            async with server(reply(status, b"", f"location: {elsewhere}/models")) as (base_url, _):
                assert f"answered {status}" in await failure(provider(base_url), ProtocolError)
            assert asked == []

    async def test_a_scripted_provider(self):
        async with Simulator(script=Script(status=401)) as simulator:
            assert "answered 401" in await failure(provider(simulator.base_url), ProtocolError)

    async def test_what_cannot_be_a_header(self):
        with pytest.raises(ConfigError):
            await fetch(provider("http://127.0.0.1:1/v1", api_key="sk\r\nx: y"))


class TestBounds:
    async def test_too_large_by_its_length(self, monkeypatch):
        monkeypatch.setattr(discovery, "MAX_LISTING_BYTES", 1000)
        async with server(reply(200, b"x" * 1001)) as (base_url, _):
            assert "larger than 1000 bytes" in await failure(provider(base_url), ProtocolError)

    async def test_just_small_enough(self, monkeypatch):
        monkeypatch.setattr(discovery, "MAX_LISTING_BYTES", 1000)
        async with server(reply(200, b"x" * 1000)) as (base_url, _):
            assert len(await fetch(provider(base_url))) == 1000

    async def test_endless(self, monkeypatch):
        monkeypatch.setattr(discovery, "MAX_LISTING_BYTES", 100_000)
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        async with server(head, endless=b"1000\r\n" + b"x" * 4096 + b"\r\n") as (base_url, _):
            assert "larger than 100000 bytes" in await failure(provider(base_url), ProtocolError)

    async def test_a_bomb(self):
        bomb = gzip.compress(b"x" * (discovery.MAX_LISTING_BYTES + 1))
        async with server(reply(200, bomb, "content-encoding: gzip")) as (base_url, _):
            assert "larger than" in await failure(provider(base_url), ProtocolError)

    @pytest.mark.parametrize(
        "parts", [(), (b"HTTP/1.1 200 OK\r\n",), (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", b"{")]
    )
    async def test_slow(self, parts, monkeypatch):
        monkeypatch.setattr(discovery, "TIMEOUT_S", 0.05)
        async with server(*parts, keep_open=True) as (base_url, _):
            assert await failure(provider(base_url), ConnectError) == f"GET {base_url}/models: no answer within 0.05 s"


class TestTroubles:
    @pytest.mark.parametrize(
        "parts",
        [
            (),
            (b"nonsense\r\n\r\n",),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", b"{"),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",),
            (reply(200, b"not gzip", "content-encoding: gzip"),),
            (reply(200, b"x", "content-encoding: sk-up-secret"),),
            (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",),
        ],
    )
    async def test_broken_replies(self, parts):
        async with server(*parts) as (base_url, _):
            if b"content-encoding: sk" in b"".join(parts):
                assert await fetch(provider(base_url)) == b"x"
            else:
                await failure(provider(base_url), ConnectError)

    async def test_nobody_there(self):
        async with server() as (base_url, _):
            pass
        address = base_url.removeprefix("http://").removesuffix("/v1")
        told = await failure(provider(base_url), ConnectError)
        assert told.startswith(f"GET {base_url}/models: no connection to {address}: ")  # and why, in the loop's words

    async def test_tls_that_is_none(self):
        async with server(reply(200, b"{}"), keep_open=True) as (base_url, _):
            await failure(provider(base_url.replace("http:", "https:")), ConnectError)


class TestProxy:
    async def test_it_learns_where_to_and_nothing_else(self):
        async with server(reply(403)) as (base_url, heads):
            host, _, port = base_url.removeprefix("http://").removesuffix("/v1").partition(":")
            rule = ProxyRule(Proxy(host, int(port), "Basic cHJveHktc2VjcmV0"))
            await failure(provider("https://api.acme.example/v1"), ConnectError, rule)
        (head,) = heads
        assert head.startswith(b"CONNECT api.acme.example:443 HTTP/1.1\r\n")
        assert b"proxy-authorization: basic chjvehktc2vjcmv0\r\n" in head.lower()
        assert b"sk-up-secret" not in head
        assert b"team-secret" not in head

    async def test_loopback_and_plain_http_do_without_it(self):
        async with server(reply(200, b"{}")) as (base_url, heads):
            rule = ProxyRule(Proxy("127.0.0.1", 1))
            assert await fetch(provider(base_url), rule) == b"{}"
        assert heads[0].startswith(b"GET /v1/models HTTP/1.1")
