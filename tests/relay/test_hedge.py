"""A second attempt beside the first: which of them goes on, and what becomes of the other."""

import asyncio

import pytest

from fairlead.catalog.model import Model
from fairlead.demo.script import Script
from fairlead.health.outcome import Verdict
from fairlead.relay.hedge import Hedging, Race
from harness.gateway import MODEL, gateway
from harness.http import ask, chat_body
from harness.tracing import CALLER, FROM_CALLER, begin_trace, parent_sent

pytestmark = pytest.mark.anyio


@pytest.fixture
def hedged():
    """Makes a gateway that hedges after 20 ms."""

    def make(*scripts, **options):
        return gateway(*scripts, hedging=Hedging(lambda _: 0.02, **options))

    return make


def verdicts(served):
    return [attempt.verdict for attempt in served.records[-1].attempts]


def in_flight(served):
    return [served.board.of(f"sim{n}:acme/large").in_flight for n in range(len(served.simulators))]


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_second_endpoint_answers_for_a_silent_one(hedged, is_stream):
    async with hedged(Script(hang=True), Script(text="second")) as served:
        answer = await ask(served, chat_body(stream=is_stream))
        assert b"second" in answer.body
        assert verdicts(served) == [Verdict.OUTRUN, Verdict.OK]
        await served.simulators[0].wait_for(lambda sim: sim.aborted == 1)
        assert in_flight(served) == [0, 0]
        assert served.failures_in_row("sim0:acme/large") == 0


async def test_the_first_may_still_win(hedged):
    async with hedged(Script(first_byte_delay_s=0.15, text="first"), Script(hang=True)) as served:
        answer = await ask(served, chat_body(stream=True))
        assert b"first" in answer.body
        assert verdicts(served) == [Verdict.OK, Verdict.OUTRUN]
        await served.simulators[1].wait_for(lambda sim: sim.aborted == 1)
        assert in_flight(served) == [0, 0]


async def test_a_quick_answer_is_asked_for_once(hedged):
    async with hedged(Script(text="first"), Script()) as served:
        for _ in range(5):
            await ask(served, chat_body(stream=True))
        assert not served.simulators[1].requests


async def test_both_are_spans_of_the_trace():
    hedging = Hedging(lambda _: 0.02)
    scripts = Script(hang=True), Script(text="second")
    async with gateway(*scripts, hedging=hedging, begin_trace=begin_trace) as served:
        await ask(served, chat_body(), headers=[FROM_CALLER])
        [record] = served.records
        sent = [parent_sent(simulator.requests[0]) for simulator in served.simulators]
        assert sent == [(CALLER.trace_id, attempt.span_id, 1) for attempt in record.attempts]
        assert len(set(sent)) == 2


async def test_no_more_than_the_share(hedged):
    slow = Script(first_byte_delay_s=0.05)
    async with hedged(slow, slow, share=0.0, tokens=2.0) as served:
        for _ in range(5):
            assert (await ask(served, chat_body(stream=True))).status == 200
        assert sum(len(simulator.requests) for simulator in served.simulators) == 7


async def test_when_one_fails_the_other_is_waited_for(hedged):
    async with hedged(Script(first_byte_delay_s=0.15, text="first"), Script(status=500)) as served:
        answer = await ask(served, chat_body(stream=True))
        assert b"first" in answer.body
        assert verdicts(served) == [Verdict.OK, Verdict.TRANSIENT]


async def test_another_model_is_for_failures_not_for_haste():
    models = {Model(MODEL, "Large"): [0], Model("acme/small", "Small"): [1]}
    scripts = Script(first_byte_delay_s=0.1, text="first"), Script(text="second")
    async with gateway(*scripts, models=models, hedging=Hedging(lambda _: 0.02)) as served:
        answer = await ask(served, chat_body(stream=True, models=["acme/small"]))
        assert b"first" in answer.body
        assert not served.simulators[1].requests


async def test_when_both_fail_the_third_is_asked(hedged):
    async with hedged(Script(status=503, first_byte_delay_s=0.05), Script(status=500), Script(text="third")) as served:
        answer = await ask(served, chat_body(stream=True))
        assert b"third" in answer.body
        assert in_flight(served) == [0, 0, 0]


async def test_a_fault_of_the_request_ends_it(hedged):
    async with hedged(Script(status=400, first_byte_delay_s=0.05), Script(hang=True)) as served:
        assert (await ask(served, chat_body(stream=True))).status == 400
        await served.simulators[1].wait_for(lambda sim: sim.aborted == 1)
        assert in_flight(served) == [0, 0]


async def test_a_caller_who_leaves_ends_both(hedged):
    async with hedged(Script(hang=True), Script(hang=True)) as served:
        asking = asyncio.ensure_future(ask(served, chat_body(stream=True)))  # noqa: TID251 - a test's own task
        await served.simulators[1].wait_for(lambda sim: sim.record.seen == 1)
        asking.cancel()
        await served.until(lambda: served.records)
        assert verdicts(served) == [Verdict.GONE, Verdict.GONE]
        for simulator in served.simulators:
            await simulator.wait_for(lambda sim: sim.aborted == 1)
        assert in_flight(served) == [0, 0]


async def test_long_prompts_are_not_sent_twice(hedged):
    long = [{"role": "user", "content": "word " * 4000}]
    async with hedged(Script(first_byte_delay_s=0.1), Script(first_byte_delay_s=0.1)) as served:
        assert (await ask(served, chat_body(messages=long))).status == 200
        assert sum(len(one.requests) for one in served.simulators) == 1


async def test_of_two_winners_one_is_dropped():
    dropped = []
    ready = asyncio.Event()

    async def win(name):
        await ready.wait()
        return name

    async with Race(dropped.append) as race:
        race.start(win("a"))
        race.start(win("b"))
        asyncio.get_running_loop().call_soon(ready.set)
        first = await race.next()
    assert {first, *dropped} == {"a", "b"}
