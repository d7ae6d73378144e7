"""A whole exchange of a worker, without sockets and store: what of it is Python. Sixteen at once, as under load.

Bytes go in at the caller's connection, a request comes out at the provider's, its reply goes in there, and the caller's
comes out; it is charged, written to the disk and counted.
"""

import asyncio
import atexit
import contextlib
import itertools
import json
import random
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from types import MappingProxyType

import uvloop
from uvicorn.config import Config
from uvicorn.server import ServerState

from bench.micro.timing import Case
from bench.micro.wire import Wire
from bench.request import ECHO_MODEL, build_request, chat_body
from fairlead.access.keys import from_token
from fairlead.access.spend import Budgets
from fairlead.catalog.model import Catalog, Endpoint, Model, Price, Provider
from fairlead.edge.asgi import App
from fairlead.edge.brake import Brake
from fairlead.edge.drain import Drain
from fairlead.edge.inference import Inference
from fairlead.edge.limits import Limits
from fairlead.edge.protocol import guarded_protocol
from fairlead.health.board import HealthBoard
from fairlead.plan.plan import Planner
from fairlead.relay.admission import Admission
from fairlead.relay.exchange import Relay, RelayLimits, Routes
from fairlead.settlement import Settlement
from fairlead.store.keys import KeyRing, KeyStore
from fairlead.store.money import MoneyStore
from fairlead.store.redis import connect
from fairlead.store.till import Till
from fairlead.store.unsettled import Unsettled
from fairlead.telemetry.log import RequestLog
from fairlead.telemetry.meter import Meter
from fairlead.telemetry.slots import Slots
from fairlead.upstream.client import UpstreamClient
from fairlead.upstream.connect import tls_context
from fairlead.upstream.connection import Connection
from fairlead.upstream.dispatch import ProxyRule, dispatches
from fairlead.upstream.origin import Origin

_AT_ONCE = 16
_EVENTS = 50
_KEY = "sk-bench"
_PATH = "/v1/chat/completions"
_HEADERS = (
    b"date: Sun, 22 Nov 2026 04:00:00 GMT\r\naccess-control-expose-headers: X-Request-ID\r\n"
    b"openai-organization: org\r\nopenai-processing-ms: 123\r\nopenai-version: 2020-10-01\r\n"
    b"x-envoy-upstream-service-time: 130\r\nx-ratelimit-limit-requests: 10000\r\n"
    b"x-ratelimit-limit-tokens: 2000000\r\nx-ratelimit-remaining-requests: 9999\r\n"
    b"x-ratelimit-remaining-tokens: 1999990\r\nx-ratelimit-reset-requests: 6ms\r\nx-ratelimit-reset-tokens: 0s\r\n"
    b"x-request-id: req_0123456789abcdef0123456789abcdef\r\ncf-cache-status: DYNAMIC\r\nserver: cloudflare\r\n"
    b"cf-ray: 8f0000000000-FRA\r\n"
)
_USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 34,
    "total_tokens": 46,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}


def _json(kind: str, **members: object) -> bytes:
    said = {"id": "chatcmpl-0123456789", "object": kind, "created": 1, "model": "echo", **members}
    return json.dumps(said, separators=(",", ":")).encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": " word"}, "finish_reason": finish_reason}
    return _chunk(b"data: %b\n\n" % _json("chat.completion.chunk", choices=[choice]))


def _whole() -> bytes:
    message = {"role": "assistant", "content": "How may I help you today? " * 6, "refusal": None}
    choices = [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}]
    body = _json("chat.completion", choices=choices, usage=_USAGE)
    return b"HTTP/1.1 200 OK\r\n%bcontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        _HEADERS,
        len(body),
        body,
    )


_BEGINNING = b"HTTP/1.1 200 OK\r\n%bcontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" % _HEADERS
_END = (
    _event("stop")
    + _chunk(b"data: %b\n\n" % _json("chat.completion.chunk", choices=[], usage=_USAGE))
    + _chunk(b"data: [DONE]\n\n")
    + b"0\r\n\r\n"
)


