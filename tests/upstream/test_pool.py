"""Kept connections: who gets which, and that no place is ever lost or counted twice."""

import asyncio
import contextlib
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

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


class PoolMachine(RuleBasedStateMachine):
    """Any order of events, any of them within one turn of the loop."""

    MAX = 2
    picks = st.integers(0, 9)

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.connector = HandConnector()
        self.client = UpstreamClient(CONTEXT, pool_limits=PoolLimits(max_connections=self.MAX))
        self.client._connector = self.connector
        self.pool = self.client._pools[ORIGIN] = Pool(self.client._pool_limits)
        self.asking = []
        self.replies = []

    @property
    def alive(self):
        return [tape for tape in self.connector.tapes if not tape.is_lost]

    @initialize(asking=st.integers(0, 4))
    def begin(self, asking):
        for _ in range(asking):
            self.ask()
        self.settle()
        for permit in self.connector.opening:
            permit.set_result(False)
        self.settle()

    @rule()
    def ask(self):
        task = self.loop.create_task(ask(self.client, ORIGIN))
        task.add_done_callback(self._answered)
        self.asking.append(task)

    def _answered(self, task):
        self.asking.remove(task)
        if not task.cancelled() and task.exception() is None:
            self.replies.append(task.result())

    @precondition(lambda self: self.connector.opening)
    @rule(pick=picks, is_closed=st.sampled_from([False, False, False, True]))
    def connect(self, pick, is_closed):
        permit = self.connector.opening[pick % len(self.connector.opening)]
        if not permit.done():
            permit.set_result(is_closed)

    @precondition(lambda self: self.connector.opening)
    @rule(pick=picks)
    def refuse(self, pick):
        permit = self.connector.opening[pick % len(self.connector.opening)]
        if not permit.done():
            permit.set_exception(ConnectError("refused"))

    @precondition(lambda self: any(tape.is_busy for tape in self.alive))
    @rule(pick=picks, wire=st.sampled_from([OK, OK, PART, OK + b"surplus", LAST]))
    def answer(self, pick, wire):
        busy = [tape for tape in self.alive if tape.is_busy]
        tape = busy[pick % len(busy)]
        if not tape.is_aborted:
            tape.is_busy = wire == PART
            tape.connection.data_received(wire)

    @precondition(lambda self: self.alive)
    @rule(pick=picks)
    def end(self, pick):
        tape = self.alive[pick % len(self.alive)]
        if not tape.is_aborted:
            tape.connection.eof_received()

    @precondition(lambda self: self.asking)
    @rule(pick=picks)
    def cancel(self, pick):
        self.asking[pick % len(self.asking)].cancel()

    @precondition(lambda self: self.replies)
    @rule(pick=picks)
    def abort(self, pick):
        self.replies[pick % len(self.replies)].abort()

    @precondition(lambda self: self.alive)
    @rule(pick=picks)
    def grow_old(self, pick):
        self.alive[pick % len(self.alive)].connection.opened_at -= 1000.0

    @rule()
    def sweep(self):
        self.pool.close_expired(clock.monotonic())

    @rule(count=st.integers(1, 4))
    def turn(self, count):
        for _ in range(count):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    @rule()
    def settle(self):
        self.turn(12)
        taken = len(self.alive) + len(self.connector.opening)
        assert self.pool.open_count == taken
        busy = sum(tape.is_busy for tape in self.alive)
        read = sum(not reply.is_complete for reply in self.replies)
        assert busy <= len(self.asking) + read, "a connection works for nobody"
        assert self.pool.idle_count == len(self.alive) - busy, "a connection is kept by nobody"
        if len(self.asking) > busy + len(self.connector.opening):
            assert (taken, self.pool.idle_count) == (self.MAX, 0), "someone waits in vain"

    @invariant()
    def places_are_not_exceeded(self):
        assert len(self.alive) <= self.pool.open_count <= self.MAX

    def teardown(self):
        for task in self.asking:
            task.cancel()
        self.turn(1)
        self.client.close()
        self.turn(5)
        with contextlib.closing(self.loop):
            assert (self.asking, self.alive, self.pool.open_count) == ([], [], 0)


TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
