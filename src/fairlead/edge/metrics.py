"""What the whole fleet counts, for Prometheus: the same from any worker, since it is the store's.

    fairlead_spend_alerts_total{window,part}   limits of which such a part has been spent, once per window

Without a key, like the health checks: no amounts, no names.
"""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairlead.store.keys import answered

Alerts = Callable[[], Awaitable[Mapping[tuple[str, str], int]]]


def metrics_routes(alerts: Alerts) -> list[Route]:
    """Return `/metrics`. `alerts` counts by kind of window and part."""

    async def metrics(_: Request) -> Response:
        with answered():
            counts = await alerts()
        name = "fairlead_spend_alerts_total"
        lines = [f"# HELP {name} Limits of which such a part has been spent.", f"# TYPE {name} counter"]
        lines += [
            f'{name}{{window="{window}",part="{part}"}} {count}' for (window, part), count in sorted(counts.items())
        ]
        text = "\n".join(lines) + "\n"
        return Response(text, 200, {"cache-control": "no-store"}, "text/plain; version=0.0.4; charset=utf-8")

    return [Route("/metrics", metrics, methods=["GET"])]
