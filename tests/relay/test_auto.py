import json
from dataclasses import replace

import pytest

from fairlead.catalog.load import ProviderModels, build, builtin
from fairlead.catalog.model import Provider
from fairlead.catalog.overrides import NO_OVERRIDES
from fairlead.errors import ApiError
from fairlead.plan.auto import AutoPolicy, AutoRouter, all_well
from fairlead.plan.wish import ANYTHING
from fairlead.relay.auto import choose_models
from fairlead.wire.request import ChatRequest
from plan.rosters import ANYONE, LADDER, catalog_of, model

NEAR = catalog_of(*(model(f"{author}/near", 1.0) for author in "abcdefgh"))


def request_of(model="auto", text="hi", **members):
    body = {"model": model, "messages": [{"role": "user", "content": text}], **members}
    return ChatRequest.parse(json.dumps(body).encode())


def chosen(request, catalog=LADDER, key=ANYONE, wish=ANYTHING, conversation=0, pinned="", **policy):
    auto = AutoRouter(catalog, AutoPolicy(**policy))
    return choose_models(auto, catalog, request, wish, key, lambda features: all_well, conversation, pinned)


def refusal(*args, **named):
    with pytest.raises(ApiError) as caught:
        chosen(*args, **named)
    return caught.value


def test_a_named_model_is_left_alone():
    assert chosen(request_of("acme/m1")) is None
    assert chosen(request_of("nobody/knows"), is_on=False) is None


def test_auto_becomes_models():
    choice = chosen(request_of(), cost_quality=0.0)
    assert choice.models == ("acme/m0", "acme/m1", "acme/m2")
    assert choice.router == "openrouter/auto"


def test_auto_stands_for_its_models_among_others():
    choice = chosen(request_of("acme/m9", models=["auto", "acme/m8", "acme/m1"]), cost_quality=0.0)
    assert choice.models == ("acme/m9", "acme/m0", "acme/m1", "acme/m2", "acme/m8")


def test_variants_go_to_what_is_chosen():
    assert chosen(request_of("auto:nitro"), cost_quality=0.0).models[0] == "acme/m0:nitro"


def test_free_models():
    catalog = catalog_of(model("a/free", 0.0), model("a/paid", 0.1))
    choice = chosen(request_of("openrouter/free"), catalog)
    assert (choice.models, choice.router) == (("a/free:free",), "openrouter/free")
    assert refusal(request_of("openrouter/free")).status == 404


def test_the_switch():
    error = refusal(request_of(), is_on=False)
    assert (error.status, error.param) == (400, "model")
    assert error.message.startswith("auto routing is not enabled")
    assert refusal(request_of(), key=replace(ANYONE, is_auto_routing=False)).message == error.message
    assert chosen(request_of(), key=replace(ANYONE, is_auto_routing=True), is_on=False)


def test_nobody_fits():
    image = [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]
    error = refusal(request_of(text=image, tools=[{}]))
    assert (error.status, error.error_type, error.availability["code"]) == (404, "not_found", "constraint_filtered")
    assert error.message.startswith("No models match your request and model restrictions")
    assert "none of the 10 that may be chosen" in error.message
    assert "tools, image input" in error.message
    assert chosen(request_of("auto", text=image, models=["acme/m1"])).models == ("acme/m1",)


def test_nobody_is_allowed():
    plugin = {"id": "auto-router", "allowed_models": ["nobody/*"]}
    assert refusal(request_of(plugins=[plugin])).message.endswith("none may be chosen")


def test_options_that_are_wrong():
    error = refusal(request_of(plugins=[{"id": "auto-router", "cost_tier": "best"}]))
    assert (error.status, error.param) == (400, "plugins")
    assert chosen(request_of("acme/m1", plugins=[{"id": "auto-router", "cost_tier": "best"}])) is None


def test_a_greeting_goes_to_a_cheaper_model_than_a_proof():
    provider = Provider("p", "P", "http://x")
    listed = ProviderModels(provider, tuple((one, one) for one in builtin().models))
    catalog = build(builtin(), NO_OVERRIDES, [listed])
    proof = "Prove by induction that the sum of the first n odd numbers is n^2, and derive each step rigorously. " * 20

    def usd(text):
        price = catalog.endpoints[chosen(request_of(text=text), catalog).models[0]][0].price
        return price.prompt + price.completion

    assert usd("hi there") < usd(proof)
    assert 3 * usd("你好") < usd("请证明这个定理，逐步推导，并分析算法的复杂度。" * 20)


def test_keywords_are_looked_for():
    triggers = (("证明", "max"),)
    assert chosen(request_of(text="请证明"), triggers=triggers).models[0] in ("acme/m8", "acme/m9")


def firsts(**members):
    return [chosen(request_of(text=f"hello {n}", **members), NEAR).models[0] for n in range(40)]


def test_a_conversation_has_its_model():
    assert len(set(firsts())) > 4
    assert firsts() == firsts()
    assert len({chosen(request_of(text=f"hello {n}"), NEAR, conversation=7).models[0] for n in range(40)}) == 1
    assert len({chosen(request_of(text="hello"), NEAR, conversation=n).models[0] for n in range(1, 40)}) > 4


def test_a_conversation_stays_with_the_model_that_has_its_prompt_in_the_cache_if_that_can_answer():
    pinned = [chosen(request_of(text=f"hello {n}"), NEAR, pinned="c/near").models for n in range(40)]
    assert {models[0] for models in pinned} == {"c/near"}
    assert all(len(set(models)) == len(models) > 1 for models in pinned)
    others = {chosen(request_of(text=f"hello {n}"), NEAR, pinned="gone/model").models[0] for n in range(40)}
    assert len(others) > 4
    assert "c/near" not in chosen(request_of(text="hello"), NEAR, pinned="c/near", models=("a/near",)).models
