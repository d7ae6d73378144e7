"""Against a real store, in which other workers have left what they know."""

import asyncio

import pytest

from fairlead import clock
from fairlead.admin.fleet import AT_ONCE, FRESH_S, Fleet
from fairlead.health import sums
from fairlead.health.board import HealthBoard
from fairlead.health.breaker import BreakerLimits
from fairlead.health.outcome import Outcome, Verdict
from fairlead.health.percentiles import Batch, Percentiles
from fairlead.health.record import Flush, Increment, State
from fairlead.store.health import HealthStore, StoreAway
from fairlead.store.percentiles import PercentileStore
from fairlead.store.redis import connect

from .catalogues import catalogue

pytestmark = pytest.mark.anyio

LIMITS = BreakerLimits()
NOWHERE = "unix:///nonexistent.sock"
FAILURE = Outcome(Verdict.TRANSIENT, 500)


class CountingStore(HealthStore):
    """Counts what it is asked. It says nothing of the groups in `silent`."""

    def __init__(self, client):
        super().__init__(client, LIMITS)
        self.asked = []
        self.silent = set()

    async def merge(self, flushes):
        self.asked.append([flush.group for flush in flushes])
        answers = await super().merge(flushes)
        return [
            StoreAway("no") if flush.group in self.silent else answer
            for flush, answer in zip(flushes, answers, strict=True)
        ]


class Worker:
    """What looks, and the parts that it looks through."""

    def __init__(self, url, catalog):
        self.client = connect(url)
        self.catalog = catalog
        self.board = HealthBoard(LIMITS, worker="looker")
        self.store = CountingStore(self.client)
        self.percentiles = Percentiles(self.board, "looker")
        self.percentile_store = PercentileStore(self.client)
        self.fleet = Fleet(self.board, self.store, self.percentiles, self.percentile_store, lambda: self.catalog)

    async def tells(self, endpoint, worker="another", **members):
        """Another worker has told the fleet of an endpoint."""
        group = endpoint.partition(":")[2] or endpoint
        news = Increment(sums.zeros(), **members)
        news.sums[sums.A20] = 1.0
        (answer,) = await HealthStore(self.client, LIMITS).merge(
            [Flush(group, worker, 1, False, 0.0, {endpoint: news})]
        )
        assert endpoint in answer.records


@pytest.fixture
async def worker(redis_url):
    worker = Worker(redis_url, catalogue(large=["a", "b"], small=["a"]))
    await worker.client.flushdb()
    yield worker
    await worker.client.aclose()


@pytest.fixture
async def lonely():
    """Without a store."""
    worker = Worker(NOWHERE, catalogue(large=["a", "b"]))
    yield worker
    await worker.client.aclose()


@pytest.fixture
def now(monkeypatch):
    """The worker's clock, standing still; moved by whoever sets its first item."""
    time = [clock.monotonic()]
    monkeypatch.setattr(clock, "monotonic", lambda: time[0])
    return time


async def test_it_tells_what_other_workers_know(worker):
    await worker.tells("a:acme/large", "one")
    await worker.tells("a:acme/large", "two")
    await worker.tells("a:acme/small", "one", tail=5)
    await worker.tells("@b", "one", cool_s=60.0, cool_why=6)
    look = await worker.fleet.look()
    assert set(look.known) == {"a:acme/large", "a:acme/small", "@b"}
    assert look.known["a:acme/large"].sums()[sums.A20] == pytest.approx(2.0, rel=0.01)
    assert look.known["a:acme/small"].record.state == State.EJECTED
    assert look.known["@b"].record.cool_until - look.known["@b"].now == pytest.approx(60.0, abs=1.0)
    assert (look.catalog, look.is_store_away) == (worker.catalog, False)
    assert not [*worker.board.groups], "to look is not to have traffic"