class _Worker:
    """The parts of a worker's request path. `asked(connection)` is called when its provider has a request."""

    def __init__(self, endpoints: int, asked: Callable[[Connection], None]) -> None:
        self._asked = asked
        self.board = HealthBoard(rng=random.Random(1))
        self._client = UpstreamClient(tls_context())
        self._client._connector.open = self._open  # type: ignore[assignment,method-assign]  # here is no network
        model = Model(ECHO_MODEL, "Bench: Echo", context_length=8192)
        served = tuple(
            Endpoint(Provider(f"p{n}", f"P{n}", "http://127.0.0.1:9/v1", "k"), model, "echo", Price(250_000, 2_000_000))
            for n in range(endpoints)
        )
        catalog = Catalog(
            MappingProxyType({model.id: model}), MappingProxyType({model.id: served}), MappingProxyType({})
        )
        relay = Relay(
            self._client,
            Planner(self.board, random.Random(1)),
            Routes(catalog, dispatches(catalog, ProxyRule())),
            RelayLimits(),
        )
        folder = Path(tempfile.mkdtemp(prefix="flb-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        store = connect("redis://127.0.0.1:1/0")  # nobody is asked
        self._till = Till(MoneyStore(store), "bench", Budgets(), disk=Unsettled(folder, "bench"))
        meter = Meter(Slots.opened(None, print), lambda name: name == model.id)
        self.settlement = Settlement(
            self.board, relay.estimates, self._till, meter, RequestLog("json", None), self._report
        )
        inference = Inference(
            relay,
            KeyRing(KeyStore(store), [from_token(_KEY, "bench")]),
            self._till,
            Brake(()),
            Drain(),
            Admission(4_000, 1 << 30),
            1 << 25,
            self.settlement.keep,
            self._report,
        )
        self.app = App({_PATH: inference}, [], _nothing)

    async def _open(self, origin: Origin, make: Callable[[socket.socket], Connection]) -> Connection:
        connection = make(socket.socket())
        connection.connection_made(Wire(lambda _: self._asked(connection)))
        return connection

    @staticmethod
    def _report(what: str, error: BaseException) -> None:
        raise RuntimeError(what) from error

    def forget(self) -> None:
        """Do what is done ten times a second, as if the store had confirmed every charge."""
        self.settlement.flush()
        self._till._backlog.confirm(self._till.unsettled)


@contextlib.asynccontextmanager
async def _nothing(_: object) -> AsyncIterator[None]:
    yield


class _Callers:
    """Connections that ask all at once; `run` returns when each has its reply."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, endpoints: int = 1, events: int = -1) -> None:
        self._loop = loop
        self._events = events
        self._reply = _whole()
        self._providers: list[Connection] = []
        self._left = 0
        self._done = asyncio.Event()
        self._worker = _Worker(endpoints, self._providers.append if events >= 0 else self._answer)
        config = Config(
            self._worker.app,
            loop="uvloop",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
        config.load()
        protocol, state = guarded_protocol(Limits(), self._worker.settlement.settle), ServerState()
        self._connections = [protocol(config, state, {}, loop) for _ in range(_AT_ONCE)]
        for connection in self._connections:
            connection.connection_made(Wire(self._take))
        body = chat_body(stream_events=max(events, 0) and 50)
        self._request = build_request(f"http://127.0.0.1{_PATH}", {"Authorization": f"Bearer {_KEY}"}, body).payload

    def _answer(self, provider: Connection) -> None:
        self._loop.call_soon(provider.data_received, self._reply)

    def _take(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(data.decode())
        if self._events < 0 or data.endswith(b"0\r\n\r\n"):
            self._left -= 1
            if not self._left:
                self._done.set()

    async def run(self) -> None:
        self._left = _AT_ONCE
        self._done.clear()
        self._providers.clear()
        for connection in self._connections:
            connection.data_received(self._request)
        if self._events >= 0:
            await self._stream()
        await self._done.wait()
        self._worker.forget()

    async def _stream(self) -> None:
        while len(self._providers) < _AT_ONCE:
            await asyncio.sleep(0)
        event = _event()
        for data in itertools.chain([_BEGINNING + event], itertools.repeat(event, self._events), [_END]):
            for provider in self._providers:
                provider.data_received(data)
            await asyncio.sleep(0)


def _case(name: str, *, endpoints: int = 1, events: int = -1) -> Case:
    loop = uvloop.new_event_loop()

    async def made() -> _Callers:
        return _Callers(loop, endpoints=endpoints, events=events)

    callers = loop.run_until_complete(made())

    def call(run: Callable[[], Awaitable[None]] = callers.run) -> None:
        loop.run_until_complete(run())

    return Case(name, call, units=_AT_ONCE)


def cases() -> Sequence[Case]:
    """By number of endpoints; of streams, how long they are."""
    return [
        *(_case(f"whole reply, {count} to choose from", endpoints=count) for count in (1, 10, 100, 1000)),
        _case("stream without events but the first", events=1),
        _case(f"stream of {_EVENTS} events", events=_EVENTS),
    ]
