import dataclasses
import json

import pytest

from fairlead.access.keys import from_token
from fairlead.catalog.model import FREE, Catalog
from fairlead.edge.model_listing import KEYS_REMEMBERED, Listings
from fairlead.edge.price_view import price_view

from .catalogues import CATALOG, DEAR, listing

KEY = from_token("sk-test", "test")
EVERYTHING = ["openai/gpt-9", "acme/large", "openai/painter", "acme/small"]


def listings(catalog=CATALOG, **options):
    return Listings("/v1", lambda: catalog, **options)


def ids(found):
    return [row.model.id for row in found.rows]


def of_key(has_auto=False, **rights):
    return listings(has_auto=has_auto).of_key(dataclasses.replace(KEY, **rights))


class TestCurrent:
    def test_what_is_served_newest_first_and_what_has_no_age_last(self):
        assert ids(listing()) == EVERYTHING

    def test_it_is_made_once_for_each_catalogue(self):
        catalogs = [CATALOG]
        made = Listings("/v1", lambda: catalogs[-1])
        first = made.current()
        assert made.current() is first
        catalogs.append(Catalog(CATALOG.models, {"acme/small": CATALOG.endpoints["acme/small"]}, {}))
        assert ids(made.current()) == ["acme/small"]
        assert made.current() is made.current()

    def test_the_router_is_listed_if_there_is_one(self):
        assert ids(listing(has_auto=True)) == [*EVERYTHING, "openrouter/auto"]

    def test_it_knows_every_parameter(self):
        assert listing().parameters >= {"own_parameter", "tools"}


class TestFind:
    @pytest.mark.parametrize("name", ["acme/large", "large", "acme/large:nitro", "acme/large:floor:online"])
    def test_by_any_name(self, name):
        assert listing().find(name).model.id == "acme/large"
        assert json.loads(listing().json_of(name))["id"] == "acme/large"

    @pytest.mark.parametrize("name", ["acme/none", "acme/unserved", "acme/large/x", "", "auto", "~acme/none-latest"])
    def test_what_is_not_there(self, name):
        assert listing().find(name) is None
        assert listing().json_of(name) is None

    def test_a_free_variant_is_there_if_an_endpoint_costs_nothing(self):
        dear, cheap = CATALOG.endpoints["acme/large"]
        free = dataclasses.replace(cheap, price=FREE)
        found = listing(Catalog(CATALOG.models, {"acme/large": (dear, free)}, {}))
        assert found.find("acme/large:free").endpoints == (free,)
        assert found.find("acme/large").endpoints == (dear, free)
        assert listing().find("acme/large:free") is None

    @pytest.mark.parametrize("name", ["auto", "openrouter/auto"])
    def test_the_router(self, name):
        assert json.loads(listing(has_auto=True).json_of(name))["id"] == "openrouter/auto"

    @pytest.mark.parametrize("variant", ["", ":nitro"])
    def test_the_newest_of_a_family(self, variant):
        shown = json.loads(listing().json_of(f"~openai/gpt-latest{variant}"))
        assert shown["id"] == "~openai/gpt-latest"
        assert shown["alias_target"] == {"slug": "openai/gpt-9", "name": "OpenAI: GPT-9"}


class TestOfKey:
    def test_one_that_may_all_sees_what_everybody_sees(self):
        made = listings()
        assert made.of_key(KEY) is made.current()

    def test_models_that_it_may_not_use_are_left_out(self):
        assert ids(of_key(allowed_models=("openai/*",))) == ["openai/gpt-9", "openai/painter"]

    def test_providers_that_it_may_not_use_are_left_out(self):
        found = of_key(allowed_providers=("acme",))
        assert ids(found) == ["openai/gpt-9", "acme/large", "openai/painter"]
        shown = json.loads(found.json_of("acme/large"))
        assert shown["providers"] == ["acme"]
        assert shown["pricing"] == price_view(DEAR), "the cheapest of those that it may use"

    @pytest.mark.parametrize(
        "preferences",
        ['{"zdr": true}', '{"only": ["other"]}', '{"ignore": ["acme", "local"]}', '{"quantizations": ["fp8"]}'],
    )
    def test_what_its_preferences_rule_out_is_left_out(self, preferences):
        found = of_key(preferences=preferences)
        assert ids(found) == ["acme/large"]
        assert json.loads(found.json_of("acme/large"))["providers"] == ["other"]

    def test_whether_the_router_is_listed_is_the_keys_own_choice(self):
        assert "openrouter/auto" not in ids(of_key(has_auto=True, is_auto_routing=False))
        assert "openrouter/auto" in ids(of_key(is_auto_routing=True))
        assert "openrouter/auto" in ids(of_key(has_auto=True, allowed_models=("acme/*",)))

    def test_the_router_can_do_what_the_keys_models_can(self):
        found = of_key(is_auto_routing=True, allowed_models=("acme/large",))
        assert json.loads(found.json_of("auto"))["context_length"] == 8192

    def test_without_a_model_there_is_no_router(self):
        assert ids(of_key(has_auto=True, allowed_models=("none/*",))) == []

    def test_keys_of_the_same_rights_share_a_listing(self):
        made = listings()
        one, other = (
            dataclasses.replace(from_token(token, token), allowed_models=("acme/*",)) for token in ("sk-1", "sk-2")
        )
        assert made.of_key(one) is made.of_key(other)

    def test_few_of_them_are_kept(self):
        made = listings()
        for n in range(3 * KEYS_REMEMBERED):
            made.of_key(dataclasses.replace(KEY, allowed_models=(f"acme/{n}",)))
        assert len(made._made.for_keys) <= KEYS_REMEMBERED
