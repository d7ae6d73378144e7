from dataclasses import replace

import pytest

from fairlead.catalog.model import FREE, Price
from fairlead.plan.auto_options import NO_OPTIONS, AutoOptions
from fairlead.plan.roster import Roster
from fairlead.plan.wish import ANYTHING
from plan.rosters import ANYONE, GREETING, catalog_of, model, usd

CATALOG = catalog_of(
    model("openai/gpt-5", 1.0),
    model("openai/gpt-5-pro", 15.0),
    model("anthropic/claude-opus", 5.0),
    aliases=[("gpt-5", "openai/gpt-5")],
)


def ids(roster):
    return [entry.model_id for entry in roster.entries]


def test_entries_stand_by_rising_price():
    roster = Roster(CATALOG)
    assert ids(roster) == ["openai/gpt-5", "anthropic/claude-opus", "openai/gpt-5-pro"]
    assert [entry.place for entry in roster.entries] == [0, 1, 2]


def test_a_price_that_nobody_knows_counts_as_the_dearest():
    roster = Roster(catalog_of(model("a/unknown", None), model("a/dear", 9.0), model("a/cheap", 1.0)))
    assert ids(roster) == ["a/cheap", "a/dear", "a/unknown"]
    assert roster.entries[2].usd_per_mtok == roster.entries[1].usd_per_mtok
    assert Roster(catalog_of(model("a/unknown", None))).entries[0].usd_per_mtok > 0.0


def test_what_is_charged_per_request_is_part_of_the_price():
    plain, charged = usd(1.0, 1.0), replace(usd(1.0, 1.0), request=5_000)
    catalog = catalog_of(replace(model("a/charged"), price=charged), replace(model("a/plain"), price=plain))
    assert [entry.usd_per_mtok for entry in Roster(catalog).entries] == [1.0, 2.25]


def test_free_is_what_costs_nothing_somewhere():
    catalog = catalog_of(replace(model("a/x"), price=FREE), replace(model("a/y"), price=Price(0, 0, request=1)))
    assert {entry.model_id: entry.is_free for entry in Roster(catalog).entries} == {"a/x": True, "a/y": False}


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        ((), {"openai/gpt-5", "openai/gpt-5-pro", "anthropic/claude-opus"}),
        (("openai/*",), {"openai/gpt-5", "openai/gpt-5-pro"}),
        (("openai/*", "!*-pro"), {"openai/gpt-5"}),
        (("!openai/*",), {"anthropic/claude-opus"}),
        (("gpt-5",), {"openai/gpt-5"}),
        (("*/gpt-?", "anthropic/claude-opus"), {"openai/gpt-5", "anthropic/claude-opus"}),
        (("nobody/*",), set()),
    ],
)
def test_patterns(patterns, found):
    assert set(ids(Roster(CATALOG, patterns))) == found
    options = AutoOptions(
        tuple(one for one in patterns if one[0] != "!"), tuple(one[1:] for one in patterns if one[0] == "!")
    )
    assert Roster(CATALOG).allowed(ANYONE, options) == found


def test_a_key_allows_ids_and_no_other_spellings():
    roster = Roster(CATALOG)
    assert roster.allowed(replace(ANYONE, allowed_models=("gpt-5",)), NO_OPTIONS) == frozenset()
    assert roster.allowed(replace(ANYONE, allowed_models=("openai/gpt-5",)), NO_OPTIONS) == {"openai/gpt-5"}
    assert roster.allowed(replace(ANYONE, allowed_providers=("q",)), NO_OPTIONS) == frozenset()


def met(features, **facts):
    roster = Roster(catalog_of(model("a/x", **facts)))
    return roster.needs(features, ANYTHING).met_by(roster.entries[0])


def test_what_speaks_or_paints_does_so_when_asked_to():
    voice = {"output_modalities": ("text", "audio")}
    assert met(GREETING, **voice) is False
    assert met(replace(GREETING, outputs=frozenset({"audio"})), **voice) is True
    assert met(replace(GREETING, outputs=frozenset({"image"})), **voice) is False
    assert met(replace(GREETING, outputs=frozenset({"audio"}))) is False


def test_a_prompt_needs_room_and_some_more():
    assert met(replace(GREETING, prompt_tokens=8_000), context_length=10_000) is True
    assert met(replace(GREETING, prompt_tokens=9_000), context_length=10_000) is False
    assert met(replace(GREETING, prompt_tokens=7_000, output_tokens=2_000), context_length=10_000) is False
    assert met(replace(GREETING, prompt_tokens=1_000), context_length=None) is True
    assert met(replace(GREETING, prompt_tokens=9_000), context_length=None) is None


def test_a_reply_longer_than_a_model_gives_may_be_refused():
    assert met(replace(GREETING, output_tokens=9_000), max_completion_tokens=4_000) is None
    assert met(replace(GREETING, output_tokens=4_000), max_completion_tokens=4_000) is True
