"""Is it alive, is it ready: for load balancers and people. Never behind a key, never asks a provider."""

from collections.abc import Callable

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairlead import __version__
from fairlead.edge.drain import Drain


def status_routes(drain: Drain, details: Callable[[], dict[str, object]]) -> list[Route]:
    """Return `/livez`, `/readyz`, and `/healthz`, `/health` as its aliases.

    Ready means: started, and not draining. `?verbose` shows `details` in either case.
    """

    async def livez(_: Request) -> Response:
        return _answer(200, {"status": "alive"})

    async def readyz(request: Request) -> Response:
        status = "draining" if drain.is_draining else "ready"
        shown: dict[str, object] = {"status": status}
        if "verbose" in request.query_params:
            shown |= {"version": __version__, "in_flight": drain.in_flight, **details()}
        return _answer(503 if drain.is_draining else 200, shown)

    return [
        Route("/livez", livez),
        Route("/readyz", readyz),
        Route("/healthz", readyz),
        Route("/health", readyz),
    ]


def _answer(status: int, value: dict[str, object]) -> Response:
    return Response(orjson.dumps(value), status, {"cache-control": "no-store"}, "application/json")
