"""The routes of the catalogue, on a real connection."""

import dataclasses
import json
import math
import xml.etree.ElementTree as ElementTree

import pytest
from openai.pagination import SyncPage
from openai.types import Model as OpenAIModel

from fairlead.access.keys import from_token, generate
from fairlead.catalog.load import builtin
from fairlead.catalog.model import Catalog, Endpoint
from fairlead.edge.endpoint_view import endpoint_object
from fairlead.edge.figures import UNKNOWN, Figures
from fairlead.edge.model_view import model_object
from fairlead.edge.models import PAGE, model_routes
from fairlead.health.histogram import FIRST_TOKEN, Histogram
from fairlead.health.minutes import Uptime
from fairlead.store.keys import KeyRing, KeyStore
from fairlead.store.redis import connect
from harness.asking import asking

from .catalogues import ACME, CATALOG, LARGE, TEXT_IDS

pytestmark = pytest.mark.anyio

TOKEN, ACME_ONLY, EXPIRED = "sk-anybody", "sk-acme-only", "sk-expired"
NOW = 1_750_000_000 + 10 * 86_400
KEYS = [
    from_token(TOKEN, "anybody"),
    dataclasses.replace(from_token(ACME_ONLY, "acme"), allowed_models=("acme/*",), allowed_providers=("acme",)),
    dataclasses.replace(from_token(EXPIRED, "expired"), expires=NOW),
]
SLOW = Figures(-1, Uptime(50.0, 50.0, 50.0), Histogram(FIRST_TOKEN, {FIRST_TOKEN.bucket(math.log(3.0)): 9.0}))
FAST = Figures(0, Uptime(100.0, 90.0, None), Histogram(FIRST_TOKEN, {FIRST_TOKEN.bucket(math.log(0.1)): 9.0}))


async def figures(endpoints):
    known = {"acme:acme/large": FAST, "acme:openai/gpt-9": SLOW}
    return {one.id: known[one.id] for one in endpoints if one.id in known}


@pytest.fixture
def keys():
    """The store cannot be reached: every key that is not fixed meets it."""
    return KeyRing(KeyStore(connect("unix:///nonexistent.sock")), KEYS)


@pytest.fixture
async def ask(keys):
    async with asking(model_routes("/v1", lambda: CATALOG, keys, figures, now=lambda: NOW)) as ask:
        yield ask


@pytest.fixture
def asking_of(keys):
    """Asks of another catalogue, or otherwise set up."""
    return lambda catalog=CATALOG, **options: asking(model_routes("/v1", lambda: catalog, keys, **options))


def ids(answer):
    assert answer.status == 200, answer.body
    return [model["id"] for model in answer.json["data"]]


