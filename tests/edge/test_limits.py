"""The sweep, with a loop that is turned by hand; and the time limits of connections that are swept by hand."""

import asyncio
import select
import socket
import struct

import pytest

from fairlead.edge.limits import Limits, Sweep
from harness.listener import HASTY, chunked, get, listening, post, statuses


class HandLoop:
    """A loop whose only timer fires when told."""

    def __init__(self):
        self.timer = None

    def call_later(self, delay, callback, *args):
        assert self.timer is None
        self.timer = (delay, callback, args)
        return self

    def cancel(self):
        self.timer = None

    def fire(self):
        _, callback, args = self.timer
        self.timer = None
        callback(*args)


class Connection:
    def __init__(self, sweep, paused_socket=None):
        self.sweep = sweep
        self.paused_socket = paused_socket
        self.ages = 0
        self.has_hung_up = False

    def on_sweep(self):
        self.ages += 1
        return self.paused_socket.fileno() if self.paused_socket else None

    def on_hang_up(self):
        self.has_hung_up = True
        self.sweep.discard(self)


class TestSweep:
    @pytest.mark.parametrize(("receive_timeout_s", "interval_s"), [(30.0, 1.0), (4.0, 1.0), (0.2, 0.05)])
    def test_interval_suits_the_timeout(self, receive_timeout_s, interval_s):
        assert Sweep(Limits(receive_timeout_s=receive_timeout_s)).interval_s == interval_s

    def test_age_reached_means_that_the_time_has_passed(self):
        sweep = Sweep(Limits(receive_timeout_s=30.0, total_s=900.0))
        # Progress just before a sweep: the first of n intervals is empty.
        assert (sweep.receive_sweeps - 1) * sweep.interval_s >= 30.0
        assert (sweep.total_sweeps - 1) * sweep.interval_s >= 900.0
        assert sweep.sweeps(0) == 1
        assert sweep.sweeps(1.5) == 3

    def test_one_timer_serves_all_and_ends_with_the_last(self):
        loop, sweep = HandLoop(), Sweep(Limits())
        first, second = Connection(sweep), Connection(sweep)
        sweep.add(first, loop)
        sweep.add(second, loop)
        loop.fire()
        sweep.discard(first)
        loop.fire()
        assert (first.ages, second.ages) == (1, 2)
        sweep.discard(second)
        assert loop.timer is None
        sweep.add(first, loop)
        assert loop.timer is not None

    @pytest.mark.parametrize("is_reset", [False, True], ids=["fin", "reset"])
    def test_kernel_is_asked_about_connections_that_are_not_read(self, is_reset):
        loop, sweep = HandLoop(), Sweep(Limits())
        staying, stays = tcp_pair()
        leaving, leaves = tcp_pair()
        with staying, stays, leaves:
            connections = [Connection(sweep, stays), Connection(sweep, leaves), Connection(sweep)]
            for connection in connections:
                sweep.add(connection, loop)
            leaving.send(b"unread")
            loop.fire()
            assert not any(connection.has_hung_up for connection in connections)

            if is_reset:
                leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            leaving.close()
            departure = select.poll()
            departure.register(leaves, getattr(select, "POLLRDHUP", 0))
            departure.poll()
            loop.fire()
            assert [connection.has_hung_up for connection in connections] == [False, True, False]


def tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        return client, server.accept()[0]


def outlasts(connection, sweeps):
    """Whether the connection is still open and unrefused after so many sweeps."""
    for _ in range(sweeps):
        connection.on_sweep()
    return not connection.transport.is_closing() and not connection.sweep.refusals


async def settled(connection):
    """Return when the kernel takes no more of what the client does not take."""
    left = -1
    while left != (left := connection.transport.get_write_buffer_size()):
        for _ in range(100):
            await asyncio.sleep(0)


