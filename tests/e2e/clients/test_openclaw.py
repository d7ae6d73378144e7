"""What OpenClaw sends when it is set up for a GateRouter: `gaterouter/auto`, always streamed, long, with its tools.

It takes a stream that broke off for a success: what fails before the first word must be made good here.
"""

import json

import pytest

from e2e.conftest import CLIENT_KEY, provider
from harness.process import GatewayProcess

from .raw import send

TEXT = "It is done."
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Use {name} when the work in hand asks for it. " * 20,
            "parameters": {
                "type": "object",
                "properties": {"target": {"type": "string"}, "options": {"type": "array", "items": {"type": "string"}}},
                "required": ["target"],
                "additionalProperties": False,
            },
            "strict": False,
        },
    }
    for name in (
        "read", "write", "edit", "apply_patch", "exec", "process", "browser", "canvas", "nodes", "cron", "message",
        "web_fetch",
    )
]  # fmt: skip


def body_of(model):
    """About sixty kilobytes."""
    rules = "Work through the task step by step, and tell what has been done. " * 600
    return {
        "model": model,
        "messages": [
            {"role": "system", "content": rules},
            {"role": "user", "content": [{"type": "text", "text": "Is the build green?"}]},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "store": False,
        "max_completion_tokens": 8192,
        "tools": TOOLS,
    }


@pytest.fixture(scope="module")
def two_upstreams(simulators):
    return [simulators.start() for _ in range(2)]


@pytest.fixture(scope="module")
def gateway(two_upstreams, tmp_path_factory):
    """Two models of one provider each, so that failing over means to exchange the model."""
    env = {"FAIRLEAD_API_KEYS": CLIENT_KEY}
    for number, upstream in enumerate(two_upstreams, 1):
        env |= provider(f"lab{number}", upstream, models=f"acme/m{number}", price_prompt=1, price_completion=2)
    with GatewayProcess(tmp_path_factory.mktemp("openclaw"), env) as gateway:
        yield gateway


@pytest.fixture
def labs(two_upstreams):
    for upstream in two_upstreams:
        upstream.reset()
    yield two_upstreams
    for upstream in two_upstreams:
        upstream.reset()


def chunks_of(stream):
    data = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: ")]
    assert data.pop() == "[DONE]"
    return [json.loads(chunk) for chunk in data]


@pytest.mark.parametrize("base", ["/openai/v1", "/api/v1"])
@pytest.mark.parametrize("model", ["gaterouter/auto", "megarouter/auto", "auto"])
def test_auto(gateway, labs, base, model):
    for lab in labs:
        lab.does(text=TEXT)
    sent = body_of(model)
    assert 50_000 < len(json.dumps(sent)) < 70_000
    status, stream = send(gateway, base, sent)
    assert status == 200, stream
    *said, last = chunks_of(stream)
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in said if chunk["choices"]) == TEXT
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] > 5_000
    assert last["usage"]["cost"] > 0
    [arrived] = [request.json() for lab in labs for request in lab.requests]
    assert arrived["model"].startswith("acme/")
    assert arrived["tools"] == TOOLS
    assert arrived["messages"] == sent["messages"]


def test_auto_fails_over_to_another_model_before_the_first_word(gateway, labs):
    send(gateway, "/openai/v1", body_of("gaterouter/auto"))
    picked, other = sorted(labs, key=lambda lab: len(lab.requests), reverse=True)
    picked.does(text="never heard", token_delay_s=0.001, cut_after=1)
    other.does(text=TEXT)
    status, stream = send(gateway, "/openai/v1", body_of("gaterouter/auto"))
    assert status == 200, stream
    said = [chunk for chunk in chunks_of(stream) if chunk["choices"]]
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in said) == TEXT
    assert [len(picked.requests), len(other.requests)] == [2, 1]
