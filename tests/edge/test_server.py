"""A whole uvicorn server in the test's own event loop."""

import asyncio
import contextlib
import signal
import socket

import pytest

from fairlead.edge.limits import Limits
from fairlead.edge.protocol import guarded_protocol
from fairlead.edge.server import _LOOK_S, StartFailed, WorkerServer
from fairlead.errors import ConfigError

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


class Supervisor:
    """The other end of the worker's supervision."""

    def __init__(self):
        self.ours, self.theirs = socket.socketpair()
        self.heard = []
        self.is_ready = asyncio.Event()
        self.has_pulse = asyncio.Event()

    def fileno(self):
        return self.theirs.fileno()

    def ready(self):
        self.heard.append("ready")
        self.is_ready.set()

    def alive(self):
        self.has_pulse.set()

    def leaving(self):
        self.heard.append("leaving")

    def let_go(self):
        self.ours.close()

    def close(self):
        self.ours.close()
        self.theirs.close()


class App:
    """Answers when the test says so; what it is told is in `told`."""

    def __init__(self):
        self.told = []
        self.in_flight = 0
        self.arrived = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.startup_error = None
        self.startup_words = None
        self.shutdown_error = None

    def begin(self):
        self.told.append("begin")

    def end_endless(self):
        self.told.append("end endless")

    def expire(self):
        self.told.append("expire")

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.live(receive, send)
            return
        self.arrived.set()
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.told.append("cancelled")
            raise
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def live(self, receive, send):
        await receive()
        if self.startup_words is not None:
            await send({"type": "lifespan.startup.failed", "message": self.startup_words})
        if self.startup_error is not None:
            raise self.startup_error
        if self.startup_words is not None:
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.told.append("shutdown")
        if self.shutdown_error is not None:
            raise self.shutdown_error
        await send({"type": "lifespan.shutdown.complete"})


class Served:
    """A server that runs, with its application, supervisor and clients."""

    def __init__(self, **options):
        self.options = {"keep_alive_s": 60.0, "drain_delay_s": 0.0, "drain_timeout_s": 60.0, **options}
        self.clients = []
        self.app = App()
        self.supervisor = Supervisor()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.server = WorkerServer(self.app, guarded_protocol(Limits()), self.app, self.supervisor, **self.options)

    async def __aenter__(self):
        self.run = asyncio.get_running_loop().create_task(self.server.serve([self.listener]))
        await asyncio.wait(
            [self.run, asyncio.get_running_loop().create_task(self.supervisor.is_ready.wait())],
            return_when=asyncio.FIRST_COMPLETED,
        )
        return self

    async def __aexit__(self, *exc_info):
        self.app.may_answer.set()
        self.supervisor.let_go()
        with contextlib.suppress(Exception):
            await self.end()
        for client in self.clients:
            client.writer.close()
            with contextlib.suppress(OSError):
                await client.writer.wait_closed()
        self.supervisor.close()
        self.listener.close()

    async def end(self):
        async with asyncio.timeout(30):
            await self.run

    async def connect(self):
        client = Client(*await asyncio.open_connection(*self.address))
        self.clients.append(client)
        return client


class Client:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    def ask(self):
        self.writer.write(GET)

    async def answer(self):
        """The head of a reply whose body is whole; None when the connection ends instead."""
        try:
            async with asyncio.timeout(30):
                head = await self.reader.readuntil(b"\r\n\r\n")
                assert await self.reader.readexactly(2) == b"ok"
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return None
        return head

    async def get(self):
        self.ask()
        return await self.answer()

    async def is_closed(self):
        async with asyncio.timeout(30):
            with contextlib.suppress(ConnectionResetError):
                return await self.reader.read() == b""
        return True


@pytest.fixture
async def served():
    async with Served() as running:
        yield running


def is_last(head):
    return b"connection: close" in head.lower()


async def test_says_ready_once_it_serves(served):
    assert served.supervisor.heard == ["ready"]
    head = await (await served.connect()).get()
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\ndate: " in head
    assert b"server:" not in head
    assert not is_last(head)


async def test_says_again_and_again_that_its_loop_turns(served):
    for _ in range(2):
        served.supervisor.has_pulse.clear()
        async with asyncio.timeout(30):
            await served.supervisor.has_pulse.wait()


async def test_when_let_go_it_ends_without_turning_readiness_off(served):
    served.supervisor.let_go()
    await served.end()
    assert served.supervisor.heard == ["ready", "leaving"]
    assert served.app.told == ["end endless", "shutdown"]
    with pytest.raises(ConnectionRefusedError):
        await served.connect()


async def test_sigterm_turns_readiness_off_and_goes_on_serving_for_the_delay():
    async with Served(drain_delay_s=600.0) as served:
        kept = await served.connect()
        assert not is_last(await kept.get())
        signal.raise_signal(signal.SIGTERM)
        while not served.app.told:
            await asyncio.sleep(0)
        assert served.app.told == ["begin", "end endless"]
        assert served.supervisor.heard == ["ready", "leaving"]
        assert is_last(await kept.get())
        assert is_last(await (await served.connect()).get())
        served.server.handle_exit(signal.SIGTERM, None)  # changes nothing
        assert is_last(await (await served.connect()).get())
        served.supervisor.let_go()  # ends the delay
        await served.end()
        assert served.app.told == ["begin", "end endless", "shutdown"], "once, whatever follows"


