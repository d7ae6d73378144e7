import pytest

from fairlead import __version__
from fairlead.edge.asgi import App
from fairlead.edge.status import status_routes
from harness.gateway import gateway
from harness.http import ask, chat_body

pytestmark = pytest.mark.anyio

READY = ["/readyz", "/healthz", "/health"]


async def get(served, path, **options):
    answer = await ask(served, b"", path=path, method="GET", key=None, **options)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    return answer


@pytest.mark.parametrize("path", ["/livez", *READY])
async def test_nobody_needs_a_key_and_no_provider_is_asked(path):
    async with gateway() as served:  # there is no provider
        answer = await get(served, path)
        assert answer.status == 200
        assert answer.json == {"status": "alive" if path == "/livez" else "ready"}
        assert served.records == []


@pytest.mark.parametrize("path", READY)
async def test_a_gateway_that_drains_is_not_ready(path):
    async with gateway() as served:
        served.drain.begin()
        answer = await get(served, path)
        assert (answer.status, answer.json) == (503, {"status": "draining"})


async def test_a_gateway_that_drains_is_alive():
    async with gateway() as served:
        served.drain.begin()
        assert (await get(served, "/livez")).json == {"status": "alive"}


@pytest.mark.parametrize("query", ["verbose", "verbose=1", "verbose="])
@pytest.mark.parametrize("is_draining", [False, True])
async def test_more_is_told_to_who_asks_for_it(query, is_draining):
    async with gateway() as served:
        routes = status_routes(served.drain, lambda: {"providers": 3})
        served.server.config.loaded_app = App({}, routes, None)
        served.drain.enter(object())
        if is_draining:
            served.drain.begin()
        answer = await get(served, f"/readyz?{query}")
        assert answer.status == (503 if is_draining else 200)
        assert answer.json == {
            "status": "draining" if is_draining else "ready",
            "version": __version__,
            "in_flight": 1,
            "providers": 3,
        }


async def test_what_comes_while_it_drains_is_served_all_the_same():
    async with gateway() as served:
        served.drain.begin()
        assert (await ask(served, chat_body(), key="sk-wrong")).status == 401