class TestList:
    async def test_it_is_whole_and_newest_first(self, ask):
        answer = await ask("GET", "/v1/models")
        assert answer.headers["content-type"] == "application/json"
        assert ids(answer) == TEXT_IDS
        whole = answer.json
        assert (whole["object"], whole["total_count"], whole["links"]) == ("list", 3, {"next": None})
        assert whole["data"][1] == json.loads(json.dumps(model_object(LARGE, CATALOG.endpoints[LARGE.id], "/v1")))
        assert b"secret" not in answer.body

    async def test_the_client_of_openai_reads_it(self, ask):
        page = SyncPage[OpenAIModel].model_validate_json((await ask("GET", "/v1/models")).body)
        assert [model.id for model in page.data] == TEXT_IDS

    async def test_it_is_for_everybody_and_looks_at_no_key(self, ask):
        for key in (None, TOKEN, EXPIRED, "sk-guess", generate()):
            assert ids(await ask("GET", "/v1/models", key=key)) == TEXT_IDS

    async def test_filters(self, ask):
        assert ids(await ask("GET", "/v1/models?supported_parameters=tools&q=large")) == ["acme/large"]
        assert ids(await ask("GET", "/v1/models?output_modalities=all"))[2] == "openai/painter"
        assert ids(await ask("GET", "/v1/models?max_age_days=10")) == ["openai/gpt-9"]

    @pytest.mark.parametrize(
        ("sort", "first"),
        [
            ("newest", "openai/gpt-9"),
            ("pricing-low-to-high", "acme/large"),
            ("latency-low-to-high", "acme/large"),
            ("most-popular", "openai/gpt-9"),
        ],
    )
    async def test_orders(self, ask, sort, first):
        assert ids(await ask("GET", f"/v1/models?sort={sort}"))[0] == first

    @pytest.mark.parametrize(
        ("query", "param", "remedy"),
        [
            ("sort=cheap", "sort", "most-popular, newest"),
            ("limit=0", "limit", "from 1 to 1000"),
            ("limit=1001", "limit", "from 1 to 1000"),
            ("offset=-1", "offset", "of 0 or more"),
            ("use_rss=perhaps", "use_rss", "true, false"),
            ("output_modalities=smell", "output_modalities", "text, image"),
        ],
    )
    async def test_what_cannot_be_meant(self, ask, query, param, remedy):
        answer = await ask("GET", f"/v1/models?{query}")
        assert (answer.status, answer.error["param"]) == (400, param)
        assert answer.error["message"].startswith(f"'{param}' is ")
        assert remedy in answer.error["message"]

    async def test_nothing(self, asking_of):
        async with asking_of(Catalog({}, {}, {})) as ask:
            assert (await ask("GET", "/v1/models")).json == {
                "object": "list", "data": [], "total_count": 0, "links": {"next": None}
            }  # fmt: skip

    async def test_the_catalogue_of_the_moment_is_shown(self, keys):
        catalogs = [CATALOG]
        async with asking(model_routes("/v1", lambda: catalogs[-1], keys)) as ask:
            await ask("GET", "/v1/models")
            catalogs.append(Catalog({}, {}, {}))
            assert ids(await ask("GET", "/v1/models")) == []

    async def test_the_router_is_listed_if_told_so(self, asking_of):
        async with asking_of(has_auto=True) as ask:
            answer = await ask("GET", "/v1/models")
            assert ids(answer) == [*TEXT_IDS, "openrouter/auto"]
            assert answer.json["data"][-1]["pricing"] == {"prompt": "-1", "completion": "-1"}
            assert (await ask("GET", "/v1/models/openrouter/auto/endpoints")).json["data"]["endpoints"] == []


class TestPages:
    async def test_each_leads_to_the_next(self, ask):
        path, found = "/v1/models?output_modalities=all&limit=3", []
        while path:
            answer = await ask("GET", path)
            found += ids(answer)
            assert answer.json["total_count"] == 4
            path = answer.json["links"]["next"]
        assert found == ["openai/gpt-9", "acme/large", "openai/painter", "acme/small"]

    async def test_the_next_keeps_what_was_asked(self, ask):
        first = await ask("GET", "/v1/models?limit=1&offset=0&sort=newest&model_authors=acme%2Copenai")
        assert first.json["links"]["next"] == "/v1/models?sort=newest&model_authors=acme%2Copenai&offset=1&limit=1"

    @pytest.mark.parametrize(
        ("query", "count"), [("limit=2", 2), ("offset=2", 1), ("limit=2&offset=2", 1), ("offset=3", 0), ("limit=", 3)]
    )
    async def test_their_size(self, ask, query, count):
        assert len(ids(await ask("GET", f"/v1/models?{query}"))) == count

    async def test_without_limit_and_offset_all_of_many(self, asking_of):
        models = [dataclasses.replace(LARGE, id=f"acme/m{n}") for n in range(PAGE + 1)]
        served = {model.id: (Endpoint(ACME, model, "m", None),) for model in models}
        async with asking_of(Catalog({model.id: model for model in models}, served, {})) as ask:
            assert len(ids(await ask("GET", "/v1/models"))) == PAGE + 1
            answer = await ask("GET", "/v1/models?offset=0")
            assert len(ids(answer)) == PAGE
            assert answer.json["links"]["next"] == f"/v1/models?offset={PAGE}&limit={PAGE}"


