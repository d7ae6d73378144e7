"""Kept connections: who gets which, and that no place is ever lost or counted twice."""

import asyncio
import contextlib
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead import clock
from fairlead.errors import ConnectError
from fairlead.upstream.client import UpstreamClient
from fairlead.upstream.connect import tls_context
from fairlead.upstream.origin import Origin
from fairlead.upstream.pool import Pool, PoolLimits
from upstream.peer import OK, ask
from upstream.tape import NO_SOCKET, Tape

PART = OK[:-1]
LAST = OK.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
ORIGIN = Origin(False, "provider.test", 80)
CONTEXT = tls_context()
LIMITS = PoolLimits(max_connections=2, max_age_s=100.0, keep_alive_s=10.0)


@dataclass(eq=False)
class Line:
    """A connection as far as the pool looks at it."""

    opened_at: float = 0.0
    idle_since: float = 0.0
    is_usable: bool = True

    def close(self):
        self.is_usable = False


@pytest.fixture
def pool():
    return Pool(LIMITS)


class TestKept:
    def test_the_latest_is_taken_first(self, pool):
        lines = [Line(), Line(), Line()]
        for line in lines:
            pool.give_back(line)
        assert [pool.take(1.0) for _ in range(4)] == [*reversed(lines), None]

    @pytest.mark.parametrize(("now", "is_fit"), [(14.9, True), (15.0, False)])
    def test_not_when_idle_for_too_long(self, pool, now, is_fit):
        line = Line(idle_since=5.0)
        pool.give_back(line)
        assert pool.take(now) is (line if is_fit else None)
        assert line.is_usable is is_fit

    @pytest.mark.parametrize(("now", "is_fit"), [(99.9, True), (100.0, False)])
    def test_not_when_too_old(self, pool, now, is_fit):
        line = Line(idle_since=95.0)
        pool.give_back(line)
        assert pool.take(now) is (line if is_fit else None)
        assert line.is_usable is is_fit

    def test_one_too_old_to_be_kept_is_closed(self, pool):
        line = Line(idle_since=100.0)
        pool.give_back(line)
        assert (line.is_usable, pool.idle_count) == (False, 0)

    def test_one_that_has_closed_is_passed_over(self, pool):
        lines = [Line(), Line()]
        for line in lines:
            pool.give_back(line)
        lines[1].close()
        assert pool.take(1.0) is lines[0]

    def test_a_sweep_closes_what_is_past_its_time(self, pool):
        lines = [Line(idle_since=0.0), Line(idle_since=5.0)]
        for line in lines:
            pool.give_back(line)
        pool.close_expired(12.0)
        assert [line.is_usable for line in lines] == [False, True]

    def test_all_can_be_closed(self, pool):
        lines = [Line(), Line()]
        for line in lines:
            pool.give_back(line)
        pool.close_idle()
        assert [line.is_usable for line in lines] == [False, False]

    def test_one_that_is_gone_is_forgotten(self, pool):
        line = Line()
        pool.reserve()
        pool.give_back(line)
        pool.forget(line)
        assert (pool.idle_count, pool.open_count) == (0, 0)


def test_places_are_limited(pool):
    assert [pool.reserve() for _ in range(3)] == [True, True, False]
    pool.release_place()
    assert [pool.reserve() for _ in range(2)] == [True, False]


@pytest.mark.anyio
class TestWaiting:
    @pytest.fixture
    def full(self, pool):
        while pool.reserve():
            pass
        return pool

    @staticmethod
    async def queue(pool, count):
        waiting = [asyncio.gather(pool.wait(), return_exceptions=True) for _ in range(count)]
        await asyncio.sleep(0)
        return waiting

    async def test_first_come_first_served(self, full):
        first, second, third = await self.queue(full, 3)
        lines = [Line(), Line()]
        full.give_back(lines[0])
        full.release_place()
        full.give_back(lines[1])
        assert [await first, await second, await third] == [[lines[0]], [None], [lines[1]]]
        assert (full.open_count, full.idle_count) == (2, 0)

    async def test_an_old_connection_is_closed_and_its_place_handed_on(self, full):
        [waiting] = await self.queue(full, 1)
        line = Line(idle_since=100.0)
        full.give_back(line)
        assert not waiting.done()
        full.forget(line)
        assert await waiting == [None]
        assert full.open_count == 2

    async def test_whoever_left_is_passed_over(self, full):
        first, second = await self.queue(full, 2)
        first.cancel()
        await asyncio.sleep(0)
        full.release_place()
        assert await second == [None]

    @pytest.mark.parametrize("is_late", [False, True], ids=["before the next", "and nobody is left"])
    async def test_whoever_leaves_while_being_served_hands_it_on(self, full, is_late):
        [first, *others] = await self.queue(full, 1 if is_late else 2)
        line = Line()
        full.give_back(line)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        if is_late:
            assert full.take(1.0) is line
        else:
            assert await others[0] == [line]
        assert full.open_count == 2

    @pytest.mark.parametrize("is_late", [False, True], ids=["before the next", "and nobody is left"])
    async def test_and_so_with_a_place(self, full, is_late):
        [first, *others] = await self.queue(full, 1 if is_late else 2)
        full.release_place()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        if not is_late:
            assert await others[0] == [None]
        assert full.open_count == (1 if is_late else 2)


class LiveTape(Tape):
    """A tape whose connection is lost a turn after it was aborted, as with a real transport."""

    def __init__(self, connection, loop):
        super().__init__()
        self.connection = connection
        self.is_busy = self.is_lost = False
        self._loop = loop

    def write(self, data):
        assert not self.is_aborted, "a request on a closed connection"
        assert not self.is_busy, "two requests at once"
        self.is_busy = True

    def abort(self):
        if not self.is_aborted:
            self.is_aborted = True
            self._loop.call_soon(self._lose)

    def _lose(self):
        self.is_lost = True
        self.connection.connection_lost(None)


