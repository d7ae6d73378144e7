"""The routes of the catalogue, under each base. Specification: wire-api, section 8.

GET {base}/models                       the list: filters in `model_filters.py`, orders in `model_sorts.py`
GET {base}/models?use_rss=true          the same as a feed
GET {base}/models/count                 how many those are
GET {base}/models/user                  those that the caller's key may use
GET {base}/models/{id}                  one model, as OpenAI's clients ask for it
GET {base}/model/{id}                   the same within `data`, as OpenRouter's do
GET {base}/models/{id}/endpoints        who serves it, how well, at what price
GET {base}/endpoints/zdr                endpoints that retain nothing
GET {base}/embeddings/models            models that embed: none so far
GET {base}/providers                    see `providers.py`

All but /models/user are public. A caller who shows a key sees the speed of endpoints as well; a key that is refused is
refused here too, so that nobody can try out keys where nobody counts. Ids may be any name of a model, with variants.
`links.next` is a path, without the host: what the caller's side of a proxy is called is not known here.
"""

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairlead import clock
from fairlead.access.admit import check_alive, token_of
from fairlead.access.keys import ApiKey
from fairlead.catalog.model import Catalog, Endpoint
from fairlead.edge.endpoint_view import endpoint_object
from fairlead.edge.figures import UNKNOWN, FiguresOf, nothing_known
from fairlead.edge.json_body import json_response
from fairlead.edge.model_feed import MEDIA_TYPE, feed
from fairlead.edge.model_filters import checks_of
from fairlead.edge.model_listing import Listing, Listings, Row
from fairlead.edge.model_sorts import LIVE, SORTS, sorted_rows
from fairlead.edge.model_view import architecture
from fairlead.edge.providers import provider_routes
from fairlead.edge.query import Query
from fairlead.errors import ApiError
from fairlead.store.keys import KeyRing

PAGE = 500
MOST_ON_PAGE = 1_000


class Models:
    """Handlers of these routes. `keys` knows callers, `figures_of` what is measured; `now` tells Unix seconds."""

    def __init__(
        self,
        base: str,
        catalog: Callable[[], Catalog],
        keys: KeyRing,
        figures_of: FiguresOf,
        *,
        has_auto: bool,
        now: Callable[[], float],
    ) -> None:
        self._base = base
        self._listings = Listings(base, catalog, has_auto=has_auto)
        self._keys = keys
        self._figures_of = figures_of
        self._now = now

    async def list_all(self, request: Request) -> Response:
        query = Query(request.query_params)
        rows = await self._rows(query, self._listings.current())
        if query.flag("use_rss") or query.flag("use_rss_chat_links"):
            address = f"{request.scope['scheme']}://{request.headers.get('host', 'localhost')}{request.scope['path']}"
            shown, _ = page(rows, query, request)
            return Response(feed([row.model for row in shown], address), media_type=MEDIA_TYPE)
        return _listed(rows, query, request)

    async def count(self, request: Request) -> Response:
        rows = await self._rows(Query(request.query_params), self._listings.current())
        return _json({"data": {"count": len(rows)}})

    async def list_of_caller(self, request: Request) -> Response:
        key = await self._key_of(request)
        query = Query(request.query_params)
        try:
            listing = self._listings.of_key(key)
        except ValueError as error:  # kept since before they were checked
            raise ApiError(400, f"The preferences of this API key are wrong: {error}") from None
        return _listed(await self._rows(query, listing), query, request, {"cache-control": "no-store"})

    async def list_embeddings(self, request: Request) -> Response:
        query = Query(request.query_params)
        rows = [row for row in self._listings.current().rows if "embeddings" in row.model.output_modalities]
        return _listed(rows, query, request)

    async def show(self, request: Request) -> Response:
        return Response(self._json_of(request), media_type="application/json")

    async def show_within(self, request: Request) -> Response:
        return _json({"data": orjson.Fragment(self._json_of(request))})

    async def show_endpoints(self, request: Request) -> Response:
        key = await self._caller(request)
        row = self._listings.current().find(request.path_params["model_id"])
        if row is None:
            raise self._missing(request)
        model = row.model
        shown = {
            "id": model.id,
            "name": model.name,
            "created": model.created,
            "description": model.description,
            "architecture": architecture(model),
            "endpoints": await self._shown(row.endpoints, key),
        }
        return json_response({"data": shown})

    async def list_zdr(self, request: Request) -> Response:
        key = await self._caller(request)
        rows = self._listings.current().rows
        found = [one for row in rows for one in row.endpoints if one.provider.is_zdr]
        return json_response({"data": await self._shown(found, key)})

    async def _rows(self, query: Query, listing: Listing) -> Sequence[Row]:
        checks = checks_of(query, listing, self._now())
        sort = query.choice("sort", tuple(SORTS))
        rows = [row for row in listing.rows if all(check(row) for check in checks)]
        if not sort:
            return rows
        served = [one for row in rows for one in row.endpoints] if sort in LIVE else ()
        return sorted_rows(rows, sort, await self._figures_of(served) if served else {})

    async def _shown(self, endpoints: Sequence[Endpoint], key: ApiKey | None) -> Sequence[object]:
        figures = await self._figures_of(endpoints)
        return [endpoint_object(one, figures.get(one.id, UNKNOWN), is_anonymous=key is None) for one in endpoints]

    def _json_of(self, request: Request) -> bytes:
        found = self._listings.current().json_of(request.path_params["model_id"])
        if found is None:
            raise self._missing(request)
        return found

    def _missing(self, request: Request) -> ApiError:
        name = request.path_params["model_id"]
        return ApiError(404, f"{name[:200]} is not served here: GET {self._base}/models", error_type="not_found")

    async def _key_of(self, request: Request) -> ApiKey:
        token = token_of(dict(reversed(request.scope["headers"])))
        key = self._keys.find(token) or await self._keys.look_up(token)
        check_alive(key, self._now())
        return key

    async def _caller(self, request: Request) -> ApiKey | None:
        """Return the caller's key, None if it shows none, or one that cannot be looked up now."""
        try:
            token_of(dict(reversed(request.scope["headers"])))
        except ApiError:
            return None
        try:
            return await self._key_of(request)
        except ApiError as error:
            if error.status == 503:
                return None
            raise