class TestFeed:
    @pytest.mark.parametrize("query", ["use_rss=true", "use_rss_chat_links=true", "use_rss=true&use_rss=true"])
    async def test_it_has_what_the_list_has(self, ask, query):
        answer = await ask("GET", f"/v1/models?{query}&model_authors=acme")
        assert answer.headers["content-type"].startswith("application/rss+xml")
        items = ElementTree.fromstring(answer.body).findall("channel/item")
        assert [item.findtext("guid") for item in items] == ["acme/large", "acme/small"]
        assert items[0].findtext("link") == "http://x/v1/models/acme/large"

    async def test_it_can_be_had_in_parts(self, ask):
        answer = await ask("GET", "/v1/models?use_rss=true&limit=1&offset=1")
        items = ElementTree.fromstring(answer.body).findall("channel/item")
        assert [item.findtext("guid") for item in items] == ["acme/large"]

    async def test_without_it_there_is_json(self, ask):
        assert ids(await ask("GET", "/v1/models?use_rss=false")) == TEXT_IDS


class TestCount:
    @pytest.mark.parametrize(
        ("query", "count"), [("", 3), ("?output_modalities=all", 4), ("?output_modalities=image", 2), ("?limit=1", 3)]
    )
    async def test_it(self, ask, query, count):
        assert (await ask("GET", f"/v1/models/count{query}")).json == {"data": {"count": count}}


class TestUser:
    async def test_it_needs_a_key(self, ask):
        for key in (None, "sk-guess", EXPIRED):
            answer = await ask("GET", "/v1/models/user", key=key)
            assert (answer.status, answer.error["type"]) == (401, "authentication_error")

    async def test_what_the_key_may_use(self, ask):
        assert ids(await ask("GET", "/v1/models/user", key=TOKEN)) == TEXT_IDS
        answer = await ask("GET", "/v1/models/user", key=ACME_ONLY)
        assert ids(answer) == ["acme/large"]
        assert answer.json["data"][0]["providers"] == ["acme"]
        assert answer.headers["cache-control"] == "no-store"

    async def test_in_parts_and_in_order(self, ask):
        answer = await ask("GET", "/v1/models/user?sort=pricing-low-to-high&limit=1&output_modalities=text", key=TOKEN)
        assert ids(answer) == ["acme/large"]
        assert answer.json["links"]["next"].startswith("/v1/models/user?sort=pricing-low-to-high&")

    async def test_preferences_that_cannot_be_read(self):
        key = dataclasses.replace(from_token(TOKEN, "old"), preferences='{"only": 1}')
        ring = KeyRing(KeyStore(connect("unix:///nonexistent.sock")), [key])
        async with asking(model_routes("/v1", lambda: CATALOG, ring)) as ask:
            answer = await ask("GET", "/v1/models/user", key=TOKEN)
        assert answer.status == 400
        assert "only" in answer.error["message"]


class TestOne:
    @pytest.mark.parametrize("name", ["acme/large", "large", "acme%2Flarge", "acme/large:nitro"])
    async def test_by_any_name(self, ask, name):
        plain = await ask("GET", f"/v1/models/{name}")
        within = await ask("GET", f"/v1/model/{name}")
        assert OpenAIModel.model_validate_json(plain.body).id == "acme/large"
        assert within.json == {"data": plain.json}

    async def test_an_alias(self, ask):
        shown = (await ask("GET", "/v1/models/~openai/gpt-latest")).json
        assert (shown["id"], shown["alias_target"]["slug"]) == ("~openai/gpt-latest", "openai/gpt-9")

    @pytest.mark.parametrize("name", ["acme/none", "acme/unserved", "acme/large/x", "x" * 10_000, ""])
    async def test_one_that_is_not_there(self, ask, name):
        for path in (f"/v1/models/{name}", f"/v1/model/{name}", f"/v1/models/{name}/endpoints"):
            answer = await ask("GET", path)
            assert (answer.status, answer.error["metadata"]["error_type"]) == (404, "not_found")
            assert name[:200] in answer.error["message"]
            assert len(answer.error["message"]) < 300