@pytest.mark.anyio
class TestAge:
    """`patience` sweeps are one too many, everywhere that the client owes us bytes."""

    @pytest.fixture
    async def listener(self):
        async with listening() as listener:
            yield listener

    @pytest.fixture
    async def client(self, listener):
        return await listener.connect()

    @pytest.fixture
    async def connection(self, listener, client):
        return await listener.connection()

    @pytest.fixture
    def patience(self, listener):
        return listener.protocol.sweep.receive_sweeps

    async def test_each_head_has_its_time_from_its_first_byte(self, connection, client, patience):
        assert outlasts(connection, patience - 1)
        connection.data_received(b"G")
        assert outlasts(connection, patience - 1)
        connection.data_received(get()[1:])
        await client.responses(1)
        assert outlasts(connection, 5)  # uvicorn keeps connections for 5 s
        connection.data_received(b"G")
        assert outlasts(connection, patience - 1)
        connection.data_received(b"E")
        assert not outlasts(connection, 1)
        assert statuses(await client.responses()) == [200, 408]

    async def test_each_piece_of_a_body_has_its_time(self, listener, connection, client, patience):
        head = post("/echo", b"", length=3)
        connection.data_received(head[:5])
        assert outlasts(connection, patience - 1)
        connection.data_received(head[5:])
        await listener.app.seen.get()
        for _ in range(2):
            assert outlasts(connection, patience - 1)
            connection.data_received(b"x")
        assert not outlasts(connection, patience)
        assert statuses(await client.responses()) == [408]

    async def test_a_body_in_tiny_parts_has_its_time_as_a_whole(self, listener, connection, client):
        connection.data_received(post("/echo", b"", length=10_000))
        await listener.app.seen.get()
        for _ in range(listener.protocol.sweep.total_sweeps - 1):
            connection.data_received(b"x")
            assert outlasts(connection, 1)
            await asyncio.sleep(0)
        connection.data_received(b"x")
        assert not outlasts(connection, 1)
        (refusal,) = await client.responses()
        assert refusal.status == 408
        assert refusal.error["message"] == "The body of the request did not arrive within 900 s."
        assert listener.app.bodies == []

    async def test_each_body_has_its_time_as_a_whole(self, listener, connection, client):
        few = listener.protocol.sweep.total_sweeps // 2 + 1
        for count in (1, 2, 3):
            connection.data_received(post("/echo", b"", length=few + 1))
            for _ in range(few):
                connection.data_received(b"x")
                assert outlasts(connection, 1)
                await asyncio.sleep(0)
            connection.data_received(b"x")
            assert statuses(await client.responses(count)) == [200] * count

    async def test_client_that_takes_nothing_is_given_up(self, listener, connection, client):
        client.writer.transport.pause_reading()
        connection.data_received(get("/flood"))
        assert await listener.app.seen.get() == "begun"
        while not connection.flow.write_paused:
            await asyncio.sleep(0)
        await settled(connection)
        assert outlasts(connection, listener.protocol.sweep.total_sweeps)
        assert not outlasts(connection, 1)
        assert [await listener.app.seen.get() for _ in range(2)] == ["gone", "unblocked"]

    async def test_client_that_takes_a_little_is_not(self, listener, connection, client):
        client.writer.transport.pause_reading()
        connection.data_received(get("/flood"))
        while not connection.flow.write_paused:
            await asyncio.sleep(0)
        for _ in range(3):
            await settled(connection)
            assert outlasts(connection, listener.protocol.sweep.total_sweeps)
            unflushed = connection.transport.get_write_buffer_size()
            client.writer.transport.resume_reading()
            while connection.transport.get_write_buffer_size() == unflushed:
                await client.reader.read(100_000)
            client.writer.transport.pause_reading()
        client.reset()

    async def test_time_counts_from_when_the_app_asks(self, listener, connection, client, patience):
        connection.data_received(post("/hold", b"", length=1))
        await listener.app.seen.get()
        assert outlasts(connection, 10 * patience)
        listener.app.release.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert outlasts(connection, patience - 1)
        assert not outlasts(connection, 1)

    async def test_app_that_has_stopped_asking_has_time(self, listener, connection, client, patience):
        connection.data_received(post("/sip", b"x", length=2))
        await listener.app.seen.get()
        assert outlasts(connection, 10 * patience)
        listener.app.release.set()
        connection.data_received(b"y")
        assert statuses(await client.responses(1)) == [200]

    async def test_body_of_a_queued_request_is_not_waited_for(self, listener, connection, client, patience):
        connection.data_received(get("/attend") + post("/echo", b"", length=1))
        while not listener.app.bodies:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert outlasts(connection, 10 * patience)
        listener.app.release.set()
        await client.responses(1)
        connection.data_received(b"x")
        assert statuses(await client.responses(2)) == [200, 200]

    async def test_head_behind_a_running_request_is_waited_for(self, listener, connection, client, patience):
        connection.data_received(get("/hold") + b"G")
        await listener.app.seen.get()
        assert outlasts(connection, patience)
        listener.app.release.set()
        assert statuses(await client.responses()) == [200, 408]

    async def test_time_that_a_queued_request_waited_is_not_the_clients(self, listener, connection, client, patience):
        connection.data_received(get("/hold") + post("/echo", b"x" * 70_000, length=100_000))
        await listener.app.seen.get()
        assert connection.flow.read_paused
        assert outlasts(connection, patience - 1)
        listener.app.release.set()
        await client.responses(1)
        await listener.app.seen.get()
        assert outlasts(connection, patience - 1)
        connection.data_received(b"x" * 30_000)
        assert statuses(await client.responses(2)) == [200, 200]

    async def test_body_nobody_wants_has_its_time_once(self, connection, client, patience):
        connection.data_received(post("/early", b"x", length=9))
        await client.responses(1)
        assert outlasts(connection, patience - 1)
        connection.data_received(b"x")
        assert not outlasts(connection, 1)

    async def test_kept_connection_idles_from_the_last_byte_of_its_request(self, connection, client, patience):
        connection.data_received(post("/early", b"x", length=2))
        await client.responses(1)
        assert outlasts(connection, patience - 1)
        connection.data_received(b"x")
        assert outlasts(connection, 5)
        assert not outlasts(connection, 1)

    async def test_finished_response_must_go_on_being_taken(self, listener, connection, client, patience):
        client.writer.transport.pause_reading()
        connection.data_received(get("/large"))
        while not connection.transport.is_closing():
            await asyncio.sleep(0)
        unflushed = connection.transport.get_write_buffer_size()
        outlasts(connection, patience)
        client.writer.transport.resume_reading()
        while connection.transport.get_write_buffer_size() == unflushed:
            await client.reader.read(100_000)
        outlasts(connection, patience)
        assert connection in listener.server.server_state.connections
        client.writer.transport.pause_reading()


