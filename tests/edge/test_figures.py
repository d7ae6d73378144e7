"""Against a real store, in which other workers have left what they know."""

import asyncio
import math

import pytest

from fairlead import clock
from fairlead.catalog.model import Endpoint, Model, Provider
from fairlead.edge.figures import AT_ONCE, FRESH_S, Figures, LiveFigures, nothing_known, status_of
from fairlead.health import sums
from fairlead.health.board import HealthBoard
from fairlead.health.breaker import BreakerLimits
from fairlead.health.histogram import FIRST_TOKEN, SPEED
from fairlead.health.minutes import NO_UPTIME, Uptime
from fairlead.health.outcome import Outcome, Verdict
from fairlead.health.percentiles import Batch, Percentiles
from fairlead.health.record import Flush, Increment, Record, State
from fairlead.store.health import HealthStore, StoreAway
from fairlead.store.percentiles import PercentileStore
from fairlead.store.redis import connect

pytestmark = pytest.mark.anyio

LIMITS = BreakerLimits()
NOWHERE = "unix:///nonexistent.sock"


def endpoint(slug, name="large"):
    model = Model(f"acme/{name}", name)
    return Endpoint(Provider(slug, slug, "http://x"), model, name, None)


A, B, SMALL = endpoint("a"), endpoint("b"), endpoint("a", "small")


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
    def __init__(self, url):
        self.client = connect(url)
        self.board = HealthBoard(LIMITS, worker="looker")
        self.store = CountingStore(self.client)
        self.percentiles = Percentiles(self.board, "looker")
        self.percentile_store = PercentileStore(self.client)
        self.figures = LiveFigures(self.board, self.store, self.percentiles, self.percentile_store)

    async def of(self, endpoint):
        return (await self.figures.of([endpoint])).get(endpoint.id, Figures())

    async def tells(self, endpoint_id, counted=(), **members):
        """Another worker has told the fleet of an endpoint, or of an account."""
        group = endpoint_id.partition(":")[2] or endpoint_id
        news = Increment(sums.zeros(), **members)
        for index, value in {sums.A20: 1.0, **dict(counted)}.items():
            news.sums[index] = value
        flush = Flush(group, "another", 1, False, 0.0, {endpoint_id: news})
        (answer,) = await HealthStore(self.client, LIMITS).merge([flush])
        assert endpoint_id in answer.records

    async def minute(self):
        """The current one, by the store's clock."""
        seconds, _ = await self.client.time()
        return seconds // 60

    def fails(self, endpoint, times):
        """This worker sees an endpoint fail, and judges by itself."""
        now = clock.monotonic()
        for _ in range(times):
            health = self.board.of(endpoint.id, now)
            self.board.end(health.begin(now, is_stream=True), Outcome(Verdict.TRANSIENT, 500), now)
        self.board.go_alone(now)


@pytest.fixture
async def worker(redis_url):
    worker = Worker(redis_url)
    await worker.client.flushdb()
    yield worker
    await worker.client.aclose()


@pytest.fixture
async def lonely():
    """Without a store."""
    worker = Worker(NOWHERE)
    yield worker
    await worker.client.aclose()


@pytest.fixture
def now(monkeypatch):
    """The worker's clock, standing still; moved by whoever sets its first item."""
    time = [clock.monotonic()]
    monkeypatch.setattr(clock, "monotonic", lambda: time[0])
    return time


