"""GET {base}/providers: who serves something here, by name. Public, as at OpenRouter (wire-api, section 8.2).

Addresses, places and pages about privacy are null: what is configured does not tell them. A provider's base URL is the
operator's business and not shown.
"""

from collections.abc import Callable

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairlead.catalog.model import Catalog


def provider_routes(base: str, catalog: Callable[[], Catalog]) -> list[Route]:
    """Return the route under `base`."""

    async def list_providers(_: Request) -> Response:
        names = {one.provider.slug: one.provider.name for found in catalog().endpoints.values() for one in found}
        shown = [provider_object(slug, name) for slug, name in sorted(names.items(), key=lambda item: item[1].lower())]
        return Response(orjson.dumps({"data": shown}), media_type="application/json")

    return [Route(f"{base}/providers", list_providers, methods=["GET"])]


def provider_object(slug: str, name: str) -> dict[str, object]:
    return {
        "name": name,
        "slug": slug,
        "privacy_policy_url": None,
        "terms_of_service_url": None,
        "status_page_url": None,
        "headquarters": None,
        "datacenters": None,
    }
