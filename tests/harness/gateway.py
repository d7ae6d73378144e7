"""The request path of a worker in the test's own event loop: real sockets on both sides, no Redis, no supervisor."""

import asyncio
import contextlib
import random
from dataclasses import replace
from types import MappingProxyType

import uvicorn

from fairlead import clock
from fairlead.access.keys import from_token
from fairlead.access.spend import Budgets
from fairlead.catalog.model import Catalog, Endpoint, Model, Price, Provider, Timeouts
from fairlead.demo.server import Simulator
from fairlead.edge.asgi import BASES, App
from fairlead.edge.brake import Brake
from fairlead.edge.drain import Drain
from fairlead.edge.inference import Inference
from fairlead.edge.limits import Limits
from fairlead.edge.models import model_routes
from fairlead.edge.protocol import guarded_protocol
from fairlead.edge.status import status_routes
from fairlead.health.board import HealthBoard
from fairlead.plan.auto import AutoPolicy, AutoRouter
from fairlead.plan.plan import Planner
from fairlead.relay.admission import Admission
from fairlead.relay.deliver import MOST_REPLY_BYTES
from fairlead.relay.exchange import Relay, RelayLimits, Routes
from fairlead.relay.settle import settle
from fairlead.store.keys import KeyRing, KeyStore
from fairlead.store.money import MoneyStore
from fairlead.store.redis import connect
from fairlead.store.till import Till
from fairlead.upstream.client import UpstreamClient
from fairlead.upstream.connect import tls_context
from fairlead.upstream.dispatch import ProxyRule, dispatches
from fairlead.upstream.pool import PoolLimits

KEY = "sk-test"
MODEL = "acme/large"
DEFAULT_TIMEOUTS = Timeouts()
PRICE = Price(prompt=1_000_000, completion=2_000_000)


class Undecided(random.Random):
    """Draws alike for all: candidates that nothing tells apart stay in the order in which they were declared."""

    def getrandbits(self, k):
        return 0

    def random(self):
        return 0.5


class Gateway:
    """Serves `MODEL` from the given simulators, asked in the order given. `records` are the finished exchanges.

    `models`: others, each with the places of those who serve it; `key`: attributes of the one key; `provider`: of all
    of them.
    """

    def __init__(
        self,
        *simulators,
        timeouts=DEFAULT_TIMEOUTS,
        max_attempts=4,
        max_body_bytes=1 << 20,
        providers=(),
        hedging=None,
        keep_alive=None,
        models=None,
        key=(),
        price=PRICE,
        resume_tokens=0,
        max_reply_bytes=MOST_REPLY_BYTES,
        evades_filters=False,
        admission=None,
        max_concurrency=None,
        begin_trace=None,
        provider=(),
        max_connections=1000,
        **guard,
    ):
        self.simulators = simulators
        self._finished = []
        self.faults = []
        self.board = HealthBoard(rng=Undecided())
        self.board.urgent = self._judge_soon
        self.drain = Drain()
        self.client = UpstreamClient(tls_context(), pool_limits=PoolLimits(max_connections))
        if not providers:
            providers = [
                Provider(
                    slug=f"sim{n}",
                    name=f"Sim {n}",
                    base_url=sim.base_url,
                    api_key=f"up-{n}",
                    timeouts=timeouts,
                    max_concurrency=max_concurrency,
                    **dict(provider),
                )
                for n, sim in enumerate(simulators)
            ]
        models = models or {Model(id=MODEL, name="Acme: Large", context_length=8192): range(len(providers))}
        endpoints = {
            model.id: tuple(Endpoint(providers[n], model, f"{model.id.partition('/')[2]}-v1", price) for n in served)
            for model, served in models.items()
        }
        catalog = Catalog(
            MappingProxyType({model.id: model for model in models}),
            MappingProxyType(endpoints),
            MappingProxyType({"large": MODEL}),
        )
        self.admission = admission or Admission(1000, 1 << 30)
        self.relay = Relay(
            self.client,
            Planner(self.board, Undecided()),
            Routes(catalog, dispatches(catalog, ProxyRule()), AutoRouter(catalog, AutoPolicy())),
            RelayLimits(max_attempts, timeouts.total_s, resume_tokens, max_reply_bytes, evades_filters),
            hedging,
            keep_alive,
            self.admission.let_go,
        )
        # A store that cannot be reached: every key that is not fixed meets it.
        self.keys = KeyRing(
            KeyStore(connect("unix:///nonexistent.sock")), [replace(from_token(KEY, "test"), **dict(key))]
        )
        self.till = Till(MoneyStore(connect("unix:///nonexistent.sock")), "worker", Budgets())
        chat = Inference(
            self.relay, self.keys, self.till, Brake(), self.drain, self.admission, max_body_bytes,
            self._finished.append, self._fault, begin_trace=begin_trace,
        )  # fmt: skip
        self.app = App(
            {f"{base}/{api}": chat for base in BASES for api in ("chat/completions", "responses")},
            [
                *status_routes(self.drain, dict),
                *(route for base in BASES for route in model_routes(base, lambda: catalog, self.keys)),
            ],
            _no_lifespan,
        )
        self._guard = Limits(**guard)
        self._changed = asyncio.Event()

    def _judge_soon(self):
        """As without a store: this worker draws the conclusions by itself."""
        asyncio.get_running_loop().call_soon(lambda: self.board.go_alone(clock.monotonic()))

    def _fault(self, what, error):
        self.faults.append((what, error))

    async def __aenter__(self):
        config = uvicorn.Config(
            self.app, host="127.0.0.1", port=0, http=guarded_protocol(self._guard), ws="none", log_config=None,
            access_log=False, server_header=False, proxy_headers=False, timeout_graceful_shutdown=1, interface="asgi3",
        )  # fmt: skip
        self.server = uvicorn.Server(config)
        self.server.capture_signals = contextlib.nullcontext
        self._serving = asyncio.create_task(self.server.serve())  # noqa: TID251 - a test's own task
        while not self.server.started:
            await asyncio.sleep(0)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.should_exit = True
        await self._serving
        self.client.close()
        assert not self.faults, self.faults

    @property
    def records(self):
        """The finished exchanges, settled."""
        for record in self._finished:
            settle(record, self.board, self.relay.estimates)
        return self._finished

    def failures_in_row(self, endpoint_id):
        """What the fleet has not been told of an endpoint's failures: with no store that is all of them."""
        health = self.board.of(endpoint_id)
        return health.owed.tail + health.news.tail

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    async def until(self, condition):
        """Let the loop turn until `condition()` holds."""
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def _no_lifespan(_):
    yield


@contextlib.asynccontextmanager
async def gateway(*scripts, **options):
    """A gateway in front of one simulator for each script; yields it, its `simulators` at hand."""
    async with contextlib.AsyncExitStack() as stack:
        simulators = [await stack.enter_async_context(Simulator(script=script)) for script in scripts]
        yield await stack.enter_async_context(Gateway(*simulators, **options))
