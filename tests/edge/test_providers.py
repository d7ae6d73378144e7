import pytest

from fairlead.edge.providers import provider_routes
from harness.asking import asking

from .catalogues import CATALOG

pytestmark = pytest.mark.anyio


async def test_who_serves_something_each_once_by_name():
    async with asking(provider_routes("/v1", lambda: CATALOG)) as ask:
        answer = await ask("GET", "/v1/providers")
    assert answer.status == 200
    assert [(one["name"], one["slug"]) for one in answer.json["data"]] == [
        ("Acme", "acme"), ("Local", "local"), ("Other AI", "other")
    ]  # fmt: skip
    assert answer.json["data"][0] == {
        "name": "Acme",
        "slug": "acme",
        "privacy_policy_url": None,
        "terms_of_service_url": None,
        "status_page_url": None,
        "headquarters": None,
        "datacenters": None,
    }


async def test_neither_addresses_nor_keys_are_shown():
    async with asking(provider_routes("/v1", lambda: CATALOG)) as ask:
        body = (await ask("GET", "/v1/providers")).body
    assert b"secret" not in body
    assert b"example" not in body