async def test_it_tells_the_fleets_percentiles(worker):
    await worker.tells("a:acme/large")
    await worker.percentile_store.add([Batch("acme/large", "another", 1, 0.0, {"a:acme/large": {30: 5.0}})])
    look = await worker.fleet.look()
    assert look.first_tokens["a:acme/large"].count == pytest.approx(5.0, rel=0.01)


async def test_however_many_look_the_store_is_asked_once(worker, now):
    looks = await asyncio.gather(*(worker.fleet.look() for _ in range(10)))
    assert worker.store.asked == [["acme/large", "acme/small", "@a", "@b"]]
    assert all(look is looks[0] for look in looks)
    now[0] += FRESH_S * 0.9
    assert await worker.fleet.look() is looks[0]
    now[0] += FRESH_S * 0.2
    await worker.tells("a:acme/large")
    assert "a:acme/large" in (await worker.fleet.look()).known
    assert len(worker.store.asked) == 2


async def test_who_gives_up_waiting_keeps_nobody_from_an_answer(worker):
    first = asyncio.ensure_future(worker.fleet.look())  # noqa: TID251 - a test's own task
    await asyncio.sleep(0)
    first.cancel()
    assert not (await worker.fleet.look()).is_store_away


async def test_a_large_catalogue_is_read_in_parts(worker):
    worker.catalog = catalogue(**{f"m{n}": ["a"] for n in range(2 * AT_ONCE)})
    await worker.tells(f"a:acme/m{2 * AT_ONCE - 1}")
    assert set((await worker.fleet.look()).known) == {f"a:acme/m{2 * AT_ONCE - 1}"}
    assert [len(asked) for asked in worker.store.asked] == [AT_ONCE, AT_ONCE, 1]


async def test_the_catalogue_is_the_one_of_that_moment(worker, now):
    await worker.fleet.look()
    worker.catalog = catalogue(other=["c"])
    now[0] += FRESH_S
    assert (await worker.fleet.look()).catalog is worker.catalog
    assert worker.store.asked[-1] == ["acme/other", "@c"]


def fails(worker, endpoint, times):
    """This worker sees an endpoint fail, and judges by itself."""
    now = clock.monotonic()
    for _ in range(times):
        health = worker.board.of(endpoint, now)
        worker.board.end(health.begin(now, is_stream=True), FAILURE, now)
    worker.board.go_alone(now)


async def test_without_the_store_it_tells_what_this_worker_knows_and_says_so(lonely):
    fails(lonely, "a:acme/large", 5)
    look = await lonely.fleet.look()
    assert look.is_store_away
    known = look.known["a:acme/large"]
    assert known.record.state == State.EJECTED
    assert 0.0 < known.record.until - known.now <= LIMITS.min_s * (1.0 + LIMITS.jitter)
    assert "b:acme/large" not in look.known
    assert look.first_tokens == {}


async def test_without_the_store_percentiles_are_this_workers(lonely):
    now = clock.monotonic()
    attempt = lonely.board.of("a:acme/large", now).begin(now, is_stream=True)
    lonely.board.first_token(attempt, now + 0.2)
    lonely.board.go_alone(now + 0.2)
    lonely.percentiles.batches(now + 0.2)
    look = await lonely.fleet.look()
    assert look.first_tokens["a:acme/large"].quantile(0.5) == pytest.approx(0.2, rel=0.05)


async def test_a_store_that_is_away_is_not_asked_for_each_part(lonely):
    lonely.catalog = catalogue(**{f"m{n}": ["a"] for n in range(3 * AT_ONCE)})
    assert (await lonely.fleet.look()).is_store_away
    assert len(lonely.store.asked) == 1


async def test_a_part_of_the_store_that_is_away_is_made_up_for(worker):
    """As when a node of a cluster is."""
    await worker.tells("a:acme/large")
    await worker.tells("a:acme/small")
    fails(worker, "a:acme/small", 5)
    worker.store.silent = {"acme/small"}
    look = await worker.fleet.look()
    assert look.is_store_away
    assert look.known["a:acme/large"].record.state == State.HEALTHY
    assert look.known["a:acme/small"].record.state == State.EJECTED
