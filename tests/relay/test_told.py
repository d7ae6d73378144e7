"""What a reply says in its head of where it comes from."""

import re

import pytest

from fairlead.demo.script import Script
from harness.gateway import gateway
from harness.http import ask, chat_body

pytestmark = pytest.mark.anyio


async def test_where_the_time_went_is_said_in_a_header():
    async with gateway(Script(text="a b c")) as served:
        answer = await ask(served, chat_body())
        assert re.fullmatch(r"gateway;dur=\d+\.\d\d, upstream;dur=\d+\.\d\d", answer.headers["server-timing"])


@pytest.mark.parametrize("stream", [True, False])
async def test_a_reply_says_who_it_is_from_and_in_which_language(stream):
    async with gateway(Script(status=503), Script(text="a b c", headers=(("Content-Language", "de"),))) as served:
        answer = await ask(served, chat_body(stream=stream))
        [record] = served.records
        assert (answer.headers["content-language"], answer.headers["x-fairlead-attempts"]) == ("de", "2")
        assert (answer.headers["x-generation-id"], answer.headers["x-fairlead-provider"]) == (record.id, "sim1")
        answer = await ask(served, chat_body(stream=stream))
        assert "x-fairlead-attempts" not in answer.headers
