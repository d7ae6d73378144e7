import json
from decimal import Decimal
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.pagination import SyncPage
from openai.types import Model as OpenAIModel
from starlette.routing import Router

from fairlead.catalog.model import FREE, Catalog, Endpoint, Model, Price, Provider
from fairlead.edge.models import model_object, model_routes
from fairlead.errors import ApiError

pytestmark = pytest.mark.anyio

ACME = Provider("acme", "Acme", "http://acme.example/v1", api_key="sk-secret", headers={"x": "sk-secret"})
OTHER = Provider("other", "Other", "http://other.example/v1")
LARGE = Model(
    "acme/large",
    "Acme: Large",
    context_length=8192,
    max_completion_tokens=1024,
    input_modalities=("text", "image"),
    supported_parameters=frozenset({"tools", "seed"}),
    created=1_700_000_000,
    description="Large.",
)
SMALL = Model("acme/small", "Acme: Small")
DEAR = Price(prompt=2_500_000, completion=10_000_000, cache_read=125_000, cache_write=3_125_000, request=5_000)
CHEAP = Price(prompt=12_500, completion=1)


def endpoints(*prices, model=LARGE):
    return tuple(Endpoint(provider, model, "m", price) for provider, price in zip((ACME, OTHER), prices, strict=False))


CATALOG = Catalog(
    MappingProxyType({"acme/large": LARGE, "acme/small": SMALL, "acme/unserved": Model("acme/unserved", "U")}),
    MappingProxyType({"acme/large": endpoints(DEAR), "acme/small": endpoints(None, model=SMALL)}),
    MappingProxyType({"large": "acme/large"}),
)


async def get(path, base="/v1", catalog=CATALOG):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "root_path": ""}
    await Router(model_routes(base, lambda: catalog))(scope, None, send)
    assert dict(sent[0]["headers"])[b"content-type"] == b"application/json"
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def pricing(*prices):
    return model_object(LARGE, endpoints(*prices))["pricing"]


class TestObject:
    def test_a_model(self):
        assert json.loads(json.dumps(model_object(LARGE, endpoints(DEAR, CHEAP)))) == {
            "id": "acme/large",
            "object": "model",
            "created": 1_700_000_000,
            "owned_by": "acme",
            "canonical_slug": "acme/large",
            "name": "Acme: Large",
            "description": "Large.",
            "context_length": 8192,
            "architecture": {
                "modality": "text+image->text",
                "input_modalities": ["text", "image"],
                "output_modalities": ["text"],
                "tokenizer": "Other",
                "instruct_type": None,
            },
            "pricing": {"prompt": "0.0000000125", "completion": "0.000000000001", "request": "0"},
            "top_provider": {"context_length": 8192, "max_completion_tokens": 1024, "is_moderated": False},
            "per_request_limits": None,
            "supported_parameters": ["seed", "tools"],
            "providers": ["acme", "other"],
        }

    def test_the_client_of_openai_reads_it(self):
        model = OpenAIModel.model_validate(model_object(LARGE, endpoints(DEAR)), strict=True)
        assert (model.id, model.created, model.object, model.owned_by) == ("acme/large", 1_700_000_000, "model", "acme")


class TestPricing:
    def test_all_prices_are_strings_in_usd_per_token(self):
        assert pricing(DEAR) == {
            "prompt": "0.0000025",
            "completion": "0.00001",
            "request": "0.005",
            "input_cache_read": "0.000000125",
            "input_cache_write": "0.000003125",
        }

    def test_free(self):
        assert pricing(FREE) == {"prompt": "0", "completion": "0", "request": "0"}

    def test_of_several_the_cheapest(self):
        assert pricing(DEAR, CHEAP) == pricing(CHEAP, DEAR) == pricing(CHEAP)
        assert pricing(None, DEAR) == pricing(DEAR)

    def test_a_price_that_nobody_knows(self):
        assert pricing(None) == {"prompt": "-1", "completion": "-1"}

    @given(st.integers(0, 10**15), st.integers(0, 10**15), st.integers(0, 10**15))
    def test_no_digit_is_lost(self, prompt, completion, request):
        shown = pricing(Price(prompt, completion, cache_read=prompt, request=request))
        assert Decimal(shown["prompt"]) * 10**12 == prompt
        assert Decimal(shown["completion"]) * 10**12 == completion
        assert Decimal(shown["input_cache_read"]) * 10**12 == prompt
        assert Decimal(shown["request"]) * 10**6 == request
        assert not any("e" in text.lower() for text in shown.values())


class TestRoutes:
    @pytest.mark.parametrize("base", ["/v1", "/api/v1"])
    async def test_list(self, base):
        status, body = await get(f"{base}/models", base)
        listing = json.loads(body)
        assert status == 200
        assert [item["id"] for item in listing["data"]] == ["acme/large", "acme/small"]
        assert (listing["object"], listing["total_count"]) == ("list", 2)
        assert b"secret" not in body

    async def test_the_client_of_openai_reads_the_list(self):
        page = SyncPage[OpenAIModel].model_validate_json((await get("/v1/models"))[1])
        assert [model.id for model in page.data] == ["acme/large", "acme/small"]

    @pytest.mark.parametrize("name", ["acme/large", "large"])
    async def test_one_model(self, name):
        status, body = await get(f"/v1/models/{name}")
        assert status == 200
        assert OpenAIModel.model_validate_json(body).id == "acme/large"

    @pytest.mark.parametrize("name", ["acme/none", "acme/unserved", "acme/large/x", "x" * 10_000])
    async def test_one_that_is_not_there(self, name):
        with pytest.raises(ApiError) as caught:
            await get(f"/v1/models/{name}")
        assert (caught.value.status, caught.value.error_type) == (404, "not_found")
        assert name[:200] in caught.value.message
        assert len(caught.value.message) < 300

    async def test_the_catalogue_of_the_moment_is_shown(self):
        empty = Catalog(MappingProxyType({}), MappingProxyType({}), MappingProxyType({}))
        assert json.loads((await get("/v1/models", catalog=empty))[1])["data"] == []
