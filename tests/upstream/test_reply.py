"""A reply from its reader's side. Its source is a list of what it was told."""

import asyncio

import pytest

from fairlead.errors import Truncated
from fairlead.upstream.reply import HIGH_WATER_BYTES, Reply
from upstream.tape import done


class Source:
    def __init__(self):
        self.told = []

    @property
    def loop(self):
        return asyncio.get_running_loop()

    def resume(self):
        self.told.append("resume")

    def abort(self):
        self.told.append("abort")


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def reply(source):
    return Reply(source)


def arrive(reply, *parts):
    for part in parts:
        reply._arrive(part)


def test_what_has_come_is_returned_at_once_and_once(reply):
    arrive(reply, b"a", b"b")
    assert done(reply.read()) == b"ab"
    arrive(reply, b"c")
    assert done(reply.read()) == b"c"
    reply._finish(None)
    assert [done(reply.read()), done(reply.read())] == [b"", b""]


def test_one_part_is_not_copied(reply):
    part = b"part"
    arrive(reply, part)
    assert done(reply.read()) is part


def test_whole_and_read_are_told_apart(reply):
    arrive(reply, b"a")
    assert (reply.is_complete, reply.is_drained) == (False, False)
    reply._finish(None)
    assert (reply.is_complete, reply.is_drained) == (True, False)
    done(reply.read())
    assert (reply.is_complete, reply.is_drained) == (True, True)


def test_the_fault_comes_after_what_came_before_it(reply):
    arrive(reply, b"a")
    reply._finish(Truncated("closed"))
    assert not reply.is_complete
    assert done(reply.read()) == b"a"
    with pytest.raises(Truncated, match="closed"):
        done(reply.read())
    assert not reply.is_drained


def test_headers_are_looked_up_by_name(reply):
    reply._begin(200, b"HTTP/1.1 200 OK\r\nA: 1\r\nb:2 \r\na:3\r\n")
    assert [reply.header(b"a"), reply.header(b"b"), reply.header(b"c")] == [b"1", b"2", b""]


def test_a_reader_that_was_slow_asks_for_more(reply, source):
    arrive(reply, bytes(HIGH_WATER_BYTES))
    done(reply.read())
    assert source.told == []
    arrive(reply, bytes(HIGH_WATER_BYTES), b"x")
    done(reply.read())
    assert source.told == ["resume"]


def test_aborting_reaches_the_source_until_the_end(reply, source):
    reply.abort()
    assert source.told == ["abort"]
    reply._finish(None)
    reply.abort()
    assert source.told == ["abort"]


@pytest.mark.anyio
class TestWaiting:
    @staticmethod
    async def wait_in(tasks, coroutine):
        task = tasks.create_task(coroutine)
        await asyncio.sleep(0)
        assert not task.done()
        return task

    async def test_for_the_head(self, reply):
        async with asyncio.TaskGroup() as tasks:
            waiting = await self.wait_in(tasks, reply.head())
            reply._wake()  # woken for nothing: an interim reply
            await asyncio.sleep(0)
            assert not waiting.done()
            reply.status = 200
            reply._wake()

    async def test_for_content(self, reply):
        async with asyncio.TaskGroup() as tasks:
            waiting = await self.wait_in(tasks, reply.read())
            arrive(reply, b"a")
            arrive(reply, b"b")
            assert await waiting == b"ab"

    async def test_for_the_end(self, reply):
        async with asyncio.TaskGroup() as tasks:
            waiting = await self.wait_in(tasks, reply.read())
            reply._finish(None)
            assert await waiting == b""

    async def test_whoever_waits_wants_more(self, reply, source):
        async with asyncio.TaskGroup() as tasks:
            await self.wait_in(tasks, reply.read())
            assert source.told == ["resume"]
            reply._finish(None)

    @pytest.mark.parametrize("wait", [Reply.head, Reply.read])
    async def test_a_fault_ends_it(self, reply, wait):
        waiting = asyncio.gather(wait(reply), return_exceptions=True)
        await asyncio.sleep(0)
        reply._finish(Truncated("closed"))
        [error] = await waiting
        assert isinstance(error, Truncated)

    @pytest.mark.parametrize("wait", [Reply.head, Reply.read])
    async def test_cancelling_it_aborts(self, reply, source, wait):
        async with asyncio.TaskGroup() as tasks:
            (await self.wait_in(tasks, wait(reply))).cancel()
        assert source.told == ["resume", "abort"]


@pytest.mark.anyio
class TestForwarding:
    """`forward` is fed by the event that brings content; `sink` says whether it wants more."""

    @pytest.fixture
    def got(self):
        return []

    @pytest.fixture
    async def forwarding(self, reply, got):
        """A call that is waiting, and takes up to two parts."""

        def sink(data):
            got.append(data)
            return len(got) < 2

        task = asyncio.gather(reply.forward(sink), return_exceptions=True)
        await asyncio.sleep(0)
        yield task
        task.cancel()

    async def test_what_has_come_already_is_returned(self, reply, got):
        arrive(reply, b"a")
        assert await reply.forward(got.append) == b"a"
        assert got == []

    async def test_content_goes_through_at_once(self, reply, got, forwarding):
        assert reply._arrive(b"a")
        assert got == [b"a"]

    async def test_a_sink_that_has_enough_stops_it(self, reply, got, forwarding):
        for part, wants_more in ((b"a", True), (b"b", False), (b"c", True)):
            assert reply._arrive(part) is wants_more
        assert got == [b"a", b"b"]
        assert await forwarding == [b"c"]

    async def test_at_the_end_the_rest_is_returned(self, reply, got, forwarding):
        for part in (b"a", b"b"):
            reply._arrive_last(part)
        reply._finish(None)
        assert await forwarding == [b"ab"]
        assert got == []
        assert await reply.forward(got.append) == b""

    async def test_a_fault_comes_with_the_next_call(self, reply, got, forwarding):
        reply._arrive_last(b"a")
        reply._finish(Truncated("closed"))
        assert await forwarding == [b"a"]
        with pytest.raises(Truncated):
            await reply.forward(got.append)

    async def test_cancelling_it_aborts(self, reply, got, source, forwarding):
        forwarding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await forwarding
        assert source.told == ["resume", "abort"]
        reply._arrive(b"late")
        assert got == []
