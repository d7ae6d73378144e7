"""The first minute: nothing is configured, and yet it answers."""

import json
import os
import re
import shutil
import subprocess

import openai
import pytest
from openai import OpenAI

from fairlead.access.keys import DEMO_KEY
from harness.process import PATIENCE_S, GatewayProcess

from .caller import HELLO, Caller


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with GatewayProcess(tmp_path_factory.mktemp("demo")) as gateway:
        yield gateway


@pytest.fixture
def client(demo):
    with OpenAI(base_url=demo.base_url, api_key=DEMO_KEY) as client:
        yield client


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_the_example_of_the_summary_streams(demo):
    example = re.search(r"^ +curl (?:.*\\\n)*.*$", demo.output, re.MULTILINE)[0]
    with subprocess.Popen(["sh", "-c", example], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as curl:
        parts = []
        while part := os.read(curl.stdout.fileno(), 65536):
            parts.append(part)
        assert curl.wait(PATIENCE_S) == 0
    assert len(parts) > 3, "it came in one piece"
    events = b"".join(parts).decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert "DEMO" in "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])


def test_the_summary_names_everything_one_needs(demo):
    summary = demo.output.partition("Try it")[0]
    for words in (
        f"{demo.url}/v1",
        f"{demo.url}/api/v1",
        f"{demo.url}/openai/v1",
        DEMO_KEY,
        "OPENAI_API_KEY",
        "embedded",
    ):
        assert words in summary
    assert re.search("demo .*demo-swift, demo-steady, demo-thrifty .*simulated", summary)


def test_nobody_can_take_it_for_real(demo, client):
    raw = client.chat.completions.with_raw_response.create(model="demo/chat", messages=HELLO)
    assert "DEMO" in raw.parse().choices[0].message.content
    assert "simulated" in raw.headers["x-fairlead-demo"]
    *listed, router = client.models.list()
    assert router.id == "openrouter/auto"
    assert [model.id for model in listed] == ["demo/chat", "demo/chat-mini", "demo/reasoner"]
    assert all(model.name.startswith("DEMO ") for model in listed)


def test_a_model_costs_what_the_cheapest_provider_asks(client):
    pricing = client.models.retrieve("demo/chat").pricing
    assert (pricing["prompt"], pricing["completion"]) == ("0.00000025", "0.000001")


def test_every_worker_knows_the_models_from_the_first_request(demo):
    for _ in range(20):
        with Caller(demo, DEMO_KEY) as caller:
            assert len(caller.get("/v1/models").json["data"]) == 4, "and the router"


def test_another_key_is_refused(client):
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-other").chat.completions.create(model="demo/chat", messages=HELLO)


def test_with_a_real_provider_the_demo_and_its_key_are_off(shared, model):
    assert "DEMO" not in shared.output
    assert DEMO_KEY not in shared.output
    with Caller(shared, DEMO_KEY) as caller:
        assert caller.chat(model).status == 401
        assert not [listed for listed in caller.get("/v1/models").json["data"] if "DEMO" in listed["name"]]
