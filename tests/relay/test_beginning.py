"""What is held of a reply before anything is promised: never more than is allowed, whatever a provider sends."""

import json

import pytest

from fairlead.demo.script import Script
from fairlead.health.outcome import Verdict
from harness.gateway import gateway
from harness.http import ask, chat_body, events

pytestmark = pytest.mark.anyio

OPENROUTER = "/api/v1/chat/completions"
MIB = 1024 * 1024
ADAPTED = [OPENROUTER, "/v1/responses"]
BUFFERS = 8 * MIB
"""What of a reply may be under way in sockets besides."""


def serve(*scripts, **options):
    return gateway(*scripts, max_reply_bytes=MIB, **options)


def body_for(path, *, stream=False):
    if not path.endswith("responses"):
        return chat_body(stream=stream)
    return json.dumps({"model": "acme/large", "input": "hi", "stream": stream}).encode()


def sent_by(served, number=0):
    return served.simulators[number].record.bytes_sent


async def all_left(served):
    await served.until(lambda: not any(simulator.record.in_flight for simulator in served.simulators))


TOO_LARGE = {
    "says so": Script(flood_bytes=50 * MIB),
    "has no end": Script(endless="body"),
}


@pytest.mark.parametrize("path", ADAPTED)
@pytest.mark.parametrize("how", ["says so", "has no end"])
class TestAReplyThatHasToBeHeldAndIsTooLarge:
    async def test_is_asked_for_elsewhere(self, path, how):
        async with serve(TOO_LARGE[how], Script(text="small enough")) as served:
            answer = await ask(served, body_for(path), path=path)
            assert b"small enough" in answer.body
            [record] = served.records
            assert [one.verdict for one in record.attempts] == [Verdict.OVERSIZE, Verdict.OK]
            assert "FAIRLEAD_MAX_REPLY_BYTES" in record.attempts[0].message
            await all_left(served)
            assert sent_by(served) < BUFFERS

    async def test_alone_is_an_honest_error(self, path, how):
        async with serve(TOO_LARGE[how]) as served:
            answer = await ask(served, body_for(path), path=path)
            assert (answer.status, "sent more than fits" in answer.json["error"]["message"]) == (502, True)
            assert (served.records[0].end, served.records[0].cost_usd_nanos) == ("error", None)
            await all_left(served)
            assert sent_by(served) < BUFFERS

    async def test_does_not_take_the_endpoint_from_others(self, path, how):
        """A caller can ask for so much: several images."""
        async with serve(TOO_LARGE[how]) as served:
            for _ in range(6):
                await ask(served, body_for(path), path=path)
            assert served.failures_in_row("sim0:acme/large") == 0


async def test_one_of_just_the_size_is_not():
    size = MIB
    async with serve(Script(flood_bytes=size)) as served:
        assert (await ask(served, chat_body(), path=OPENROUTER)).status == 200
        served.simulators[0].script = Script(flood_bytes=size + 1)
        assert (await ask(served, chat_body(), path=OPENROUTER)).status == 502


async def test_where_it_need_not_be_held_it_passes_as_it_comes():
    async with serve(Script(flood_bytes=3 * MIB)) as served:
        answer = await ask(served, chat_body())
        assert (answer.status, len(answer.body), answer.is_whole) == (200, 3 * MIB, True)


@pytest.mark.parametrize("path", ["/v1/chat/completions", *ADAPTED])
async def test_comments_without_end_are_not_heaped_up(path):
    """Until there is content they are kept back; then the caller has to take them."""
    async with serve(Script(endless="comments", cut_after=30)) as served:
        answer = await ask(served, body_for(path, stream=True), path=path)
        assert answer.status == 200
        assert answer.body.count(b": wait") == 1 + 29 * 2048
        assert [one.verdict for one in served.records[0].attempts] == [Verdict.CUT]


@pytest.mark.parametrize("path", ADAPTED)
@pytest.mark.parametrize("what", ["event", "body"])
async def test_an_event_without_end_ends_the_stream_with_an_error(path, what):
    """And the provider is not read on, though the caller has all it gets."""
    async with serve(Script(endless=what)) as served:
        answer = await ask(served, body_for(path, stream=True), path=path)
        assert (answer.status, answer.is_whole) == (200, True)
        assert b"an event that is too long" in answer.body
        assert events(answer.body)[-1] == b"[DONE]"
        assert (served.records[0].end, served.records[0].attempts[0].verdict) == ("cut", Verdict.CUT)
        await all_left(served)
        assert sent_by(served) < BUFFERS


async def test_a_response_without_end_ends_with_an_error():
    """All that is said stands in its last event again."""
    async with serve(Script(endless="text")) as served:
        answer = await ask(served, body_for(ADAPTED[1], stream=True), path=ADAPTED[1])
        last = json.loads(events(answer.body)[-2])
        assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")
        assert "more than can be held" in last["response"]["error"]["message"]
        assert (served.records[0].end, served.records[0].attempts[0].verdict) == ("cut", Verdict.CUT)
        await all_left(served)
        assert sent_by(served) < BUFFERS
