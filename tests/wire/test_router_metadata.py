import json
from types import SimpleNamespace

import pytest

from fairlead.catalog.model import Endpoint, Model, Provider
from fairlead.wire.router_metadata import Routing, wants_metadata


def endpoint(provider, model="acme/large"):
    return Endpoint(
        Provider(slug=provider, name=provider.title(), base_url="https://x"), Model(id=model, name=model), "large", None
    )


def tried(provider, status):
    return SimpleNamespace(provider=provider, status=status)


FIRST, SECOND = endpoint("one"), endpoint("two")


def told(routing, asked="acme/large", attempts=(), **more):
    return json.loads(routing.json(asked, attempts, **more))


def test_tells_who_could_answer_and_who_did():
    attempts = [tried("one", 0), tried("two", 200)]
    assert told(Routing([FIRST, SECOND], SECOND), attempts=attempts, generation_s=1.2344) == {
        "requested": "acme/large",
        "strategy": "direct",
        "region": None,
        "summary": "available=2, selected=Two",
        "attempt": 2,
        "is_byok": False,
        "endpoints": {
            "total": 2,
            "available": [
                {"provider": "One", "model": "acme/large", "selected": False},
                {"provider": "Two", "model": "acme/large", "selected": True},
            ],
        },
        "attempts": [
            {"provider": "One", "model": "acme/large", "status": 0},
            {"provider": "Two", "model": "acme/large", "status": 200},
        ],
        "generation_time": 1234,
    }


def test_of_a_request_that_reached_nobody():
    found = told(Routing())
    assert (found["attempt"], found["attempts"], found["summary"]) == (0, [], "available=0")


def test_of_one_provider_twice_the_models_follow_each_other():
    routing = Routing([FIRST, endpoint("one", "acme/small")])
    found = told(routing, attempts=[tried("one", 503), tried("one", 200), tried("one", 200)])
    assert [one["model"] for one in found["attempts"]] == ["acme/large", "acme/small", ""]


@pytest.mark.parametrize(
    ("asked", "served", "strategy"),
    [
        ("acme/large", FIRST, "direct"), ("acme/large:nitro", FIRST, "direct"), ("large", FIRST, "alias"),
        ("auto", FIRST, "auto"), ("openrouter/auto", FIRST, "auto"), ("openrouter/free", FIRST, "free"),
        ("~acme/large-latest", FIRST, "latest"), ("acme/large", endpoint("one", "acme/small"), "fallback"),
    ],
)  # fmt: skip
def test_how_the_model_was_found(asked, served, strategy):
    assert told(Routing([FIRST, served], served), asked)["strategy"] == strategy


@pytest.mark.parametrize(
    ("fields", "is_wanted"),
    [
        ({}, False),
        ({b"x-openrouter-metadata": b"Enabled"}, True),
        ({b"x-openrouter-metadata": b"true"}, False),
        ({b"x-openrouter-experimental-metadata": b"enabled"}, True),
    ],
)
def test_who_asks(fields, is_wanted):
    assert wants_metadata(fields) is is_wanted
