"""Requests and responses over real sockets, where they differ from uvicorn's; and the caller as the app watches it."""

import pytest

from fairlead.edge.cycle import Caller
from harness.listener import get, listening

EXPECTING = b"POST /%b HTTP/1.%d\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"


class TestCaller:
    def test_callback_is_called_once(self):
        calls = []
        caller = Caller(lambda: None, None)
        caller.on_gone(lambda: calls.append(caller.is_gone))
        assert not caller.is_gone
        caller.leave()
        caller.leave()
        assert calls == [True]

    def test_callback_is_called_at_once_if_the_client_has_left(self):
        calls = []
        caller = Caller(lambda: None, None)
        caller.leave()
        caller.on_gone(None)
        caller.on_gone(lambda: calls.append("gone"))
        assert calls == ["gone"]

    def test_none_drops_the_callback(self):
        caller = Caller(lambda: None, None)
        caller.on_gone(lambda: pytest.fail("dropped"))
        caller.on_gone(None)
        caller.leave()

    def test_nothing_happens_after_the_response(self):
        caller = Caller(lambda: pytest.fail("the connection serves the next request"), None)
        caller.on_gone(lambda: pytest.fail("dropped"))
        caller.release()
        caller.on_gone(lambda: pytest.fail("too late"))
        caller.abort()
        caller.leave()


@pytest.mark.anyio
class TestExpectation:
    async def test_100_is_sent_when_the_app_asks_for_the_body(self):
        async with listening() as listener:
            client = await listener.connect()
            await client.send(EXPECTING % (b"hold", 1))
            assert await listener.app.seen.get() == "begun"
            assert client.received == b""
            listener.app.release.set()
            await client.until(b"100 Continue")
            await client.send(b"body")
            interim, response = await client.responses(2)
            assert (interim.status, response.status) == (100, 200)
            assert response.body == b"POST /hold body"
            assert "connection" not in response.headers

    async def test_no_100_follows_an_answer_and_the_connection_ends(self):
        """The client need not send the body now, so that what it sends next could be body or request."""
        async with listening() as listener:
            (response,) = await listener.exchange(EXPECTING % (b"early", 1))
        assert response.body == b"early"
        assert response.headers["connection"] == "close"

    async def test_no_100_is_sent_for_a_body_that_is_coming_already(self):
        async with listening() as listener:
            client = await listener.connect()
            await client.send(EXPECTING % (b"echo", 1) + b"body")
            (response,) = await client.responses(1)
            assert response.body == b"POST /echo body"

    async def test_no_100_follows_a_refusal(self):
        """Our side has been closed by then; and the app, which begins later, asks for the body all the same."""
        expecting = get("/echo", "Transfer-Encoding: chunked", "Expect: 100-continue").replace(b"GET", b"POST", 1)
        async with listening() as listener:
            client = await listener.connect()
            await client.send(expecting + b"ZZ\r\n")
            assert [response.status for response in await client.responses()] == [400]
            assert await listener.app.seen.get() == "begun"

    async def test_http_1_0_knows_no_100(self):
        async with listening() as listener:
            client = await listener.connect()
            await client.send(EXPECTING % (b"echo", 0))
            assert await listener.app.seen.get() == "begun"
            await client.send(b"body")
            assert [response.status for response in await client.responses()] == [200]

    @pytest.mark.parametrize("is_asked_first", [False, True])
    async def test_drain_closes_after_a_100_too(self, is_asked_first):
        async with listening() as listener:
            client = await listener.connect()
            await client.send(EXPECTING % (b"echo" if is_asked_first else b"hold", 1))
            assert await listener.app.seen.get() == "begun"
            if is_asked_first:
                await client.until(b"100 Continue")
            listener.protocol.drain()
            listener.app.release.set()
            await client.send(b"body")
            response = (await client.responses())[-1]
            assert response.headers["connection"] == "close"


@pytest.mark.anyio
class TestHttp10:
    @pytest.mark.parametrize("fields", [b"", b"Host: x\r\n", b"Connection: keep-alive\r\n"])
    async def test_connection_ends_with_the_response(self, fields):
        async with listening() as listener:
            (response,) = await listener.exchange(b"GET /a HTTP/1.0\r\n" + fields + b"\r\n")
        assert response.body == b"GET /a "
        assert response.headers["connection"] == "close"
        assert response.headers["content-length"] == "7"
        assert listener.app.scopes[0]["http_version"] == "1.0"

    async def test_body_without_a_length_is_not_chunked(self):
        async with listening() as listener:
            client = await listener.connect()
            await client.send(b"GET /chunked HTTP/1.0\r\n\r\n")
            (response,) = await client.responses()
            assert response.body == b"one two"
            assert "transfer-encoding" not in response.headers
            assert not client.was_reset

    @pytest.mark.parametrize("path", [b"/abort", b"/unfinished"])
    async def test_body_cut_short_ends_by_a_reset(self, path):
        async with listening() as listener:
            client = await listener.connect()
            await client.send(b"GET %b HTTP/1.0\r\n\r\n" % path)
            await client.responses()
            assert client.was_reset


@pytest.mark.anyio
@pytest.mark.parametrize("path", [b"/abort", b"/unfinished"])
async def test_response_cut_short_lacks_its_last_chunk(path):
    async with listening() as listener:
        (response,) = await listener.exchange(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
    assert response.body == b"begun"
    assert not response.is_complete


@pytest.mark.anyio
async def test_coding_is_named_once_even_if_the_app_names_it():
    async with listening() as listener:
        client = await listener.connect()
        await client.send(b"GET /chunked HTTP/1.1\r\nHost: x\r\n\r\n")
        (response,) = await client.responses(1)
        assert response.body == b"one two"
        assert client.received.count(b"transfer-encoding: chunked\r\n") == 1
