"""The paths there are, and what is said of all others."""

import asyncio
from ipaddress import ip_network

import pytest
from starlette.responses import Response
from starlette.routing import Route

from fairlead.demo.script import Script
from fairlead.edge.asgi import BASES, App
from fairlead.edge.brake import BURST, Brake
from fairlead.errors import ApiError
from harness.gateway import gateway
from harness.http import ask, chat_body, read_answer, request_bytes

pytestmark = pytest.mark.anyio


async def ask_app(app, path, method="GET"):
    async with gateway() as served:
        served.server.config.loaded_app = app
        return await ask(served, b"", path=path, method=method)


@pytest.mark.parametrize("base", BASES)
async def test_each_base_leads_to_the_same_handlers(base):
    async with gateway(Script(text="hello")) as served:
        answer = await ask(served, chat_body(), path=f"{base}/chat/completions")
        assert answer.json["choices"][0]["message"]["content"] == "hello"
        listing = await ask(served, b"", path=f"{base}/models", method="GET")
        assert [model["id"] for model in listing.json["data"]] == ["acme/large"]
        assert len(served.records) == 1


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_an_unknown_path_is_told_where_the_api_is(method):
    async with gateway() as served:
        for path in ("/", "/chat/completions", "/v1", "/v2/models", "/v1/chat/completions/x", "//v1/models"):
            answer = await ask(served, b"", path=path, method=method)
            assert answer.status == 404
            error = answer.json["error"]
            assert error["message"].startswith(f"404 page not found: {path}. ")
            assert all(base in error["message"] for base in BASES)
            assert (error["code"], error["metadata"]["error_type"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/v1/chat/completions/", "/v1/models/", "/livez/"])
async def test_a_trailing_slash_is_not_redirected(path):
    """A client that follows would repeat its POST as a GET."""
    async with gateway() as served:
        for method in ("GET", "POST"):
            answer = await ask(served, b"", path=path, method=method)
            assert answer.status in (404, 405)
            assert "location" not in answer.headers


@pytest.mark.parametrize("base", BASES)
async def test_the_hot_path_takes_nothing_but_post(base):
    async with gateway() as served:
        for method in ("GET", "PUT", "DELETE", "OPTIONS", "PATCH"):
            answer = await ask(served, b"", path=f"{base}/chat/completions", method=method)
            assert (answer.status, answer.headers["allow"]) == (405, "POST")
            assert answer.json["error"]["message"] == f"{method} is not allowed on {base}/chat/completions: use POST"
        assert served.records == []


async def test_a_head_request_on_the_hot_path_has_no_body():
    async with gateway() as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request_bytes(b"", method="HEAD") + request_bytes(b"", path="/livez", method="GET"))
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 405 ")
            assert b"allow: POST\r\n" in head
            assert (await read_answer(reader)).json == {"status": "alive"}
        writer.close()


@pytest.mark.parametrize("path", ["/livez", "/v1/models"])
async def test_other_paths_say_what_they_take(path):
    async with gateway() as served:
        answer = await ask(served, b"", path=path, method="POST")
        assert answer.status == 405
        assert sorted(answer.headers["allow"].split(", ")) == ["GET", "HEAD"]
        assert answer.json["error"]["code"] == 405


async def test_a_path_is_judged_as_it_was_routed():
    """A URL would lose its line breaks, and be the path of the API after all."""
    async with gateway() as served:
        for ending in ("%0A", "%09", "%0D", "%3F", "%23", "%20", "%00", "%FF"):
            answer = await ask(served, chat_body(), path=f"/v1/chat/completions{ending}")
            assert answer.status == 404
            for path in ("/livez", "/v1/models"):
                assert (await ask(served, b"", path=f"{path}{ending}", method="GET")).status == 404


async def test_a_fault_of_ours_is_masked(caplog):
    def fail(_):
        raise ZeroDivisionError("secret of the house")

    answer = await ask_app(App({}, [Route("/fail", fail)], None), "/fail")
    assert answer.status == 500
    assert answer.json["error"] == {
        "message": "Internal error",
        "type": "server_error",
        "param": None,
        "code": 500,
        "metadata": {"error_type": "server"},
    }
    assert b"secret" not in answer.body
    [record] = caplog.records  # it is told to the operator
    assert isinstance(record.exc_info[1], ZeroDivisionError)


async def test_a_refusal_by_a_route_is_answered_as_it_says():
    def refuse(_):
        raise ApiError(429, "Not so fast", error_type="rate_limit_exceeded", headers={"retry-after": "7"})

    answer = await ask_app(App({}, [Route("/refuse", refuse)], None), "/refuse")
    assert (answer.status, answer.headers["retry-after"]) == (429, "7")
    assert answer.json["error"]["message"] == "Not so fast"


async def test_a_hot_handler_gets_what_the_server_gave():
    calls = []

    async def handler(*arguments):
        calls.append(arguments)

    app = App({"/hot": handler}, [], None)
    scope, receive, send = {"type": "http", "method": "POST", "path": "/hot"}, object(), object()
    await app(scope, receive, send)
    assert calls == [(scope, receive, send)]


class TestBrake:
    """Keys that are guessed on routes that are not hot."""

    KEYS = frozenset((b"good", b"admin"))

    @pytest.fixture
    def app(self):
        async def show(request):
            if request.headers["authorization"].removeprefix("Bearer ").encode() not in self.KEYS:
                raise ApiError(401, "Unknown API key", error_type="authentication")
            return Response("shown")

        async def consent(_):
            raise ApiError(401, "Unknown API key", error_type="authentication")

        routes = [Route("/v1/models", show), Route("/auth", consent, methods=["POST"])]
        return App({}, routes, None, Brake((ip_network("127.0.0.0/8"),)), lambda token: token == b"good")

    async def statuses(self, served, key, address, count=1, **options):
        asked = {"path": "/v1/models", "method": "GET", **options}
        fields = [("x-forwarded-for", address)]
        return [(await ask(served, b"", key=key, headers=fields, **asked)).status for _ in range(count)]

    async def test_it_slows_down_who_guesses_and_no_caller_beside(self, app):
        async with gateway() as served:
            served.server.config.loaded_app = app
            guesses = await self.statuses(served, "wrong", "192.0.2.1", BURST + 3)
            assert guesses == [401] * (BURST + 1) + [429, 429]
            assert await self.statuses(served, "good", "192.0.2.1", 3) == [200] * 3
            assert await self.statuses(served, "admin", "192.0.2.1") == [429], "it might be one more guess"
            assert await self.statuses(served, "admin", "192.0.2.2") == [200]

    async def test_a_known_key_does_not_help_to_guess_in_a_form(self, app):
        async with gateway() as served:
            served.server.config.loaded_app = app
            form = {"path": "/auth", "method": "POST"}
            guesses = await self.statuses(served, "good", "192.0.2.1", BURST + 2, **form)
            assert guesses == [401] * (BURST + 1) + [429]
