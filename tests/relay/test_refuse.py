import random
from types import MappingProxyType

import pytest

from fairlead.access.keys import ApiKey
from fairlead.catalog.model import Catalog, Endpoint, Model, Provider
from fairlead.health.board import HealthBoard
from fairlead.plan.plan import Planner
from fairlead.plan.score import Ask
from fairlead.plan.wish import Wish
from fairlead.relay.refuse import no_endpoints, unknown_model
from fairlead.wire.errors import error_object

ANYBODY = ApiKey("h", "", "")
MODEL = Model("acme/large", "Acme: Large", supported_parameters=frozenset(["seed"]))
ENDPOINTS = tuple(Endpoint(Provider(slug, slug.title(), "http://x"), MODEL, "m", None) for slug in ("one", "two"))
CATALOG = Catalog(MappingProxyType({MODEL.id: MODEL}), MappingProxyType({MODEL.id: ENDPOINTS}), MappingProxyType({}))


def refused(wish, *, drained=False, key=ANYBODY):
    endpoints = ENDPOINTS
    if drained:
        endpoints = tuple(Endpoint(Provider("one", "One", "http://x", weight=0), MODEL, "m", None) for _ in range(1))
    planner = Planner(HealthBoard(), random.Random(1))
    plan = planner.plan_among(MODEL.id, endpoints, lambda _: Ask(), 1.0, wish)
    return no_endpoints(plan, [MODEL.id], key, wish)


@pytest.mark.parametrize(
    ("wish", "code", "excluded_by", "text"),
    [
        (Wish(needs=frozenset(["tools"])), "constraint_filtered", ["require_parameters"], "that support tool use"),
        (
            Wish(needs=frozenset(["top_k"])),
            "constraint_filtered",
            ["require_parameters"],
            "One: it does not support top_k",
        ),
        (Wish(is_zdr=True), "privacy_restricted", ["data_policy:zdr"], "zero data retention"),
        (Wish(denies_collection=True), "privacy_restricted", ["data_policy:training"], "Two: it may keep what is sent"),
        (
            Wish(ignore=frozenset(["one", "two"])),
            "constraint_filtered",
            ["allowed_providers"],
            "'provider.ignore' names it",
        ),
    ],
    ids=["tools", "top_k", "zdr", "collection", "ignore"],
)
def test_which_preference_left_whom_out(wish, code, excluded_by, text):
    refusal = refused(wish)
    assert text in refusal.message
    told = error_object(refusal)
    assert (told["code"], told["http_status"], told["error_type"]) == (404, 404, "not_found")
    availability = told["availability"]
    assert (availability["code"], availability["excluded_by"]) == (code, excluded_by)
    assert (availability["retryable"], availability["requested_models"]) == (False, [MODEL.id])
    assert availability["affected_providers"] == ["one", "two"]


def test_what_passes_by_itself_may_be_tried_again():
    refusal = refused(Wish(), drained=True)
    assert (refusal.status, refusal.headers["retry-after"]) == (503, "1")
    assert (refusal.availability["code"], refusal.availability["retryable"]) == ("temporarily_unavailable", True)


def test_names_that_nobody_knows():
    refusal = unknown_model(CATALOG, "acme/lage")
    assert refusal.message == "acme/lage is not a valid model ID. Did you mean acme/large?"
    assert refusal.availability["code"] == "model_not_found"
    assert unknown_model(CATALOG, "lage").message.startswith("provider routing is not configured: lage is not a valid")
    assert len(unknown_model(CATALOG, "x/" + "y" * 10_000).message) < 400


@pytest.mark.parametrize("limits", [{"allowed_models": ("other/*",)}, {"allowed_providers": ("nobody",)}], ids=str)
def test_what_a_key_may_not_use_is_forbidden_not_missing(limits):
    key = ApiKey("h", "", "", **limits)
    refusal = refused(Wish(key=key), key=key)
    assert (refusal.status, refusal.error_type) == (403, "permission_denied")


def test_a_key_and_a_preference_together_leave_nobody():
    key = ApiKey("h", "", "", allowed_providers=("one",))
    refusal = refused(Wish(key=key, ignore=frozenset(["one"])), key=key)
    assert refusal.status == 404
    assert "No allowed providers are available for the selected model" in refusal.message
    assert "Two: the API key may not use it" in refusal.message
