"""What has been used: GET {base}/activity, as at OpenRouter, for a management key or the admin key.

One row for each day, model and provider of the last 30 whole days of UTC; `date=2026-11-20` asks for one of these days,
`api_key_hash` for what was used with one key. There are no users and no workspaces here to ask for.
"""

import datetime
from collections.abc import Callable, Iterable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairlead import clock
from fairlead.access.rollup import Row, added_up
from fairlead.access.usd import usd_of
from fairlead.access.windows import day_of
from fairlead.admin.management import ManagementDoor
from fairlead.catalog.model import Catalog
from fairlead.edge.generations import provider_names
from fairlead.edge.json_body import json_response
from fairlead.errors import ApiError
from fairlead.store.keys import answered
from fairlead.store.ledger import LedgerStore

DAYS = 30
_DAY_S = 86_400
_NOT_HERE = ("user_id", "workspace_id", "group_by")


def activity_routes(
    base: str,
    door: ManagementDoor,
    ledger: LedgerStore,
    catalog: Callable[[], Catalog],
    now: Callable[[], float] = clock.wall,
) -> list[Route]:
    """Return the route under `base`; `now` tells Unix seconds."""

    async def show_activity(request: Request) -> Response:
        await door.check(request.scope["headers"])
        query = request.query_params
        if refused := [name for name in _NOT_HERE if name in query]:
            text = f"There is no {refused[0]} here: ask by date and api_key_hash"
            raise ApiError(400, text, param=refused[0])
        wanted = wanted_days(query.get("date"), now())
        rows: list[Row] = []
        with answered():
            for day in reversed([day for day in await ledger.days() if day in wanted]):
                rows += await ledger.rollup(day)
        key = query.get("api_key_hash")
        mine = (row for row in rows if key is None or row.key == key)
        return json_response({"data": activity(mine, provider_names(catalog()))})

    return [Route(f"{base}/activity", show_activity, methods=["GET"])]


def wanted_days(date: str | None, now: float) -> set[str]:
    """Return the days that are asked for, `20261120`: that of `date`, or all. Raises ApiError 400."""
    days = {day_of(now - past * _DAY_S) for past in range(1, DAYS + 1)}
    if date is None:
        return days
    try:
        day = f"{datetime.date.fromisoformat(date):%Y%m%d}"
    except ValueError:
        raise ApiError(400, f"date must be a day such as 2026-01-31, not {date[:40]!r}", param="date") from None
    if day not in days:
        raise ApiError(400, f"Date must be within the last {DAYS} (completed) UTC days", param="date")
    return {day}


def activity(rows: Iterable[Row], names: Mapping[str, str]) -> list[dict[str, object]]:
    """Return the rows as OpenRouter shows them, those of all keys added up; `names` are those of providers."""
    sums = added_up(rows, lambda row: (row.day, row.model, row.provider))
    return [
        {
            "date": f"{day[:4]}-{day[4:6]}-{day[6:]}",
            "model": model,
            "model_permaslug": model,
            "endpoint_id": f"{provider}:{model}" if provider else "",
            "provider_name": names.get(provider, provider),
            "usage": usd_of(amounts.usd_nanos),
            "byok_usage_inference": 0.0,
            "requests": amounts.requests,
            "prompt_tokens": amounts.prompt,
            "completion_tokens": amounts.completion,
            "reasoning_tokens": amounts.reasoning,
            "cached_tokens": amounts.cached,
        }
        for (day, model, provider), amounts in sums.items()
    ]
