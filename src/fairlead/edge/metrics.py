"""`/metrics`: one scrape, of any worker, for all of them (names and units in `telemetry/metrics.py`).

Without a key, like the health checks: no key, no id, nothing that a caller wrote. While the store is away it tells what
the workers know, and that the store is away.
"""

import asyncio
import platform
from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairlead import __version__
from fairlead.errors import ApiError
from fairlead.store.keys import answered
from fairlead.telemetry import metrics
from fairlead.telemetry.exposition import CONTENT_TYPE, Sample, render
from fairlead.telemetry.slots import Table

Alerts = Callable[[], Awaitable[Mapping[tuple[str, str], int]]]
Endpoints = Callable[[], Awaitable[Sequence[Sample]]]


def metrics_routes(
    alerts: Alerts, endpoints: Endpoints, flush: Callable[[], object], read: Callable[[], list[Table]]
) -> list[Route]:
    """Return `/metrics`.

    `alerts` counts by kind of window and part, and asks the store; `endpoints` tells of the fleet's view of them;
    `flush` counts what this worker has not counted yet; `read` returns all workers' figures, and may block.
    """

    async def told(_: Request) -> Response:
        stored, seen = await asyncio.gather(_stored(alerts), endpoints())
        flush()
        build = Sample(metrics.BUILD, (__version__, platform.python_version()), 1.0)
        text = await asyncio.to_thread(lambda: render(read(), [build, *stored, *seen]))
        return Response(text, 200, {"cache-control": "no-store", "content-type": CONTENT_TYPE})

    return [Route("/metrics", told, methods=["GET"])]


async def _stored(alerts: Alerts) -> list[Sample]:
    try:
        with answered():
            counts = await alerts()
    except ApiError:
        return [Sample(metrics.STORE_UP, (), 0.0)]
    return [
        Sample(metrics.STORE_UP, (), 1.0),
        *(Sample(metrics.SPEND_ALERTS, labels, float(count)) for labels, count in counts.items()),
    ]
