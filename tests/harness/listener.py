"""A real uvicorn server around a recording app, and a client that writes bytes as it pleases."""

import asyncio
import contextlib
import json
import socket
from dataclasses import dataclass, field

import httptools
from uvicorn import Config, Server

from fairlead.edge.limits import Limits
from fairlead.edge.protocol import guarded_protocol

DEFAULT = Limits()

HASTY = Limits(receive_timeout_s=0.1)
"""For tests that wait for a time limit; it is swept every 25 ms."""


def get(path="/a", *fields):
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *fields, "", ""]).encode()


def post(path, body, *fields, length=None):
    """A request whose content-length is that of `body`, or `length`."""
    length = len(body) if length is None else length
    return get(path, f"Content-Length: {length}", *fields).replace(b"GET", b"POST", 1) + body


def chunked(path, rest):
    return get(path, "Transfer-Encoding: chunked").replace(b"GET", b"POST", 1) + rest


def statuses(responses):
    return [response.status for response in responses]


class Recorder:
    """A raw ASGI app. The path chooses what it does; it notes what it was asked and what became of it."""

    def __init__(self):
        self.begun = []  # (method, raw_path), as each request reaches the app
        self.bodies = []  # each body that was received whole
        self.scopes = []
        self.seen = asyncio.Queue()  # "begun", "gone" (by callback), "disconnect" (by receive), in order
        self.release = asyncio.Event()

    async def __call__(self, scope, receive, send):
        self.begun.append((scope["method"], scope["raw_path"]))
        self.scopes.append(scope)
        caller = scope["extensions"]["fairlead.connection"]
        self.seen.put_nowait("begun")
        caller.on_gone(lambda: self.seen.put_nowait("gone"))
        await getattr(self, scope["path"].strip("/").split("/")[0] or "echo", self.echo)(scope, receive, send)

    async def body(self, receive):
        """Return the body, or None if the client left."""
        parts = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.seen.put_nowait("disconnect")
                return None
            parts.append(message["body"])
            if not message["more_body"]:
                self.bodies.append(b"".join(parts))
                return self.bodies[-1]

    async def echo(self, scope, receive, send):
        """Answer with method, path and body, with a length."""
        body = await self.body(receive)
        if body is not None:
            await reply(send, b"%s %s %s" % (scope["method"].encode(), scope["raw_path"], body))

    async def hold(self, scope, receive, send):
        """Echo once released."""
        await self.release.wait()
        await self.echo(scope, receive, send)

    async def chunked(self, scope, receive, send):
        """Two pieces without a length."""
        await self.body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"transfer-encoding", b"chunked")]})
        await send({"type": "http.response.body", "body": b"one ", "more_body": True})
        await send({"type": "http.response.body", "body": b"two", "more_body": False})

    async def stream(self, scope, receive, send):
        """Begin a response; end it once released."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await self.release.wait()
        await send({"type": "http.response.body", "body": b" ended", "more_body": False})

    async def aloof(self, scope, receive, send):
        """Once released, answer without asking for the body."""
        await self.release.wait()
        await reply(send, b"aloof")

    async def sip(self, scope, receive, send):
        """Echo, but after the first piece of the body wait to be released."""
        await receive()
        await self.release.wait()
        await self.echo(scope, receive, send)

    async def late(self, scope, receive, send):
        """Answer, and then do to the caller what no longer concerns it."""
        await reply(send, b"late")
        scope["extensions"]["fairlead.connection"].abort()

    async def early(self, scope, receive, send):
        """Answer without asking for the body."""
        await reply(send, b"early")

    async def farewell(self, scope, receive, send):
        """Answer without asking for the body, and close."""
        await reply(send, b"farewell", (b"connection", b"close"))

    async def upload(self, scope, receive, send):
        """Begin the response, then read the body."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        if await self.body(receive) is not None:
            await send({"type": "http.response.body", "body": b" ended", "more_body": False})

    async def listen(self, scope, receive, send):
        """Take the body, then wait for the disconnect."""
        await self.body(receive)
        await self.body(receive)

    async def attend(self, scope, receive, send):
        """Wait for the disconnect and for the release at once; answer after the release."""
        body = await self.body(receive)
        disconnect = asyncio.create_task(receive())  # noqa: TID251 - a test's own task
        await self.release.wait()
        await reply(send, body)
        assert (await disconnect)["type"] == "http.disconnect"

    async def abort(self, scope, receive, send):
        """Begin a response and abort it."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        scope["extensions"]["fairlead.connection"].abort()

    async def unfinished(self, scope, receive, send):
        """Begin a response and return, which is a fault."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})

    async def large(self, scope, receive, send):
        """More than any socket buffers, then close."""
        await reply(send, b"x" * 20_000_000, (b"connection", b"close"))

    async def flood(self, scope, receive, send):
        """Write until the buffer is full and nobody is there any more."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not scope["extensions"]["fairlead.connection"].is_gone:
            await send({"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True})
        self.seen.put_nowait("unblocked")


async def reply(send, body, *headers):
    headers = [(b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


@dataclass
class Response:
    status: int = 0
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    is_complete: bool = False

    @property
    def error(self):
        return json.loads(self.body)["error"]


class ResponseReader:
    """Cuts what a connection sent into responses."""

    def __init__(self):
        self.responses = []
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self):
        self.responses.append(Response())

    def on_header(self, name, value):
        self.responses[-1].headers[name.decode().lower()] = value.decode()

    def on_headers_complete(self):
        self.responses[-1].status = self.parser.get_status_code()

    def on_body(self, body):
        self.responses[-1].body += body

    def on_message_complete(self):
        self.responses[-1].is_complete = True


class Client:
    """One connection. `received` are the raw bytes so far; `was_reset` if it ended by RST."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.received = b""
        self.was_reset = False
        self.cutter = ResponseReader()

    async def send(self, data):
        self.writer.write(data)
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def _read(self):
        try:
            data = await self.reader.read(65_536)
        except ConnectionResetError:
            self.was_reset = True
            return False
        self.received += data
        if data:
            self.cutter.parser.feed_data(data)
        return bool(data)

    async def until(self, text):
        """Read until `text` has been received."""
        while text not in self.received:
            assert await self._read(), self.received

    async def responses(self, count=None):
        """Return `count` complete responses, or, without a count, all that came before the connection ended."""
        if count is None:
            while await self._read():
                pass
        else:
            while sum(response.is_complete for response in self.cutter.responses) < count:
                assert await self._read(), self.received
        return self.cutter.responses

    def half_close(self):
        self.writer.write_eof()

    def reset(self):
        """Leave by RST."""
        self.writer.transport.abort()


