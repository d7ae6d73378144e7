"""From a provider's bytes, fed by hand into a real connection, to what is written to the caller."""

import asyncio
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.catalog.pricing import Usage
from fairlead.errors import Truncated
from fairlead.relay.pump import pump
from fairlead.relay.tap import Tap
from fairlead.wire.openrouter_chunks import ChunkAdapter
from fairlead.wire.openrouter_shape import Identity
from upstream.tape import Deck

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


async def turns():
    for _ in range(5):
        await asyncio.sleep(0)


class Caller:
    """The part of `Downstream` that a pump uses. After the writes of the numbers `slow_after` it is slow."""

    def __init__(self, slow_after=()):
        self.writes = []
        self._slow_after = slow_after
        self._taken = asyncio.Event()
        self._taken.set()

    @property
    def is_slow(self):
        return not self._taken.is_set()

    async def drained(self):
        await self._taken.wait()

    def write(self, data, *, is_last):
        assert not any(last for _, last in self.writes), "written after the end"
        self.writes.append((data, is_last))
        if len(self.writes) in self._slow_after:
            self._taken.clear()

    def take(self):
        """It has caught up."""
        self._taken.set()

    @property
    def content(self):
        return b"".join(data for data, _ in self.writes)


class Pumping:
    """A pump at work: `feed` is the provider, `caller` the caller. `content` has been read before it began."""

    def __init__(self, first=b"", slow_after=(), content=b"", deadline=math.inf):
        self.deck = Deck(loop=asyncio.get_running_loop())
        self.reply = self.deck.send()
        self.deck.feed(HEAD + first)
        self.caller, self.tap = Caller(slow_after), Tap()
        self._content = content
        self.deadline = deadline

    async def __aenter__(self):
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self.work = self._group.create_task(self._run())
        await asyncio.sleep(0)
        return self

    async def _run(self):
        try:
            await pump(self.reply, self._content, self.caller, self.tap, self.deadline)
        except Truncated as error:
            return error
        return None

    async def __aexit__(self, *failure):
        async with asyncio.timeout(5):
            return await self._group.__aexit__(*failure)


async def test_content_is_written_in_the_event_that_brings_it():
    async with Pumping(content=b"read before ") as pumping:
        assert pumping.caller.writes == [(b"read before ", False)]
        pumping.deck.feed(chunk(b"one "))
        assert pumping.caller.writes[1:] == [(b"one ", False)]
        pumping.deck.feed(chunk(b"two"))
        assert pumping.caller.writes[2:] == [(b"two", False)]
        pumping.deck.feed(END)
    assert pumping.caller.writes[3:] == [(b"", True)]
    assert pumping.tap.size == 19
    assert pumping.tap.tail == b"read before one two"
    assert pumping.deck.is_kept


async def test_the_last_content_and_the_end_are_one_write():
    async with Pumping() as pumping:
        pumping.deck.feed(chunk(b"one"))
        pumping.deck.feed(chunk(b"two") + END)
    assert pumping.caller.writes == [(b"one", False), (b"two", True)]


async def test_a_reply_that_has_been_read_whole_is_one_write():
    async with Pumping() as pumping:
        pumping.deck.feed(chunk(b"whole") + END)
    assert pumping.caller.writes == [(b"whole", True)]


async def test_what_was_read_whole_before_is_one_write():
    deck, caller, tap = Deck(), Caller(), Tap()
    reply = deck.send()
    deck.feed(HEAD + chunk(b"whole") + END)
    content = await reply.read()
    await pump(reply, content, caller, tap, math.inf)
    assert caller.writes == [(b"whole", True)]
    assert tap.size == 5


async def test_a_caller_that_is_slow_stops_the_reading_until_it_has_caught_up():
    """What had been read already is passed on: it takes memory there as here."""
    async with Pumping(slow_after={1}) as pumping:
        deck, caller = pumping.deck, pumping.caller
        deck.feed(chunk(b"one ") + chunk(b"two "))
        assert deck.tape.is_paused
        await turns()
        assert caller.content == b"one two "
        deck.feed(chunk(b"three "))  # it was on its way already
        await turns()
        assert caller.content == b"one two "
        assert deck.tape.is_paused
        caller.take()
        await turns()
        assert caller.content == b"one two three "
        assert not deck.tape.is_paused
        deck.feed(chunk(b"four") + END)
    assert caller.writes[-1] == (b"four", True)


@pytest.mark.parametrize("is_slow", [False, True])
async def test_the_fault_is_raised_after_what_came_before_it(is_slow):
    async with Pumping(slow_after={1} if is_slow else ()) as pumping:
        pumping.deck.feed(chunk(b"one "))
        pumping.deck.feed(chunk(b"two "))
        pumping.deck.end()
        pumping.caller.take()
    assert isinstance(pumping.work.result(), Truncated)
    assert pumping.caller.writes == [(b"one ", False), (b"two ", False)]
    assert pumping.tap.tail == b"one two "


async def test_the_provider_is_let_go_when_the_caller_is():
    async with Pumping() as pumping:
        pumping.deck.feed(chunk(b"one"))
        pumping.work.cancel()
    assert pumping.deck.tape.is_aborted
    assert pumping.caller.writes == [(b"one", False)]


@given(
    contents=st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=8),
    cuts=st.sets(st.integers(1, 200)),
    slow_after=st.sets(st.integers(1, 10)),
    is_broken=st.booleans(),
)
async def test_however_bytes_come_and_are_taken_it_is_the_same_content(contents, cuts, slow_after, is_broken):
    wire = b"".join(map(chunk, contents)) + (b"" if is_broken else END)
    borders = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]
    async with Pumping(slow_after=slow_after) as pumping:
        for start, stop in itertools.pairwise(borders):
            pumping.deck.feed(wire[start:stop])
            await asyncio.sleep(0)
        if is_broken:
            pumping.deck.end()
        while not pumping.work.done():
            pumping.caller.take()
            await asyncio.sleep(0)
    assert pumping.caller.content == b"".join(contents)
    assert isinstance(pumping.work.result(), Truncated) is is_broken
    assert [last for _, last in pumping.caller.writes].count(True) == (not is_broken)
    assert pumping.tap.size == len(pumping.caller.content)


async def test_with_an_adapter_the_caller_gets_its_events_and_the_tap_what_came():
    said = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
    adapter = ChunkAdapter(Identity("gen-1", "Acme", "acme/large", 5), lambda _: None, Usage, str)
    deck, caller, tap = Deck(loop=asyncio.get_running_loop()), Caller(), Tap()
    reply = deck.send()
    deck.feed(HEAD + chunk(said[20:]) + END)
    await pump(reply, said[:20], caller, tap, math.inf, adapter=adapter)
    first, usage, done = caller.content.removesuffix(b"\n\n").split(b"\n\n")
    assert first.startswith(b'data: {"id":"gen-1",')
    assert b'"usage":{' in usage
    assert done == b"data: [DONE]"
    assert (tap.tail, tap.size) == (said, len(said))


async def test_a_caller_is_not_waited_for_beyond_the_deadline():
    deck, caller = Deck(loop=asyncio.get_running_loop()), Caller(slow_after={1})
    reply = deck.send()
    deck.feed(HEAD + chunk(b"one"))
    with pytest.raises(TimeoutError):
        await pump(reply, b"read before", caller, Tap(), 0.0)
    assert caller.content == b"read before"