@pytest.mark.anyio
class TestRealTime:
    """The same by the real timer."""

    async def test_silent_connection_is_closed_silently(self):
        async with listening(HASTY) as listener:
            assert await listener.exchange(b"") == []

    async def test_head_must_arrive_in_time_however_it_drips(self):
        async with listening(HASTY) as listener:
            client = await listener.connect()
            await client.send(b"GET / HTTP/1.1\r\nA: ")

            async def drip():
                while True:
                    await client.send(b"x")
                    await listener.sweeps(1)

            dripping = asyncio.create_task(drip())  # noqa: TID251 - a test's own task
            (refusal,) = await client.responses()
            dripping.cancel()
            assert refusal.status == 408
            assert "head" in refusal.error["message"]
            assert listener.app.begun == []

    async def test_body_must_go_on_arriving_while_the_app_waits(self):
        async with listening(HASTY) as listener:
            client = await listener.connect()
            await client.send(post("/echo", b"x", length=2))
            assert [await listener.app.seen.get() for _ in range(3)] == ["begun", "gone", "disconnect"]
            (refusal,) = await client.responses()
            assert refusal.status == 408
            assert "body" in refusal.error["message"]
            assert listener.app.bodies == []

    async def test_response_that_has_begun_is_cut_when_the_body_stops(self):
        async with listening(HASTY) as listener:
            (response,) = await listener.exchange(chunked("/upload", b"1\r\nx\r\n"))
            assert response.body == b"begun"
            assert not response.is_complete

    async def test_client_is_not_blamed_while_reading_is_paused(self):
        async with listening(HASTY) as listener:
            client = await listener.connect()
            body = b"x" * 1_000_000
            sending = asyncio.create_task(client.send(post("/hold", body)))  # noqa: TID251 - a test's own task
            await listener.sweeps(10)
            listener.app.release.set()
            await sending
            await client.responses(1)
            assert listener.app.bodies == [body]

    async def test_client_may_be_silent_while_its_response_runs(self):
        async with listening(HASTY, timeout_keep_alive=0) as listener:
            client = await listener.connect()
            await client.send(get("/stream"))
            await client.until(b"begun")
            await listener.sweeps(10)
            listener.app.release.set()
            (response,) = await client.responses()  # and the kept connection is closed without a byte
            assert response.body == b"begun ended"

    async def test_refused_client_that_stays_is_dropped(self):
        async with listening(HASTY) as listener:
            client = await listener.connect()
            await client.send(b"nonsense\r\n\r\n")
            await listener.until_no_connection()

    async def test_finished_response_that_is_not_taken_is_dropped(self):
        async with listening(HASTY) as listener:
            client = await listener.connect()
            client.writer.transport.pause_reading()
            await client.send(get("/large"))
            await listener.until_no_connection()
            assert listener.protocol.sweep.connections == set()
