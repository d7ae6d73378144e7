"""The plugin of `llm` for OpenRouter: it reads our list of models; its prompts go to the Responses API."""

import pytest

from .matrix import Client

PLUGIN = Client("uses_llm_openrouter.py", "/api/v1", {})


@pytest.fixture
def plugin(ask_of):
    return ask_of(PLUGIN)


def test_it_knows_our_models_and_what_they_can_do(plugin, model):
    told = plugin.ask("models", model).value()
    assert model in told["ids"]
    assert told["with_tools"] == told["ids"]


def test_it_asks(plugin, solo, model):
    solo.does(text="Rain.")
    assert plugin.ask("plain", model).value()["text"] == "Rain."