class TestEndpoints:
    async def test_who_serves_it_and_how(self, ask):
        answer = await ask("GET", "/v1/models/acme/large/endpoints", key=TOKEN)
        assert answer.headers["cache-control"] == "no-store"
        data = answer.json["data"]
        one, other = CATALOG.endpoints[LARGE.id]
        assert data.pop("endpoints") == [
            endpoint_object(one, FAST, is_anonymous=False),
            endpoint_object(other, UNKNOWN, is_anonymous=False),
        ]
        assert data == {
            "id": "acme/large",
            "name": "Acme: Large",
            "created": 1_700_000_000,
            "description": "Large.",
            "architecture": {
                "modality": "text+image->text",
                "input_modalities": ["text", "image"],
                "output_modalities": ["text"],
                "tokenizer": "Other",
                "instruct_type": None,
            },
        }

    async def test_its_speed_is_for_those_with_a_key(self, ask):
        for key, is_shown in ((TOKEN, True), (None, False)):
            answer = await ask("GET", "/v1/models/acme/large/endpoints", key=key)
            shown = answer.json["data"]["endpoints"][0]
            assert (shown["latency_last_30m"] is not None) is is_shown
            assert [shown[f"uptime_last_{window}"] for window in ("5m", "30m", "1d")] == [100.0, 90.0, None]

    async def test_a_key_that_is_refused_is_refused_here_too(self, ask):
        for key in ("sk-guess", EXPIRED):
            assert (await ask("GET", "/v1/models/acme/large/endpoints", key=key)).status == 401

    async def test_a_key_that_cannot_be_looked_up_now_shows_what_everybody_sees(self, ask):
        answer = await ask("GET", "/v1/models/acme/large/endpoints", key=generate())
        assert answer.json["data"]["endpoints"][0]["latency_last_30m"] is None

    async def test_a_header_that_holds_no_key_is_none(self, ask):
        answer = await ask("GET", "/v1/models/acme/large/endpoints", fields=["authorization: Bearer "])
        assert answer.status == 200

    async def test_those_that_retain_nothing(self, ask):
        answer = await ask("GET", "/v1/endpoints/zdr")
        assert answer.json == {"data": [endpoint_object(CATALOG.endpoints[LARGE.id][1], UNKNOWN, is_anonymous=True)]}


async def test_no_model_embeds_so_far(ask):
    answer = await ask("GET", "/v1/embeddings/models?limit=500&offset=0")
    assert answer.json == {"object": "list", "data": [], "total_count": 0, "links": {"next": None}}


async def test_providers_are_listed_beside_the_models(ask):
    assert [one["slug"] for one in (await ask("GET", "/v1/providers")).json["data"]] == ["acme", "local", "other"]


@pytest.mark.parametrize("base", ["/v1", "/v1/api"])
async def test_each_base_links_to_itself(keys, base):
    async with asking(model_routes(base, lambda: CATALOG, keys)) as ask:
        model = (await ask("GET", f"{base}/models/acme/large")).json
        assert model["links"]["details"] == f"{base}/models/acme/large/endpoints"
        assert (await ask("GET", model["links"]["details"])).status == 200


async def test_all_that_ships_can_be_shown(asking_of):
    snapshot = builtin()
    served = {model.id: (Endpoint(ACME, model, model.id, model.price),) for model in snapshot.models.values()}
    async with asking_of(Catalog(snapshot.models, served, {})) as ask:
        assert len(ids(await ask("GET", "/v1/models?output_modalities=all"))) == len(snapshot.models)
        for model_id in list(served)[::20]:
            assert (await ask("GET", f"/v1/models/{model_id}/endpoints")).json["data"]["id"] == model_id
