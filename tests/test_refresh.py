"""Asking simulated providers what they serve: once, again and again, and by several workers at a time."""

import asyncio
import contextlib
import io
import json
from types import MappingProxyType

import pytest
import structlog

from fairlead import refresh
from fairlead.catalog.load import Offer, Snapshot
from fairlead.catalog.model import Model, Provider
from fairlead.catalog.overrides import NO_OVERRIDES
from fairlead.catalog.source import Source
from fairlead.demo import DEMO_PROVIDERS
from fairlead.demo.script import Script
from fairlead.demo.server import Simulator
from fairlead.refresh import CatalogRefresh
from fairlead.store.discovered import DiscoveredStore
from fairlead.store.redis import connect
from fairlead.upstream.connect import tls_context
from fairlead.upstream.dispatch import ProxyRule

pytestmark = pytest.mark.anyio

SECRET = "sk-up-secret"
TEAM = "team-secret"
SNAPSHOT = Snapshot(
    source="test",
    models=MappingProxyType({"acme/known": Model("acme/known", "Known")}),
    offers=MappingProxyType({"acme": (Offer("acme/known", "known"),)}),
    spellings=MappingProxyType({}),
)
TLS = tls_context()
OFTEN_S = 0.01


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(refresh, "RETRY_MIN_S", OFTEN_S)
    monkeypatch.setattr(refresh, "RETRY_MAX_S", OFTEN_S)


@pytest.fixture
async def redis(redis_url):
    client = connect(redis_url)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
async def simulator():
    async with Simulator(script=listing("acme/one")) as simulator:
        yield simulator


def listing(*ids):
    return Script(body=json.dumps({"data": [{"id": upstream_id} for upstream_id in ids]}).encode())


def provider(simulator, **members):
    return Provider("acme", "Acme", simulator.base_url, **{"api_key": SECRET, "headers": {"x-team": TEAM}, **members})


class Worker:
    """A `CatalogRefresh` and what it said."""

    def __init__(self, *sources, shared=None):
        self.said = io.StringIO()
        log = structlog.wrap_logger(structlog.PrintLogger(self.said), processors=[structlog.processors.JSONRenderer()])
        self.refresh = CatalogRefresh(sources, SNAPSHOT, NO_OVERRIDES, shared, TLS, ProxyRule(), log)
        self.changes = []
        """What could be asked for after each change."""
        self._changed = asyncio.Event()

    @property
    def models(self):
        return sorted(self.refresh.catalog().endpoints)

    @property
    def lines(self):
        return [json.loads(line) for line in self.said.getvalue().splitlines()]

    def _note(self):
        self.changes.append(self.models)
        self._changed.set()

    async def until_models(self, *models):
        async with asyncio.timeout(5):
            while self.models != sorted(models):
                self._changed.clear()
                await self._changed.wait()

    @contextlib.asynccontextmanager
    async def following(self, interval_s=OFTEN_S):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.refresh.follow(interval_s, self._note))
            try:
                yield self
            finally:
                task.cancel()


class TestStart:
    async def test_the_simulated_providers_are_asked_and_no_others(self, simulator):
        async with Simulator(DEMO_PROVIDERS[0]) as demo:
            simulated = Provider("demo-swift", "DEMO", demo.base_url, is_demo=True)
            worker = Worker(Source(simulated), Source(provider(simulator)))
            await worker.refresh.start()
            assert worker.models == ["acme/known", "demo/chat", "demo/chat-mini"]
            assert len(demo.requests) == 1
            assert not simulator.requests

    async def test_without_network_what_ships_is_served(self):
        gone = Provider("acme", "Acme", "http://127.0.0.1:1/v1")
        worker = Worker(Source(gone))
        await worker.refresh.start()
        assert worker.models == ["acme/known"]
        await worker.refresh.ask_all()
        assert worker.models == ["acme/known"]


class TestAskedOnce:
    async def test_its_list_is_what_it_serves(self, simulator):
        worker = Worker(Source(provider(simulator)))
        await worker.refresh.ask_all()
        assert worker.models == ["acme/one"]
        [request] = simulator.requests
        assert (request.method, request.path, request.header("authorization")) == (
            "GET",
            "/v1/models",
            f"Bearer {SECRET}",
        )

    async def test_the_word_of_the_operator_ends_all_questions(self, simulator):
        declared = Source(provider(simulator), declared=(("acme/said", "said"),))
        closed = Source(Provider("other", "Other", simulator.base_url), is_discoverable=False)
        worker = Worker(declared, closed)
        await worker.refresh.start()
        await worker.refresh.ask_all()
        await worker.refresh.follow(OFTEN_S, pytest.fail)  # there is nobody to follow
        assert worker.models == ["acme/said"]
        assert not simulator.requests

    @pytest.mark.parametrize(
        "script",
        [
            Script(status=500),
            Script(status=401, body=f'{{"error":"bad key {SECRET}"}}'.encode()),
            Script(body=b"<html>"),
            Script(body=b'{"data":7}'),
            Script(body=f'{{"error":{{"message":"no access for {TEAM} with {SECRET}"}}}}'.encode()),
            Script(refuse=True),
            Script(reset_on_accept=True),
        ],
    )
    async def test_a_wrong_answer_is_told_without_credentials(self, simulator, script):
        simulator.script = script
        worker = Worker(Source(provider(simulator)))
        await worker.refresh.ask_all()
        assert worker.models == ["acme/known"]
        [line] = worker.lines
        assert (line["event"], line["provider"]) == ("models not listed", "acme")
        assert line["error"]
        assert SECRET not in worker.said.getvalue()
        assert TEAM not in worker.said.getvalue()

    async def test_one_that_fails_does_not_keep_another_from_being_asked(self, simulator):
        gone = Provider("gone", "Gone", "http://127.0.0.1:1/v1")
        worker = Worker(Source(gone), Source(provider(simulator)))
        await worker.refresh.ask_all()
        assert worker.models == ["acme/one"]


