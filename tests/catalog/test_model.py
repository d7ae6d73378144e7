from fairlead.catalog.model import FREE, Catalog, Endpoint, Model, Provider

MODEL = Model(id="openai/gpt-5-mini", name="OpenAI: GPT-5 Mini")
ENDPOINT = Endpoint(Provider("openai", "OpenAI", "https://api.openai.com/v1"), MODEL, "gpt-5-mini", FREE)
CATALOG = Catalog({MODEL.id: MODEL}, {MODEL.id: (ENDPOINT,)}, {"gpt-5-mini": MODEL.id})


def test_an_endpoint_is_named_by_provider_and_model():
    assert ENDPOINT.id == "openai:openai/gpt-5-mini"


def test_resolve_knows_canonical_ids_and_aliases_and_leaves_the_rest_alone():
    assert CATALOG.resolve("openai/gpt-5-mini") == "openai/gpt-5-mini"
    assert CATALOG.resolve("gpt-5-mini") == "openai/gpt-5-mini"
    assert CATALOG.resolve("gpt-9") == "gpt-9"


def test_secrets_do_not_show():
    provider = Provider("acme", "Acme", "https://acme.example/v1", api_key="sk-1", headers={"x-key": "sk-2"})
    assert "sk-" not in repr(provider)
