"""Writes of one turn over real socket pairs. Between them and the loop stands one who notes each write."""

import asyncio
import socket

import pytest

from fairlead.turn import GATHERED_BYTES, GatheredTransport, Turn

pytestmark = pytest.mark.anyio


class Noting:
    """The loop's own transport; what it is asked to send is noted in `notes`, as (name, bytes)."""

    def __init__(self, transport, name, notes):
        self._transport = transport
        self._name = name
        self._notes = notes

    def write(self, data):
        self._notes.append((self._name, bytes(data)))
        self._transport.write(data)

    def writelines(self, parts):
        parts = list(parts)
        self._notes.append((self._name, parts))
        self._transport.writelines(parts)

    def __getattr__(self, name):
        return getattr(self._transport, name)


class Flow(asyncio.Protocol):
    is_paused = False

    def pause_writing(self):
        self.is_paused = True

    def resume_writing(self):
        self.is_paused = False


class Pairs:
    """Connections that share a turn. `open` returns the gathered side, and the socket of whoever reads."""

    def __init__(self):
        self.turn = Turn()
        self.notes = []
        self._open = []

    async def open(self, name="a"):
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        transport, self.flow = await asyncio.get_running_loop().create_connection(Flow, sock=ours)
        self._open += [theirs, transport]
        return GatheredTransport(Noting(transport, name, self.notes), self.turn), theirs

    def close(self):
        for end in self._open:
            getattr(end, "abort", end.close)()


@pytest.fixture
async def pairs():
    pairs = Pairs()
    yield pairs
    pairs.close()


async def read(sock, size):
    """Exactly `size` bytes."""
    received = b""
    async with asyncio.timeout(5):
        while len(received) < size:
            data = await asyncio.get_running_loop().sock_recv(sock, size - len(received))
            assert data, received
            received += data
    return received


async def read_all(sock):
    received = b""
    async with asyncio.timeout(5):
        while data := await asyncio.get_running_loop().sock_recv(sock, 65_536):
            received += data
    return received


async def test_the_writes_of_a_turn_leave_joined_at_its_end(pairs):
    transport, reader = await pairs.open()
    for data in (b"one ", b"two ", b"three"):
        transport.write(data)
    assert pairs.notes == []
    with pytest.raises(BlockingIOError):
        reader.recv(1)
    await asyncio.sleep(0)
    assert pairs.notes == [("a", b"one two three")]
    assert await read(reader, 13) == b"one two three"


async def test_a_single_write_is_not_copied(pairs):
    transport, reader = await pairs.open()
    transport.write(b"one")
    assert await read(reader, 3) == b"one"
    transport.write(b"two")
    assert await read(reader, 3) == b"two"
    assert pairs.notes == [("a", b"one"), ("a", b"two")]


async def test_several_transports_leave_in_the_order_of_their_first_writes(pairs):
    first, of_first = await pairs.open("first")
    second, of_second = await pairs.open("second")
    first.write(b"1")
    second.write(b"2")
    first.write(b"3")
    assert await read(of_first, 2) == b"13"
    assert await read(of_second, 1) == b"2"
    assert pairs.notes == [("first", b"13"), ("second", b"2")]


async def test_a_part_does_not_wait_for_the_end_of_the_turn(pairs):
    """Nor for what is to be done before the last byte of a reply leaves."""
    transport, reader = await pairs.open()
    pairs.turn.before = lambda: pairs.notes.append(("before", b""))
    transport.write_part(b"one ")
    transport.write_part(b"two ")
    assert pairs.notes == [("a", b"one "), ("a", b"two ")]
    transport.write(b"three ")
    transport.write_part(b"four")
    assert await read(reader, 18) == b"one two three four"
    assert pairs.notes[2:] == [("before", b""), ("a", b"three four")]


async def test_parts_for_a_reader_that_has_left_go_nowhere(pairs):
    transport, _ = await pairs.open()
    transport.abort()
    transport.write_part(b"one")
    assert pairs.notes == []


async def test_what_is_written_in_the_next_turn_is_not_lost(pairs):
    transport, reader = await pairs.open()
    for number in range(10):
        transport.write(b"%d" % number)
        await asyncio.sleep(0)
    assert await read(reader, 10) == b"0123456789"
    assert len(pairs.notes) == 10


async def test_much_is_written_at_once(pairs):
    transport, reader = await pairs.open()
    transport.write(bytes(GATHERED_BYTES))
    assert pairs.notes == []
    transport.write(b"x")
    assert pairs.notes == [("a", bytes(GATHERED_BYTES) + b"x")]
    transport.write(b"y")
    assert await read(reader, GATHERED_BYTES + 2) == bytes(GATHERED_BYTES) + b"xy"


