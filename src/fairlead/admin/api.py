"""The routes under /admin/v1. Every one of them wants the admin key.

GET /admin/v1/endpoints   what the whole fleet knows of each endpoint and provider, asked of any worker; the shape is in
                          `view.py`. `?active=1` leaves out endpoints of which nothing has been heard.
GET /admin/v1/events      changes of state as server-sent events, from now on; the shape is in `events.py`. They have no
                          ids, and `Last-Event-ID` changes nothing: what was missed is in /admin/v1/endpoints. A comment
                          comes every 15 s. `dropped` says how many events a slow reader has lost; `end` that this
                          worker leaves, and that the next connection will find another.
"""

import asyncio

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairlead.admin.door import Door
from fairlead.admin.events import Feed, event_bytes
from fairlead.admin.fleet import Fleet
from fairlead.admin.view import fleet_view
from fairlead.edge.downstream import HttpDownstream, Receive, Scope, Send
from fairlead.edge.drain import Drain

BASE = "/admin/v1"
PING_S = 15.0
"""Less than any proxy's patience with a silent connection."""

_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would keep events back
]
_OPENING = b"retry: 1000\n\n"
"""For EventSource, in milliseconds. Something has to be sent at once: the head goes with it."""
_PING = b": ping\n\n"
_END = event_bytes("end", {"why": "this worker is leaving"})
_OFF = ("0", "false", "no", "off")


def admin_routes(door: Door, fleet: Fleet, feed: Feed, drain: Drain, *, ping_s: float = PING_S) -> list[Route]:
    """Return the routes; a silent stream has a comment every `ping_s`."""

    async def endpoints(request: Request) -> Response:
        door.check(request.scope["headers"])
        is_active_only = request.query_params.get("active", "0").lower() not in _OFF
        view = fleet_view(await fleet.look(), is_active_only=is_active_only)
        return Response(orjson.dumps(view), 200, {"cache-control": "no-store"}, "application/json")

    return [
        Route(f"{BASE}/endpoints", endpoints, methods=["GET"]),
        Route(f"{BASE}/events", EventStream(door, feed, drain, ping_s), methods=["GET"]),
    ]


class EventStream:
    """ASGI handler of the event stream. It ends when the listener leaves, or the worker does."""

    def __init__(self, door: Door, feed: Feed, drain: Drain, ping_s: float) -> None:
        self._door = door
        self._feed = feed
        self._drain = drain
        self._ping_s = ping_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._door.check(scope["headers"])
        downstream = HttpDownstream(scope)
        try:
            self._drain.enter_endless(downstream)
            downstream.start(200, _HEADERS)
            if scope["method"] == "HEAD":
                downstream.write(b"", is_last=True)
            else:
                await self._tell(downstream)
        except asyncio.CancelledError:
            if downstream.is_expired and downstream.is_slow:
                downstream.abort()  # the last words would wait as long as the others
            elif downstream.is_expired:
                downstream.write(_END, is_last=True)
            elif not downstream.is_gone:
                raise
        finally:
            self._drain.leave(downstream)
            downstream.close()

    async def _tell(self, downstream: HttpDownstream) -> None:
        listener = self._feed.join()
        try:
            downstream.write(_OPENING, is_last=False)
            while True:
                await downstream.drained()
                downstream.write(await listener.take(self._ping_s) or _PING, is_last=False)
        finally:
            self._feed.leave(listener)