class TestFollowed:
    async def test_a_changed_list_is_told_of_and_the_same_one_is_not(self, simulator):
        async with Worker(Source(provider(simulator))).following() as worker:
            await worker.until_models("acme/one")
            seen = simulator.record.seen
            await simulator.wait_for(lambda sim: sim.record.seen >= seen + 3)
            simulator.script = listing("acme/one", "acme/two")
            await worker.until_models("acme/one", "acme/two")
        assert worker.changes == [["acme/one"], ["acme/one", "acme/two"]]

    async def test_a_catalogue_once_built_does_not_change(self, simulator):
        worker = Worker(Source(provider(simulator)))
        before = worker.refresh.catalog()
        await worker.refresh.ask_all()
        assert list(before.endpoints) == ["acme/known"]

    @pytest.mark.parametrize("script", [Script(status=503), Script(body=b"{}"), Script(reset_on_accept=True)])
    async def test_one_that_fails_keeps_its_last_list_and_is_asked_again(self, simulator, script):
        async with Worker(Source(provider(simulator))).following() as worker:
            await worker.until_models("acme/one")
            simulator.script = script
            connections = simulator.connections
            while len(worker.lines) < 3:
                await asyncio.sleep(OFTEN_S)
            assert simulator.connections > connections or simulator.record.seen > 3
            assert worker.models == ["acme/one"]
            simulator.script = listing("acme/two")
            await worker.until_models("acme/two")
        assert worker.changes == [["acme/one"], ["acme/two"]]

    async def test_one_that_fails_is_asked_less_and_less_often(self, simulator, monkeypatch):
        waits = []
        enough = asyncio.Event()

        async def wait(seconds):
            waits.append(seconds)
            if len(waits) == 6:
                enough.set()
                await asyncio.Event().wait()

        monkeypatch.setattr(refresh, "RETRY_MIN_S", 2.0)
        monkeypatch.setattr(refresh, "RETRY_MAX_S", 15.0)
        monkeypatch.setattr(refresh.asyncio, "sleep", wait)
        simulator.script = listing("acme/two")
        simulator.queue += [Script(status=500)] * 4 + [listing("acme/one"), Script(status=500)]
        async with Worker(Source(provider(simulator))).following(interval_s=99.0), asyncio.timeout(5):
            await enough.wait()
        assert waits == [2.0, 4.0, 8.0, 15.0, 99.0, 2.0]


class TestSeveralWorkers:
    async def test_they_share_one_question(self, simulator, redis):
        workers = [Worker(Source(provider(simulator)), shared=DiscoveredStore(redis, 60)) for _ in range(4)]
        async with contextlib.AsyncExitStack() as stack:
            for worker in workers:
                await stack.enter_async_context(worker.following())
            for worker in workers:
                await worker.until_models("acme/one")
        assert len(simulator.requests) == 1
        assert all(worker.changes == [["acme/one"]] for worker in workers)

    async def test_simulated_providers_are_asked_by_each(self, redis):
        async with Simulator(DEMO_PROVIDERS[0]) as demo:
            simulated = Provider("demo-swift", "DEMO", demo.base_url, is_demo=True)
            for _ in range(2):
                worker = Worker(Source(simulated), shared=DiscoveredStore(redis, 60))
                await worker.refresh.start()
                assert worker.models == ["demo/chat", "demo/chat-mini"]
            assert len(demo.requests) == 2
        assert await redis.keys("*") == []

    async def test_who_has_claimed_asks_on_until_there_is_an_answer(self, simulator, redis):
        simulator.queue += [Script(status=500)] * 3
        first = Worker(Source(provider(simulator)), shared=DiscoveredStore(redis, 60))
        second = Worker(Source(provider(simulator)), shared=DiscoveredStore(redis, 60))
        await first.refresh.ask_all()
        async with first.following(), second.following():
            await first.until_models("acme/one")
            await second.until_models("acme/one")
        assert len(simulator.requests) == 4
        assert (len(first.lines), second.lines) == (3, [])

    async def test_a_wrong_list_is_not_shared(self, simulator, redis):
        simulator.script = Script(body=b"{}")
        worker = Worker(Source(provider(simulator)), shared=DiscoveredStore(redis, 60))
        await worker.refresh.ask_all()
        assert await DiscoveredStore(redis, 60).get(provider(simulator)) is None

    async def test_without_redis_each_asks_for_itself(self, simulator):
        away = connect("unix:///nonexistent.sock")
        for _ in range(2):
            worker = Worker(Source(provider(simulator)), shared=DiscoveredStore(away, 60))
            await worker.refresh.ask_all()
            assert worker.models == ["acme/one"]
        assert len(simulator.requests) == 2
        await away.aclose()