def model_routes(
    base: str,
    catalog: Callable[[], Catalog],
    keys: KeyRing,
    figures_of: FiguresOf = nothing_known,
    *,
    has_auto: bool = False,
    now: Callable[[], float] = clock.wall,
) -> list[Route]:
    """Return the routes under `base`. `has_auto`: whether `openrouter/auto` is listed as a model."""
    models = Models(base, catalog, keys, figures_of, has_auto=has_auto, now=now)
    handlers = {
        "models": models.list_all,
        "models/count": models.count,
        "models/user": models.list_of_caller,
        "models/{model_id:path}/endpoints": models.show_endpoints,
        "models/{model_id:path}": models.show,
        "model/{model_id:path}": models.show_within,
        "endpoints/zdr": models.list_zdr,
        "embeddings/models": models.list_embeddings,
    }
    routes = [Route(f"{base}/{path}", handler, methods=["GET"]) for path, handler in handlers.items()]
    return [*routes, *provider_routes(base, catalog)]


def page(rows: Sequence[Row], query: Query, request: Request) -> tuple[Sequence[Row], str | None]:
    """Return the part of the rows that is asked for, and the path of the next one; all of them if none is asked for."""
    limit, offset = query.whole("limit", 1, MOST_ON_PAGE), query.whole("offset")
    if limit is None and offset is None:
        return rows, None
    limit, offset = limit or PAGE, offset or 0
    end = offset + limit
    if end >= len(rows):
        return rows[offset:], None
    others = [(name, value) for name, value in request.query_params.multi_items() if name not in ("limit", "offset")]
    return rows[offset:end], f"{request.scope['path']}?{urlencode([*others, ('offset', end), ('limit', limit)])}"


def _listed(rows: Sequence[Row], query: Query, request: Request, headers: Mapping[str, str] | None = None) -> Response:
    shown, following = page(rows, query, request)
    data = [orjson.Fragment(row.json) for row in shown]
    listing = {"object": "list", "data": data, "total_count": len(rows), "links": {"next": following}}
    return _json(listing, headers)


def _json(value: object, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), headers=headers, media_type="application/json")
