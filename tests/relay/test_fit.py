import json

import pytest

from fairlead.catalog.model import Model
from fairlead.demo.script import Script
from harness.gateway import MODEL, gateway
from harness.http import ask, chat_body

pytestmark = pytest.mark.anyio

SMALL = {Model(MODEL, "Small", context_length=1000): [0]}
LARGE = {Model(MODEL, "Large", context_length=9000): [0]}
LONG = [{"role": "user" if n % 2 == 0 else "assistant", "content": f"{n} " + "word " * 200} for n in range(61)]


async def sent(body, models, path="/v1/chat/completions"):
    async with gateway(Script(), models=models) as served:
        assert (await ask(served, body, path=path)).status == 200
        return json.loads(served.simulators[0].requests[0].body)["messages"]


def body(**members):
    return json.dumps({"model": MODEL, "messages": LONG, **members}).encode()


@pytest.mark.parametrize(
    "members",
    [{"transforms": ["middle-out"]}, {"plugins": [{"id": "context-compression"}]}],
    ids=["transforms", "plugin"],
)
@pytest.mark.parametrize("models", [SMALL, LARGE], ids=["small", "large"])
async def test_what_is_too_long_loses_its_middle_where_that_is_asked_for(members, models):
    messages = await sent(body(**members), models)
    assert len(messages) < len(LONG)
    assert messages[-1]["content"].startswith(LONG[-1]["content"][:20])
    assert len(json.dumps(messages)) / 4 < next(iter(models)).context_length


@pytest.mark.parametrize(
    ("path", "members", "is_cut"),
    [
        ("/v1", {}, False),
        ("/openai/v1", {}, False),
        ("/api/v1", {}, True),
        ("/api/v1", {"transforms": []}, False),
        ("/api/v1", {"plugins": [{"id": "context-compression", "enabled": False}]}, False),
    ],
    ids=str,
)
async def test_by_default_only_for_openrouters_callers_and_small_models(path, members, is_cut):
    messages = await sent(body(**members), SMALL, f"{path}/chat/completions")
    assert (messages != LONG) == is_cut
    assert await sent(body(**members), LARGE, f"{path}/chat/completions") == LONG


async def test_what_fits_is_left_alone():
    assert await sent(chat_body(transforms=["middle-out"]), SMALL) == [{"role": "user", "content": "hi"}]


async def test_a_large_body_is_worked_on_beside_the_event_loop():
    messages = [{"role": "user", "content": "word " * 20_000}] * 20
    raw = json.dumps({"model": MODEL, "messages": messages, "transforms": ["middle-out"]}).encode()
    async with gateway(Script(), models=LARGE, max_body_bytes=1 << 23) as served:
        assert (await ask(served, raw)).status == 200
        assert len(served.simulators[0].requests[0].body) < 40_000
