"""The routes on a real connection."""

import asyncio
import contextlib
import json

import pytest

from fairlead.access.keys import generate
from fairlead.admin.api import admin_routes
from fairlead.admin.door import Door
from fairlead.admin.events import MAX_WAITING, Feed
from fairlead.admin.fleet import Fleet
from fairlead.edge.asgi import App
from fairlead.edge.drain import Drain
from fairlead.health.board import HealthBoard
from fairlead.health.breaker import BreakerLimits
from fairlead.health.percentiles import Percentiles
from fairlead.health.record import Change
from fairlead.store.health import HealthStore
from fairlead.store.percentiles import PercentileStore
from fairlead.store.redis import connect
from harness.listener import get, listening

from .catalogues import catalogue

pytestmark = pytest.mark.anyio

KEY = "sk-fl-admin-v1-" + "0f" * 32
BEARER = f"authorization: Bearer {KEY}"
EVENTS, ENDPOINTS = "/admin/v1/events", "/admin/v1/endpoints"


class Served:
    """The routes, served; the store cannot be reached."""

    def __init__(self, ping_s):
        self.feed, self.drain = Feed(), Drain()
        client = connect("unix:///nonexistent.sock")
        self.board = HealthBoard(BreakerLimits())
        fleet = Fleet(
            self.board,
            HealthStore(client, BreakerLimits()),
            Percentiles(self.board, "w"),
            PercentileStore(client),
            lambda: catalogue(large=["a", "b"]),
        )
        door = Door(KEY, lambda token: False)
        self.app = App({}, admin_routes(door, fleet, self.feed, self.drain, ping_s=ping_s), None)

    async def ask(self, path, *fields, method="GET"):
        client = await self.listener.connect()
        await client.send(get(path, *fields).replace(b"GET", method.encode(), 1))
        if method == "HEAD":
            await client.until(b"\r\n\r\n")
            return client
        (answer,) = await client.responses(1)
        return answer

    async def listen(self):
        """A client that has joined."""
        client = await self.listener.connect()
        joined = self.feed.count
        await client.send(get(EVENTS, BEARER))
        await client.until(b"retry: ")
        assert self.feed.count == joined + 1
        return client

    async def until(self, condition):
        while not condition():
            await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def served(ping_s=60.0):
    async with listening() as listener:
        it = Served(ping_s)
        it.listener = listener
        listener.app.admin = it.app
        yield it


def change(n, name="acme/large"):
    return Change(name, f"lab:{name}", "ejected", float(n), 1, n)


@pytest.mark.parametrize("path", [ENDPOINTS, EVENTS])
async def test_nothing_opens_without_the_admin_key(path):
    async with served() as it:
        for fields, status, kind in [
            ((), 401, "authentication_error"),
            ((f"authorization: Bearer {generate()}",), 403, "permission_error"),
            (("x-api-key: guess",), 401, "authentication_error"),
        ]:
            answer = await it.ask(path, *fields)
            assert (answer.status, answer.error["type"], answer.error["code"]) == (status, kind, status)
            assert "send the admin key" in answer.error["message"]
        assert it.feed.count == 0


@pytest.mark.parametrize("path", [ENDPOINTS, EVENTS])
async def test_other_methods_are_refused(path):
    async with served() as it:
        answer = await it.ask(path, BEARER, "content-length: 0", method="POST")
        assert (answer.status, set(answer.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})


async def test_endpoints_are_told_as_json():
    async with served() as it:
        answer = await it.ask(ENDPOINTS, f"x-api-key: {KEY}")
        assert answer.status == 200
        assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("application/json", "no-store")
        found = json.loads(answer.body)
        assert found["store"] == "away"
        assert [row["id"] for row in found["endpoints"]] == ["a:acme/large", "b:acme/large"]
        assert [row["provider"] for row in found["providers"]] == ["a", "b"]


@pytest.mark.parametrize(("query", "count"), [("active=1", 0), ("active", 0), ("active=0", 2), ("active=false", 2)])
async def test_those_never_used_can_be_left_out(query, count):
    async with served() as it:
        answer = await it.ask(f"{ENDPOINTS}?{query}", BEARER)
        assert len(json.loads(answer.body)["endpoints"]) == count


async def test_events_come_as_they_happen_once_to_each():
    async with served() as it:
        it.feed.tell(change(0))
        one, other = await it.listen(), await it.listen()
        it.feed.tell(change(1))
        for client in (one, other):
            await client.until(b"\n\n\r\n")
            await client.until(b'"seconds":1.0')
        it.feed.tell(change(2))
        for client in (one, other):
            await client.until(b'"seconds":2.0')
            (answer,) = client.cutter.responses
            assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
            assert answer.headers["x-accel-buffering"] == "no"
            assert answer.body.count(b"event: ejected\ndata: {") == 2
            assert not answer.is_complete


async def test_silence_is_broken_by_comments():
    async with served(ping_s=0.01) as it:
        client = await it.listen()
        await client.until(b": ping\n\n\r\n")
        it.feed.tell(change(1))
        await client.until(b"event: ejected")


@pytest.mark.parametrize("leave", ["half_close", "reset"])
async def test_who_leaves_is_forgotten(leave):
    async with served() as it:
        client, other = await it.listen(), await it.listen()
        getattr(client, leave)()
        await it.until(lambda: it.feed.count == 1)
        it.feed.tell(change(1))
        await other.until(b'"seconds":1.0')
        await it.until(lambda: len(it.listener.server.server_state.tasks) == 1)


async def test_a_worker_that_leaves_says_so_and_takes_no_new_listeners():
    async with served() as it:
        client, other = await it.listen(), await it.listen()
        it.feed.tell(change(1))
        it.drain.end_endless()
        for each in (client, other):
            (answer,) = await each.responses(1)
            assert answer.body.endswith(b'event: end\ndata: {"why":"this worker is leaving"}\n\n')
        assert it.feed.count == 0
        assert it.drain.in_flight == 0
        late = await it.ask(EVENTS, BEARER)
        assert (late.status, late.headers["retry-after"]) == (503, "1")
        assert (await it.ask(ENDPOINTS, BEARER)).status == 200


async def flood(it):
    """Tell more than the client's and the server's kernels hold, so that events have to be dropped."""
    for n in range(30 * MAX_WAITING):
        it.feed.tell(change(n, name="acme/" + "m" * 2_000))
        if n % (MAX_WAITING // 2) == 0:
            await asyncio.sleep(0)


async def test_who_reads_slowly_loses_events_and_is_told():
    async with served() as it:
        client, quick = await it.listen(), await it.listen()
        client.reader._transport.pause_reading()
        await flood(it)
        held = sum(
            connection.transport.get_write_buffer_size() for connection in it.listener.protocol.sweep.connections
        )
        assert held < 2 * MAX_WAITING * 5_000
        client.reader._transport.resume_reading()
        await client.until(b"event: dropped")
        it.feed.tell(change(7))
        await client.until(b'"seconds":7.0')
        await quick.until(b'"seconds":7.0')


async def test_who_does_not_read_keeps_no_worker_from_leaving():
    async with served() as it:
        client = await it.listen()
        client.reader._transport.pause_reading()
        await flood(it)
        it.drain.end_endless()
        await it.until(lambda: not it.listener.server.server_state.tasks)
        assert it.feed.count == 0


async def test_head_ends():
    async with served() as it:
        client = await it.ask(EVENTS, BEARER, method="HEAD")
        assert b"text/event-stream" in client.received
        assert it.feed.count == 0
        await client.send(get(ENDPOINTS, BEARER))
        await client.until(b"providers")
