import io
import os

import pytest

from fairlead.access.spend import Budgets
from fairlead.edge.drain import Drain
from fairlead.edge.gauges import Gauges, resident_bytes
from fairlead.health.board import HealthBoard
from fairlead.health.retry_budget import RetryBudget
from fairlead.relay.admission import Admission
from fairlead.store.keys import KeyRing, KeyStore
from fairlead.store.money import MoneyStore
from fairlead.store.redis import connect
from fairlead.store.till import Till
from fairlead.telemetry import metrics
from fairlead.telemetry.exposition import totals
from fairlead.telemetry.log import RequestLog
from fairlead.telemetry.meter import Meter
from fairlead.telemetry.record import ExchangeRecord
from fairlead.telemetry.slots import Slots
from fairlead.upstream.client import UpstreamClient
from fairlead.upstream.connect import tls_context
from harness.process import resident_bytes as own_bytes

pytestmark = pytest.mark.anyio


class Full(io.StringIO):
    """A disk that takes nothing more."""

    def write(self, _):
        raise OSError("No space left on device")


class Worker:
    def __init__(self, slots):
        self.slots = slots
        self.meter = Meter(slots, lambda _: True)
        self.drain, self.admission, self.client = Drain(), Admission(100, 1000), UpstreamClient(tls_context(None))
        self.budget, self.board, self.log = RetryBudget(), HealthBoard(), RequestLog("json", Full())
        away = connect("unix:///nonexistent.sock")
        self.keys, self.till = KeyRing(KeyStore(away), []), Till(MoneyStore(away), "worker", Budgets())
        parts = self.drain, self.admission, self.client, self.budget, self.board, self.keys, self.till
        self.gauges = Gauges(self.meter, *parts, self.log)

    def shows(self, metric):
        found = totals(self.slots.read())[metric.name]
        return found[()] if metric.buckets else found[()][0]


@pytest.fixture
async def worker(tmp_path):
    return Worker(Slots(tmp_path))


async def test_it_shows_what_each_part_holds(worker):
    worker.gauges.measure(100.0)
    assert (worker.shows(metrics.WORKERS), worker.shows(metrics.IN_FLIGHT), worker.shows(metrics.DRAINING)) == (1, 0, 0)
    assert worker.shows(metrics.RETRY_BUDGET) == 1.0
    worker.drain.enter(object())
    worker.drain.begin()
    worker.admission.in_flight, worker.admission.bytes = 3, 700
    worker.board.is_alone = worker.keys.is_store_away = worker.till.is_away = True
    worker.budget.earn(100.0, 1)
    assert worker.budget.take(20.0)
    worker.gauges.measure(100.5)
    assert (worker.shows(metrics.IN_FLIGHT), worker.shows(metrics.DRAINING)) == (1, 1)
    assert (worker.shows(metrics.ADMITTED), worker.shows(metrics.ADMITTED_BYTES)) == (3, 700)
    assert [worker.shows(one) for one in (metrics.HEALTH_AWAY, metrics.KEYS_AWAY, metrics.MONEY_AWAY)] == [1, 1, 1]
    assert worker.shows(metrics.RETRY_BUDGET) == pytest.approx(0.5 * 10.0 / 20.0)


async def test_how_late_it_was_is_a_histogram(worker):
    for lag_s in (-0.001, 0.003, 7.0):
        worker.gauges.measure(100.0, lag_s)
    assert worker.shows(metrics.LOOP_LAG) == [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, pytest.approx(7.003)]


async def test_memory_is_that_of_the_process(worker):
    worker.gauges.measure(100.0)
    assert worker.shows(metrics.MEMORY) == worker.shows(metrics.MEMORY_MOST) > own_bytes(os.getpid())
    assert 10e6 < resident_bytes() < 10e9


async def test_lines_of_the_log_that_were_lost_are_counted_once(worker):
    for _ in range(3):
        worker.log.keep(ExchangeRecord("gen-1", "r-1", 1.8e9, 10.0))
        worker.log.flush()
        worker.gauges.measure(100.0)
    assert worker.shows(metrics.LOG_DROPPED) == 3


async def test_a_successor_begins_with_nothing_and_is_counted(worker, tmp_path):
    worker.drain.enter(object())
    worker.gauges.measure(100.0)
    worker.slots.close()
    successor = Worker(Slots(tmp_path))
    assert totals(successor.slots.read())[metrics.IN_FLIGHT.name] == {}, "it has not measured yet"
    successor.gauges.measure(101.0)
    assert successor.shows(metrics.IN_FLIGHT) == 0
    assert successor.shows(metrics.WORKER_STARTS) == 2
