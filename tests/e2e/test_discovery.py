"""Providers of whom nobody said what they serve are asked, once for all workers."""

from fairlead.demo import DemoModel, Personality
from harness.process import until

from .caller import Caller
from .conftest import provider

KEY = "sk-e2e-discovery-5b"


def serving(*models):
    return Personality(name="lab", models=tuple(DemoModel(model, model, 250_000, 1_000_000) for model in models))


def listed(gateway):
    """What a worker, any of them, says can be asked for."""
    with Caller(gateway, KEY) as caller:
        return {model["id"] for model in caller.get("/v1/models").json["data"]}


def is_listed(gateway, models):
    """Whether every worker says so: that one of two goes unasked has a chance of 2^-19."""
    return all(listed(gateway) - {"openrouter/auto"} == models for _ in range(20))


def test_each_is_asked_once_and_again_while_it_is_down(new_gateway, simulators):
    here, late = (simulators.start(personality=serving(model)) for model in ("acme/here", "acme/late"))
    late.does(refuse=True)
    env = {"FAIRLEAD_WORKERS": "2", "FAIRLEAD_API_KEYS": KEY, **provider("here", here), **provider("late", late)}
    with new_gateway(env) as gateway:
        until(lambda: is_listed(gateway, {"acme/here"}))
        [asked] = here.asked("/models")
        assert asked.header("authorization") == "Bearer sk-e2e-upstream-of-here"
        with Caller(gateway, KEY) as caller:
            assert caller.chat("acme/here").status == 200
            assert caller.chat("acme/late").status == 400
        gateway.expect("models not listed")
        late.does()
        until(lambda: is_listed(gateway, {"acme/here", "acme/late"}))
        assert len(here.asked("/models")) == len(late.asked("/models")) == 1
        with Caller(gateway, KEY) as caller:
            assert caller.chat("acme/late").status == 200
    with new_gateway(env) as gateway:  # what the store knows is not asked for again
        until(lambda: is_listed(gateway, {"acme/here", "acme/late"}))
    assert len(here.asked("/models")) == len(late.asked("/models")) == 1
