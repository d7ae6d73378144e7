"""What a connection waits with does what asyncio's own does."""

import asyncio

import pytest

from fairlead.edge.signal import Flow, Signal

pytestmark = pytest.mark.anyio


async def waiters(signal, number):
    tasks = [asyncio.ensure_future(signal.wait()) for _ in range(number)]  # noqa: TID251 - a test's own tasks
    await asyncio.sleep(0)
    return tasks


@pytest.mark.parametrize("kind", [Signal, asyncio.Event])
class TestSignal:
    async def test_all_who_wait_go_on_even_if_it_is_cleared_at_once(self, kind):
        signal = kind()
        first, second = await waiters(signal, 2)
        assert not first.done()
        signal.set()
        signal.clear()
        await asyncio.gather(first, second)
        [third] = await waiters(signal, 1)
        assert not third.done()
        signal.set()
        await third

    async def test_nobody_waits_while_it_is_set(self, kind):
        signal = kind()
        signal.set()
        await signal.wait()
        await signal.wait()
        assert signal.is_set()
        signal.clear()
        assert not signal.is_set()

    async def test_who_gives_up_is_forgotten_and_the_others_are_not(self, kind):
        signal = kind()
        first, second = await waiters(signal, 2)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert len(signal._waiters) == 1
        signal.set()
        await second
        assert not signal._waiters

    async def test_who_gives_up_in_the_moment_that_it_is_set(self, kind):
        signal = kind()
        [task] = await waiters(signal, 1)
        task.cancel()
        signal.set()
        with pytest.raises(asyncio.CancelledError):
            await task


class Transport:
    def __init__(self):
        self.said = []

    def pause_reading(self):
        self.said.append("pause")

    def resume_reading(self):
        self.said.append("resume")


async def test_a_flow_waits_while_its_client_is_slow():
    flow = Flow(Transport())
    await flow.drain()
    flow.pause_writing()
    assert flow.write_paused
    waiting = asyncio.ensure_future(flow.drain())  # noqa: TID251 - a test's own task
    await asyncio.sleep(0)
    assert not waiting.done()
    flow.resume_writing()
    await waiting
    assert not flow.write_paused


def test_a_flow_tells_its_transport_once():
    flow = Flow(transport := Transport())
    for _ in range(2):
        flow.pause_reading()
    for _ in range(2):
        flow.resume_reading()
    assert transport.said == ["pause", "resume"]