class SweepCounter:
    """A connection that only counts sweeps."""

    def __init__(self, count):
        self.left = count
        self.is_done = asyncio.Event()

    def on_sweep(self):
        self.left -= 1
        if self.left <= 0:
            self.is_done.set()


class Listener:
    """A running server; `app` and `protocol` for a look inside."""

    def __init__(self, server, app, protocol, address):
        self.server = server
        self.app = app
        self.protocol = protocol
        self.address = address
        self._clients = []

    async def connect(self):
        client = Client(*await asyncio.open_connection(*self.address))
        self._clients.append(client)
        return client

    async def exchange(self, data):
        """Send `data` on a new connection and return all responses, when the server has closed it."""
        client = await self.connect()
        await client.send(data)
        return await client.responses()

    async def connection(self):
        """Return the server's side of the only connection, taken from the sweep: the test may age it by hand."""
        while not self.server.server_state.connections:
            await asyncio.sleep(0)
        (connection,) = self.server.server_state.connections
        self.protocol.sweep.discard(connection)
        return connection

    async def sweeps(self, count):
        """Wait until the connections have been swept `count` times."""
        counter = SweepCounter(count)
        self.protocol.sweep.add(counter, asyncio.get_running_loop())
        await counter.is_done.wait()
        self.protocol.sweep.discard(counter)

    async def until_no_connection(self):
        while self.server.server_state.connections:
            await self.sweeps(1)

    async def close(self):
        for client in self._clients:
            client.writer.close()
        for client in self._clients:
            with contextlib.suppress(ConnectionError):
                await client.writer.wait_closed()
        self.app.release.set()
        for server in self.server.servers:
            server.close()
        for connection in list(self.server.server_state.connections):
            connection.transport.abort()
        if self.server.server_state.tasks:
            await asyncio.wait(self.server.server_state.tasks)


@contextlib.asynccontextmanager
async def listening(limits=DEFAULT, **settings):
    """Serve a new `Recorder` on a free port of loopback, without uvicorn's main loop (which waits in tenths)."""
    app = Recorder()
    protocol = guarded_protocol(limits)
    bare = {"lifespan": "off", "ws": "none", "access_log": False, "log_config": None, "proxy_headers": False}
    config = Config(app, http=protocol, **bare, **settings)
    config.load()
    server = Server(config)
    server.lifespan = config.lifespan_class(config)
    listening_socket = socket.create_server(("127.0.0.1", 0))
    await server.startup(sockets=[listening_socket])
    await server.on_tick(0)  # sets the date header
    listener = Listener(server, app, protocol, listening_socket.getsockname())
    try:
        async with asyncio.timeout(5):  # of a test that would hang; none takes a second
            yield listener
    finally:
        await listener.close()
