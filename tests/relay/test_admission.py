import asyncio
import json

import pytest

from fairlead.demo.script import Script
from fairlead.errors import ApiError
from fairlead.relay.admission import Admission, rank_of
from fairlead.wire.request import ChatRequest
from harness.gateway import gateway
from harness.http import ask, chat_body, request_bytes

pytestmark = pytest.mark.anyio


def request_of(**members):
    return ChatRequest.parse(json.dumps({"model": "a/b", "messages": [], **members}).encode())


SIZE = len(request_of().raw)


class TestAWorker:
    async def test_takes_on_so_many_and_refuses_those_on_top_with_a_word_when_to_come_again(self):
        admission = Admission(2, 1 << 20)
        for _ in range(2):
            await admission.enter(request_of())
        with pytest.raises(ApiError, match="2 requests under way") as caught:
            await admission.enter(request_of())
        assert (caught.value.status, caught.value.error_type) == (503, "provider_overloaded")
        assert 1 <= int(caught.value.headers["retry-after"]) <= 30
        admission.leave(request_of())
        await admission.enter(request_of())
        assert (admission.in_flight, admission.waiting) == (2, 0)

    async def test_holds_so_many_bytes_but_one_that_is_larger_than_that_by_itself(self):
        admission = Admission(100, 2 * SIZE)
        await admission.enter(large := request_of(user="x" * 3 * SIZE))
        with pytest.raises(ApiError, match="bytes of requests"):
            await admission.enter(request_of())
        admission.leave(large)
        for _ in range(2):
            await admission.enter(request_of())
        assert admission.bytes == 2 * SIZE

    async def test_has_room_again_when_a_body_is_needed_no_more(self):
        admission = Admission(100, 2 * SIZE)
        await admission.enter(request := request_of(user="x" * 3 * SIZE))
        waiting = asyncio.ensure_future(admission.enter(request_of()))  # noqa: TID251 - a test's own task
        await asyncio.sleep(0)
        assert admission.waiting == 1
        admission.let_go(request)
        await waiting
        assert (admission.in_flight, admission.bytes, request.raw) == (2, SIZE, b"")
        admission.leave(request)
        assert (admission.in_flight, admission.bytes) == (1, SIZE)

    async def test_lets_those_in_first_who_pay_for_it(self):
        admission = Admission(1, 1 << 20)
        await admission.enter(request_of())
        came = []

        async def come(tier):
            request = request_of(service_tier=tier)
            await admission.enter(request)
            came.append(tier)
            admission.leave(request)

        async with asyncio.TaskGroup() as group:
            for tier in ("flex", "default", "priority"):
                group.create_task(come(tier))
            await asyncio.sleep(0)
            admission.leave(request_of())
        assert came == ["priority", "default", "flex"]
        assert (admission.in_flight, admission.bytes) == (0, 0)

    async def test_forgets_who_leaves_while_waiting(self):
        admission = Admission(1, 1 << 20)
        await admission.enter(request_of())
        waiting = asyncio.ensure_future(admission.enter(request_of()))  # noqa: TID251 - a test's own task
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        admission.leave(request_of())
        assert (admission.in_flight, admission.waiting) == (0, 0)
        await admission.enter(request_of())


@pytest.mark.parametrize(
    ("tier", "rank"), [(None, 1), ("default", 1), ("auto", 1), ("priority", 0), ("fast", 0), ("flex", 2), (7, 1)]
)
def test_rank(tier, rank):
    assert rank_of(request_of(**({} if tier is None else {"service_tier": tier}))) == rank


async def test_a_busy_gateway_answers_503_and_serves_again():
    async with gateway(Script(first_byte_delay_s=0.4), admission=Admission(1, 1 << 20)) as served:
        first = asyncio.ensure_future(ask(served, chat_body()))  # noqa: TID251 - a test's own task
        await served.until(lambda: served.admission.in_flight == 1)
        refused = await ask(served, chat_body(stream=True))
        assert refused.status == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["x-should-retry"] == "true"
        assert (await first).status == 200
        assert (await ask(served, chat_body())).status == 200
        assert len(served.simulators[0].requests) == 2


@pytest.mark.parametrize(
    ("serves", "asks", "is_kept"),
    [({}, {"temperature": 0}, False), ({"resume_tokens": 100}, {}, False), ({"resume_tokens": 100}, {"seed": 1}, True)],
)
async def test_of_a_stream_the_body_is_kept_only_where_it_may_be_asked_for_again(serves, asks, is_kept):
    async with gateway(Script(stall_after=3), **serves) as served:
        body = chat_body(stream=True, user="x" * 10_000, **asks)
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request_bytes(body))
        await reader.readuntil(b"data: ")
        assert (served.admission.in_flight, served.admission.bytes) == (1, len(body) if is_kept else 0)
        writer.close()
        await served.until(lambda: (served.admission.in_flight, served.admission.bytes) == (0, 0))


class TestFullEndpoints:
    def serve(self, *scripts):
        return gateway(*scripts, max_concurrency=1)

    async def test_a_request_waits_for_one_that_ends(self):
        async with self.serve(Script(first_byte_delay_s=0.2)) as served:
            [simulator] = served.simulators
            first = asyncio.ensure_future(ask(served, chat_body()))  # noqa: TID251 - a test's own task
            await simulator.wait_for(lambda sim: sim.record.in_flight == 1)
            second = asyncio.ensure_future(ask(served, chat_body()))  # noqa: TID251 - a test's own task
            await served.until(lambda: any(map(len, served.relay._lines.values())))
            assert simulator.record.seen == 1
            assert [(await first).status, (await second).status] == [200, 200]

    async def test_not_for_long(self):
        async with self.serve(Script(hang=True)) as served:
            hanging = asyncio.ensure_future(ask(served, chat_body()))  # noqa: TID251 - a test's own task
            await served.simulators[0].wait_for(lambda sim: sim.record.seen == 1)
            refused = await ask(served, chat_body())
            assert refused.status == 503
            assert "at its limit of 1 requests at once" in refused.json["error"]["message"]
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.json["error"]["metadata"]["error_type"] == "provider_overloaded"
            hanging.cancel()
