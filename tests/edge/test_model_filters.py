"""Each parameter of GET /models that leaves models out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from fairlead.edge.model_filters import CATEGORIES, PARAMETERS, checks_of
from fairlead.edge.query import Query
from fairlead.errors import ApiError

from .catalogues import TEXT_IDS, listing

NOW = 1_750_000_000 + 10 * 86_400
ENDS = ("min", "max")


def asked(**given):
    """The ids that pass, of those that give text unless the query says otherwise."""
    found = listing()
    checks = checks_of(Query(QueryParams(given)), found, NOW)
    return [row.model.id.partition("/")[2] for row in found.rows if all(check(row) for check in checks)]


def refused(**given):
    with pytest.raises(ApiError) as caught:
        asked(**given)
    assert (caught.value.status, [caught.value.param]) == (400, list(given))
    return caught.value.message


def test_without_any_those_that_give_text():
    assert asked() == asked(output_modalities="text") == [model_id.partition("/")[2] for model_id in TEXT_IDS]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("image", ["gpt-9", "painter"]),
        ("text,image", ["gpt-9", "large", "painter", "small"]),
        ("all", ["gpt-9", "large", "painter", "small"]),
        ("embeddings", []),
        ("speech,transcription,rerank,decisions,video,audio", []),
    ],
)
def test_output_modalities(wanted, found):
    assert asked(output_modalities=wanted) == found


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("text", ["gpt-9", "large", "small"]), ("image", ["gpt-9", "large"]), ("image,audio", ["gpt-9"]), ("file", [])],
)
def test_input_modalities(wanted, found):
    assert asked(input_modalities=wanted) == found


def test_supported_parameters():
    assert asked(supported_parameters="tools") == ["gpt-9", "large"]
    assert asked(supported_parameters="tools,seed") == ["large"]
    assert asked(supported_parameters="verbosity") == []
    assert asked(supported_parameters="own_parameter", output_modalities="all") == ["painter"]
    assert "tools" in PARAMETERS


def test_q_searches_id_and_name_for_all_words():
    assert asked(q="GPT") == ["gpt-9"]
    assert asked(q="acme: lar") == ["large"]
    assert asked(q="acme openai") == []


def test_arch():
    assert asked(arch="GPT") == asked(arch="gpt,claude") == ["gpt-9"]


def test_model_authors():
    assert asked(model_authors="acme") == ["large", "small"]
    assert asked(model_authors="acme,openai") == ["gpt-9", "large", "small"]
    assert asked(model_authors="nobody") == []


@pytest.mark.parametrize("provider", ["other", "Other AI", "other/fp8", "nobody,OTHER"])
def test_providers(provider):
    assert asked(providers=provider) == ["large"]


def test_context():
    assert asked(context="8192") == ["gpt-9", "large"]
    assert asked(context="8193") == ["gpt-9"]
    assert asked(context="0") == ["gpt-9", "large", "small"]


def test_prices_are_usd_per_million_tokens_of_the_cheapest():
    assert asked(max_price="0.0125") == ["large"]
    assert asked(max_price="0.0124") == []
    assert asked(min_price="0.02") == ["gpt-9"]
    assert asked(min_price="1", max_price="1") == ["gpt-9"]
    assert asked(min_output_price="4") == ["gpt-9"]
    assert asked(max_output_price="3.99") == ["large"]
    assert asked(min_price="0") == ["gpt-9", "large"], "an unknown price is in no range"


def test_age_in_days():
    assert asked(max_age_days="10") == ["gpt-9"]
    assert asked(min_age_days="10") == ["gpt-9", "large"]
    assert asked(min_age_days="10.1") == ["large"]
    assert asked(max_age_days="9") == []


def test_zdr():
    assert asked(zdr="true") == ["large"]
    assert len(asked(zdr="false")) == 3


def test_nobody_is_known_to_allow_distillation():
    assert asked(distillable="true") == []
    assert len(asked(distillable="false")) == 3


@pytest.mark.parametrize(
    "given",
    [
        *({"category": category} for category in CATEGORIES),
        {"region": "eu"},
        {"region": "us"},
        *(
            {f"{end}_{what}": "0"}
            for end in ENDS
            for what in ("intelligence_index", "coding_index", "agentic_index", "tool_success_rate")
        ),
    ],
    ids=str,
)
def test_what_nobody_knows_no_model_is_known_to_be(given):
    assert asked(**given) == []


def test_filters_add_up():
    assert asked(supported_parameters="tools", model_authors="acme", context="1") == ["large"]


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("output_modalities", "smell", "text, image, embeddings, audio, video, rerank"),
        ("input_modalities", "embeddings", "text, image, audio, file, video"),
        ("supported_parameters", "tool", "tool_choice, tools"),
        ("arch", "vax", "gpt, claude"),
        ("category", "cooking", "programming, roleplay"),
        ("region", "mars", "eu, us"),
        ("zdr", "1", "true, false"),
        ("distillable", "perhaps", "true, false"),
        ("context", "many", "a whole number of 0 or more"),
        *((f"{end}_{what}", "cheap", "a number from 0 up") for end in ENDS for what in ("price", "output_price")),
        *((f"{end}_age_days", "-1", "a number from 0 up") for end in ENDS),
        *((f"{end}_{what}_index", "x", "a number") for end in ENDS for what in ("intelligence", "coding", "agentic")),
        ("min_tool_success_rate", "1.5", "a number from 0 to 1"),
        ("max_tool_success_rate", "-0.5", "a number from 0 to 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_what_may_be(name, value, remedy):
    message = refused(**{name: value})
    assert message.startswith(f"'{name}' is \"{value}\"; send ")
    assert remedy in message


def test_names_that_nobody_knows_are_let_pass():
    assert len(asked(use_mind_reading="true")) == 3


NAMES = [
    "output_modalities", "input_modalities", "supported_parameters", "q", "arch", "model_authors", "providers", "zdr",
    "context", "category", "region", "distillable", "min_price", "max_price", "min_age_days", "max_age_days", "x",
]  # fmt: skip
VALUES = ["text", "all", "image,audio", "1", "-1", "0.5", "1e9", "true", "eu", "tools", "programming", "acme"]


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=12) | st.sampled_from(VALUES), max_size=4))
def test_whatever_is_asked_for_is_read_or_refused(given):
    try:
        assert set(asked(**given)) <= set(asked(output_modalities="all"))
    except ApiError as refusal:
        assert (refusal.status, refusal.param in given) == (400, True)  # noqa: PT017 - either is right