async def test_a_writer_in_a_tight_loop_meets_flow_control(pairs):
    """It never lets the turn end, and must be told all the same that nobody reads."""
    transport, _ = await pairs.open()
    written = 0
    while not pairs.flow.is_paused and written < 50_000_000:
        transport.write(bytes(10_000))
        written += 10_000
    assert written < 5_000_000


async def test_the_buffer_counts_what_has_been_gathered(pairs):
    transport, reader = await pairs.open()
    assert transport.get_write_buffer_size() == 0
    transport.write(b"abc")
    transport.write(b"de")
    assert transport.get_write_buffer_size() == 5
    assert await read(reader, 5) == b"abcde"
    assert transport.get_write_buffer_size() == 0


async def test_lines_leave_at_once_after_what_came_before_them(pairs):
    transport, reader = await pairs.open()
    transport.write(b"head ")
    transport.writelines([b"one ", memoryview(b"two ")])
    assert pairs.notes == [("a", b"head "), ("a", [b"one ", b"two "])]
    transport.write(b"after")
    assert await read(reader, 18) == b"head one two after"


@pytest.mark.parametrize("end", ["close", "write_eof"])
async def test_whatever_ends_the_connection_sends_what_has_been_gathered(pairs, end):
    transport, reader = await pairs.open()
    transport.write(b"last ")
    transport.write(b"words")
    getattr(transport, end)()
    assert await read_all(reader) == b"last words"


async def test_an_abort_sends_nothing(pairs):
    transport, reader = await pairs.open()
    transport.write(b"never")
    transport.abort()
    assert transport.get_write_buffer_size() == 0
    assert await read_all(reader) == b""
    assert pairs.notes == []


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_writing_to_a_closing_transport_is_silent(pairs, end, caplog):
    transport, reader = await pairs.open()
    other, of_other = await pairs.open("other")
    getattr(transport, end)()
    for _ in range(10):
        transport.write(b"too late")
    other.write(b"in time")
    assert await read(of_other, 7) == b"in time"
    assert await read_all(reader) == b""
    assert transport.is_closing()
    assert transport.get_write_buffer_size() == 0
    assert not caplog.records


async def test_what_the_transport_tells_and_takes_reaches_it(pairs):
    transport, _ = await pairs.open()
    assert transport.can_write_eof()
    assert transport.get_extra_info("socket").fileno() > 0
    transport.pause_reading()
    transport.resume_reading()
    assert not transport.is_closing()


async def test_a_fault_of_one_transport_costs_the_others_nothing(pairs):
    loop, faults = asyncio.get_running_loop(), []
    handler = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: faults.append(context["message"]))
    broken, _ = await pairs.open("broken")
    other, of_other = await pairs.open("other")
    broken.write_eof()
    broken.write(b"after the end, which no transport takes")
    other.write(b"one")
    assert await read(of_other, 3) == b"one"
    other.write(b"two")
    assert await read(of_other, 3) == b"two"
    assert broken.is_closing()
    assert faults == ["writing at the end of the turn failed"]
    loop.set_exception_handler(handler)


class TestBefore:
    """What comes before the writes of a turn: whoever is answered is in the books."""

    @pytest.fixture
    async def watched(self, pairs):
        pairs.turn.before = lambda: pairs.notes.append("before")
        return pairs

    async def test_nothing_leaves_before_it(self, watched):
        transport, reader = await watched.open()
        transport.write(b"one")
        assert await read(reader, 3) == b"one"
        assert watched.notes == ["before", ("a", b"one")]

    async def test_of_much_the_last_byte_waits(self, watched):
        transport, reader = await watched.open()
        data = bytes(GATHERED_BYTES) + b"xyz"
        transport.write(data)
        assert watched.notes == [("a", data[:-1])]
        assert transport.get_write_buffer_size() >= 1
        assert await read(reader, len(data)) == data
        assert watched.notes[1:] == ["before", ("a", b"z")]

    @pytest.mark.parametrize("size", [1, GATHERED_BYTES + 1])
    async def test_the_end_of_the_connection_waits_with_it(self, watched, size):
        transport, reader = await watched.open()
        transport.write(bytes(size))
        transport.close()
        assert transport.is_closing()
        assert ("a", b"\0") not in watched.notes
        assert await read_all(reader) == bytes(size)
        assert watched.notes[-2:] == ["before", ("a", b"\0")]

    async def test_a_fault_in_it_costs_nobody_an_answer(self, watched):
        faults = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["message"]))
        watched.turn.before = lambda: 1 / 0
        transport, reader = await watched.open()
        transport.write(b"one")
        assert await read(reader, 3) == b"one"
        assert faults == ["what comes before the writes of a turn failed"]

    async def test_what_was_aborted_does_not_leave(self, watched):
        transport, reader = await watched.open()
        transport.write(b"one")
        transport.close()
        transport.abort()
        assert await read_all(reader) == b""