class TestStore:
    async def test_what_other_workers_know(self, worker):
        await worker.tells(A.id)
        counts = {FIRST_TOKEN.bucket(math.log(0.3)): 5.0, SPEED.bucket(math.log(60.0)): 5.0}
        await worker.percentile_store.add([Batch("acme/large", "another", 1, 0.0, {A.id: counts})])
        found = await worker.of(A)
        assert (found.status, found.uptime) == (0, NO_UPTIME)
        assert found.first_token.quantile(0.5) == pytest.approx(0.3, rel=0.05)
        assert found.speed.quantile(0.5) == pytest.approx(60.0, rel=0.05)
        assert await worker.of(B) == Figures()
        assert not [*worker.board.groups], "to look is not to have traffic"

    async def test_uptime_is_the_fleets(self, worker):
        """Two workers have seen half of each minute."""
        minute = await worker.minute()
        for name in ("one", "other"):
            told = {A.id: {minute - 1: (5, 5), minute - 2: (5, 3), minute - 20: (5, 4)}, B.id: {minute - 40: (9, 9)}}
            await worker.percentile_store.add([Batch("acme/large", name, 1, 0.0, minutes=told)])
        figures = await worker.figures.of([A, B])
        assert figures[A.id].uptime == Uptime(50.0, 66.67, 66.67)
        assert figures[B.id].uptime == Uptime(None, None, 100.0)

    async def test_of_a_model_one_endpoint_may_be_asked_for_alone(self, worker):
        """As the list of those that retain nothing does: the others must not be unknown because of it."""
        await worker.tells(B.id, tail=5)
        assert (await worker.of(A)).status == 0
        assert (await worker.of(B)).status == -3

    async def test_one_that_is_out(self, worker):
        await worker.tells(A.id, tail=5)
        assert (await worker.of(A)).status == -3

    async def test_one_whose_account_is_refused(self, worker):
        await worker.tells("@b", cool_s=60.0, cool_why=6)
        figures = await worker.figures.of([A, B])
        assert (figures[A.id].status, figures[B.id].status) == (0, -1)

    async def test_however_many_ask_a_group_is_read_once(self, worker, now):
        await asyncio.gather(*(worker.figures.of([A, B]) for _ in range(10)))
        assert worker.store.asked == [["acme/large", "@a", "@b"]]
        now[0] += FRESH_S * 0.9
        await worker.figures.of([A, SMALL])
        assert worker.store.asked[1:] == [["acme/small", "@a"]]
        await worker.tells(A.id, tail=5)
        assert (await worker.of(A)).status == 0
        now[0] += FRESH_S * 0.2
        assert (await worker.of(A)).status == -3

    async def test_who_gives_up_waiting_keeps_nobody_from_an_answer(self, worker):
        await worker.tells(A.id, tail=5)
        first = asyncio.ensure_future(worker.of(A))  # noqa: TID251 - a test's own task
        await asyncio.sleep(0)
        first.cancel()
        assert (await worker.of(A)).status == -3

    async def test_a_large_catalogue_is_read_in_parts(self, worker):
        many = [endpoint("a", f"m{n}") for n in range(2 * AT_ONCE)]
        await worker.tells(many[-1].id, tail=5)
        figures = await worker.figures.of(many)
        assert [len(asked) for asked in worker.store.asked] == [AT_ONCE, AT_ONCE, 1]
        assert [figures[one.id].status for one in many[-2:]] == [0, -3]

    async def test_a_part_of_the_store_that_is_away_is_made_up_for(self, worker):
        """As when a node of a cluster is."""
        await worker.tells(A.id)
        worker.fails(SMALL, 5)
        worker.store.silent = {"acme/small"}
        figures = await worker.figures.of([A, SMALL])
        assert (figures[A.id].status, figures[SMALL.id].status) == (0, -3)

    async def test_nothing_is_asked_of_nobody(self, worker):
        assert await worker.figures.of([]) == {}
        assert worker.store.asked == []


class TestWithoutTheStore:
    async def test_what_this_worker_knows(self, lonely):
        lonely.fails(A, 5)
        found = await lonely.of(A)
        assert found.status == -3
        assert await lonely.of(B) == Figures()

    async def test_uptime_is_this_workers(self, lonely):
        lonely.fails(A, 12)
        lonely.percentiles.batches(clock.monotonic())
        assert (await lonely.of(A)).uptime == Uptime(0.0, 0.0, 0.0)

    async def test_percentiles_are_this_workers(self, lonely):
        now = clock.monotonic()
        attempt = lonely.board.of(A.id, now).begin(now, is_stream=True)
        lonely.board.first_token(attempt, now + 0.2)
        lonely.board.go_alone(now + 0.2)
        lonely.percentiles.batches(now + 0.2)
        assert (await lonely.of(A)).first_token.quantile(0.5) == pytest.approx(0.2, rel=0.05)

    async def test_it_is_not_asked_for_each_part(self, lonely):
        await lonely.figures.of([endpoint("a", f"m{n}") for n in range(3 * AT_ONCE)])
        assert len(lonely.store.asked) == 1

    async def test_it_is_left_alone_for_a_while(self, lonely, now):
        """Else whoever asks for many models waits as many times for its time limit."""
        await lonely.of(A)
        lonely.fails(SMALL, 5)
        assert (await lonely.of(SMALL)).status == -3
        assert len(lonely.store.asked) == 1
        now[0] += FRESH_S
        await lonely.of(SMALL)
        assert len(lonely.store.asked) == 2


async def test_without_anybody_to_ask():
    assert await nothing_known([A]) == {}


def record(counted=(), **members):
    found = Record(0.0, 100.0, **members)
    for index, value in dict(counted).items():
        found.sums[index] = value
    return found


@pytest.mark.parametrize(
    ("members", "account", "status"),
    [
        ({}, {}, 0),
        ({"cool_until": 101.0}, {}, -1),
        ({"cool_until": 100.0}, {}, 0),
        ({}, {"cool_until": 101.0}, -1),
        ({"state": State.PROBING}, {"cool_until": 101.0}, -2),
        ({"state": State.EJECTED}, {}, -3),
    ],
)
def test_status(members, account, status):
    assert status_of((record(**members), 100.0), (record(**account), 100.0)) == status


def test_status_of_the_unknown():
    assert status_of(None, None) == 0
    assert status_of(None, (record(cool_until=101.0), 100.0)) == -1