class HandConnector:
    """Connections open, or fail to, when the test says so."""

    def __init__(self):
        self.opening = []
        self.tapes = []

    async def open(self, origin, factory):
        loop = asyncio.get_running_loop()
        permit = loop.create_future()
        self.opening.append(permit)
        try:
            is_closed = await permit
        finally:
            self.opening.remove(permit)
        tape = LiveTape(factory(NO_SOCKET), loop)
        tape.connection.connection_made(tape)
        self.tapes.append(tape)
        if is_closed:
            tape.connection.eof_received()
            await asyncio.sleep(0)
        return tape.connection


class World:
    """A client with two places, everyone who asks it for something, and everything that can happen to them.

    Each of the methods that take a `pick` is one event, to whichever the pick falls on, if there is one. Several may
    happen in one turn of the loop.
    """

    PLACES = 2

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.connector = HandConnector()
        self.client = UpstreamClient(CONTEXT, pool_limits=PoolLimits(max_connections=self.PLACES))
        self.client._connector = self.connector
        self.pool = self.client._pools[ORIGIN] = Pool(self.client._pool_limits)
        self.asking = []
        self.replies = []

    def ask(self, pick):
        task = self.loop.create_task(ask(self.client, ORIGIN))
        task.add_done_callback(self._answered)
        self.asking.append(task)

    def _answered(self, task):
        self.asking.remove(task)
        if not task.cancelled() and task.exception() is None:
            self.replies.append(task.result())

    def connect(self, pick):
        if permits := self.permits:
            permits[pick % len(permits)].set_result(False)

    def connect_and_close(self, pick):
        if permits := self.permits:
            permits[pick % len(permits)].set_result(True)

    def refuse(self, pick):
        if permits := self.permits:
            permits[pick % len(permits)].set_exception(ConnectError("refused"))

    def answer(self, pick, wire=OK):
        if busy := [tape for tape in self.tapes if tape.is_busy and not tape.is_aborted]:
            tape = busy[pick % len(busy)]
            tape.is_busy = wire is PART
            tape.connection.data_received(wire)

    def answer_in_part(self, pick):
        self.answer(pick, PART)

    def answer_too_much(self, pick):
        self.answer(pick, OK + b"surplus")

    def answer_and_announce_a_close(self, pick):
        self.answer(pick, LAST)

    def close(self, pick):
        if tapes := [tape for tape in self.tapes if not tape.is_aborted]:
            tapes[pick % len(tapes)].connection.eof_received()

    def cancel(self, pick):
        if self.asking:
            self.asking[pick % len(self.asking)].cancel()

    def abort(self, pick):
        if self.replies:
            self.replies[pick % len(self.replies)].abort()

    def grow_old(self, pick):
        if tapes := self.tapes:
            tapes[pick % len(tapes)].connection.opened_at -= 1000.0

    def sweep(self, pick):
        self.pool.close_expired(clock.monotonic())

    @property
    def permits(self):
        return [permit for permit in self.connector.opening if not permit.done()]

    @property
    def tapes(self):
        """Of connections that are not gone."""
        return [tape for tape in self.connector.tapes if not tape.is_lost]

    def turn(self, count):
        for _ in range(count):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
            assert len(self.tapes) <= self.pool.open_count <= self.PLACES

    def check(self):
        """Nothing is under way, so everything must add up."""
        taken = len(self.tapes) + len(self.connector.opening)
        busy = sum(tape.is_busy for tape in self.tapes)
        reading = sum(not reply.is_complete for reply in self.replies)
        assert self.pool.open_count == taken
        assert self.pool.idle_count == len(self.tapes) - busy, "a connection is kept by nobody"
        assert busy <= len(self.asking) + reading, "a connection works for nobody"
        if len(self.asking) > busy + len(self.connector.opening):
            assert (taken, self.pool.idle_count) == (self.PLACES, 0), "someone waits in vain"

    def end(self):
        for task in self.asking:
            task.cancel()
        self.turn(1)
        self.client.close()
        self.turn(5)
        with contextlib.closing(self.loop):
            assert (self.asking, self.tapes, self.pool.open_count) == ([], [], 0)


EVENTS = [
    World.sweep, World.ask, World.ask, World.connect, World.connect, World.connect_and_close, World.refuse,
    World.answer, World.answer, World.answer_in_part, World.answer_too_much, World.answer_and_announce_a_close,
    World.close, World.cancel, World.abort, World.grow_old,
]  # fmt: skip
SETTLED = 12
"""Turns of the loop after which nothing is under way any more."""


EVENT = st.tuples(st.sampled_from(EVENTS), st.integers(0, 9), st.sampled_from([0, 0, 1, 2, SETTLED]))


@given(st.lists(EVENT, min_size=40, max_size=80))
@settings(deadline=None, max_examples=300)
def test_no_place_is_lost_or_taken_twice(events):
    world = World()
    try:
        for event, pick, turns in events:
            event(world, pick)
            world.turn(turns)
            if turns == SETTLED:
                world.check()
    finally:
        world.end()


def test_a_connection_that_closes_while_being_handed_over_leaves_its_place():
    world = World()
    for event in (World.ask, World.ask, World.ask, World.connect, World.connect):
        event(world, 0)
        world.turn(SETTLED)
    world.answer(0)
    world.close(0)
    world.turn(SETTLED)
    assert (len(world.asking), len(world.connector.opening)) == (2, 1)
    world.check()
    world.end()