async def test_the_delay_ends_by_itself():
    async with Served(drain_delay_s=0.01) as served:
        served.server.handle_exit(signal.SIGTERM, None)
        await served.end()


async def test_an_exchange_is_finished(served):
    client = await served.connect()
    served.app.may_answer.clear()
    client.ask()
    await served.app.arrived.wait()
    served.supervisor.let_go()
    while served.server.servers[0].is_serving():
        await asyncio.sleep(0)
    served.app.may_answer.set()
    assert is_last(await client.answer())
    await served.end()


async def test_a_request_on_its_way_to_a_kept_connection_is_served(served):
    kept = await served.connect()
    await kept.get()
    fresh = await served.connect()
    served.supervisor.let_go()
    while served.server.servers[0].is_serving():
        await asyncio.sleep(0)
    for client in (kept, fresh):
        assert is_last(await client.get())
    await served.end()


@pytest.mark.parametrize("turns", range(6))
async def test_what_is_accepted_in_the_turn_of_closing_is_served(served, turns):
    """A connection may be with the loop before any protocol of ours knows it."""
    served.app.may_answer.clear()
    loop = asyncio.get_running_loop()

    def close_after(turns):
        loop.call_soon(close_after, turns - 1) if turns else served.server._close()

    with socket.create_connection(served.address) as client:
        client.sendall(GET)
        close_after(turns)
        arrival = loop.create_task(served.app.arrived.wait())
        await asyncio.wait([arrival, served.run], return_when=asyncio.FIRST_COMPLETED)
        if arrival.done():
            assert served.app.told == []
        served.app.may_answer.set()
        await served.end()
        arrival.cancel()


async def test_what_the_kernel_has_accepted_and_we_have_not_is_served(served, monkeypatch):
    """Its caller has a connection, and has sent its request: closing the listener would reset it."""
    late = []

    async def shutdown(sockets, do_it=served.server.shutdown):
        late.append(socket.create_connection(served.address))
        late[0].sendall(GET)
        await do_it(sockets)

    monkeypatch.setattr(served.server, "shutdown", shutdown)
    served.supervisor.let_go()
    await served.end()
    with late[0] as client:
        client.settimeout(30)
        assert is_last(client.recv(65536))


async def test_a_connection_that_came_at_the_end_of_a_long_delay_may_still_send_its_request(served, monkeypatch):
    monkeypatch.setattr("fairlead.edge.server._LINGER_S", 30.0)
    client = await served.connect()
    while not served.server.server_state.connections:
        await asyncio.sleep(0)
    served.supervisor.let_go()
    while served.server._drain_began_at is None:
        await asyncio.sleep(0)
    served.server._drain_began_at -= 1000.0
    for _ in range(5):
        await asyncio.sleep(_LOOK_S)
    assert is_last(await client.get())
    await served.end()


async def test_an_idle_connection_does_not_hold_it_up(served):
    idle = await served.connect()
    await idle.get()
    served.supervisor.let_go()
    assert await idle.is_closed()
    await served.end()


async def test_it_waits_for_exchanges_whose_client_has_left(served):
    served.app.in_flight = 1
    served.supervisor.let_go()
    done, _ = await asyncio.wait([served.run], timeout=0.1)
    assert not done
    served.app.in_flight = 0
    await served.end()


async def test_what_is_open_when_the_time_is_over_is_told_then_cut(monkeypatch):
    monkeypatch.setattr("fairlead.edge.server._EXPIRY_S", 0.05)
    async with Served(drain_timeout_s=0.0) as served:
        served.app.may_answer.clear()
        client = await served.connect()
        client.ask()
        await served.app.arrived.wait()
        served.supervisor.let_go()
        await served.end()
        assert await client.answer() is None
        assert served.app.told == ["end endless", "expire", "cancelled", "shutdown"]


async def test_what_ends_when_told_is_not_cut():
    async with Served(drain_timeout_s=0.0) as served:
        served.app.expire = served.app.may_answer.set
        served.app.may_answer.clear()
        client = await served.connect()
        client.ask()
        await served.app.arrived.wait()
        served.supervisor.let_go()
        assert is_last(await client.answer())
        await served.end()


@pytest.mark.parametrize("words", [None, "Traceback: as Starlette sends it"])
async def test_an_application_that_cannot_start_is_an_exception(words, caplog):
    served = Served()
    served.app.startup_error = ConfigError("FAIRLEAD_X: no good")
    served.app.startup_words = words
    async with served:
        with pytest.raises(ConfigError, match="FAIRLEAD_X: no good"):
            await served.end()
    assert served.supervisor.heard == []
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_an_application_may_also_say_why_it_cannot_start():
    served = Served()
    served.app.startup_words = "no cheese"
    async with served:
        with pytest.raises(StartFailed, match="no cheese"):
            await served.end()


async def test_an_error_at_the_end_is_logged(served, caplog):
    served.app.shutdown_error = KeyError("lost")
    served.supervisor.let_go()
    await served.end()
    assert [record.message for record in caplog.records] == ["the application failed at its shutdown"]


def test_takes_nothing_from_the_environment(monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "many")
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")

    async def app(scope, receive, send):
        raise NotImplementedError

    limits = {"keep_alive_s": 74.5, "drain_delay_s": 0.0, "drain_timeout_s": 0.0}
    config = WorkerServer(app, guarded_protocol(Limits()), App(), None, **limits).config
    assert (config.workers, config.forwarded_allow_ips, config.timeout_keep_alive) == (1, [], 75)
    assert config.loaded_app is app
