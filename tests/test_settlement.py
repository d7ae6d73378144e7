"""Exchanges that end together: each is charged, logged and counted once, whatever the others are like."""

import asyncio
import io
import json

import pytest

from fairlead import clock
from fairlead.access.keys import ApiKey
from fairlead.access.spend import Budgets
from fairlead.catalog.model import Catalog, Endpoint, Model, Price, Provider
from fairlead.health.board import HealthBoard
from fairlead.relay.settle import Unsettled
from fairlead.settlement import Settlement
from fairlead.store.ledger import LedgerStore
from fairlead.store.money import MoneyStore
from fairlead.store.redis import connect
from fairlead.store.till import Till
from fairlead.telemetry import metrics
from fairlead.telemetry.exposition import totals
from fairlead.telemetry.log import RequestLog
from fairlead.telemetry.meter import Meter
from fairlead.telemetry.record import AttemptRecord, ExchangeRecord
from fairlead.telemetry.slots import Slots
from fairlead.upstream.dispatch import ProxyRule, dispatches
from fairlead.wire.tokens import TokenEstimates

pytestmark = pytest.mark.anyio

PRICED = Endpoint(Provider("acme", "Acme", "http://x/v1"), Model("acme/m", "M"), "m", Price(1_000_000, 2_000_000))
REPLY = json.dumps({
    "choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3},
}).encode()  # fmt: skip
COST = 7 * 1000 + 3 * 2000


@pytest.fixture
async def client(redis_url):
    client = connect(redis_url)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
async def till(client):
    return Till(MoneyStore(client), "w", Budgets())


@pytest.fixture
def log():
    return io.StringIO()


@pytest.fixture
def slots():
    return Slots()


@pytest.fixture
def failures():
    return []


@pytest.fixture
def settlement(till, log, slots, failures):
    meter = Meter(slots, lambda model: True)
    requests = RequestLog("json", log)
    return Settlement(
        HealthBoard(), TokenEstimates(), till, meter, requests, lambda what, error: failures.append((what, error))
    )


def exchange(name, **members):
    begun = AttemptRecord("acme", "ok", 200, 1.0, begun_at=10.0)
    members = {
        "status": 200, "end": "ok", "ended_at": 11.0, "attempts": [begun], "model": "acme/m",
        "unsettled": Unsettled(PRICED, REPLY, True, b"", None, 11.0),
    } | members  # fmt: skip
    return ExchangeRecord(name, "r", clock.wall(), 10.0, **members)


async def test_what_ends_together_is_charged_logged_and_counted_once(settlement, till, client, log, slots):
    settlement.keep(exchange("gen-1"))
    settlement.keep(exchange("gen-2"))
    settlement.flush()
    settlement.flush()
    await till.close()
    logged = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [entry["id"] for entry in logged] == ["gen-1", "gen-2"]
    assert sum(values[0] for values in totals(slots.read())[metrics.REQUESTS.name].values()) == 2
    assert [
        (await LedgerStore(client).generation(name, clock.wall())).cost_usd_nanos for name in ("gen-1", "gen-2")
    ] == [COST, COST]


async def test_one_that_cannot_be_settled_takes_nothing_from_its_neighbours(settlement, till, log, slots, failures):
    settlement.keep(exchange("gen-1", unsettled=Unsettled(None, REPLY, True, b"", None, 11.0)))
    settlement.keep(exchange("gen-2"))
    settlement.flush()
    assert [what for what, _ in failures] == ["settling gen-1"]
    logged = {entry["id"]: entry for entry in map(json.loads, log.getvalue().splitlines())}
    assert logged["gen-2"]["cost_usd"] == COST / 1e9
    assert set(logged) == {"gen-1", "gen-2"}
    await till.close()


async def test_what_ended_with_something_held_is_settled_in_the_same_turn(settlement, till, log):
    """Nobody has to write, or to ask: who waits for what it held would wait for them."""
    hold = await till.enter(ApiKey("k1", "mine", "sk-…9f0"))
    settlement.keep(exchange("gen-1", hold=hold))
    settlement.keep(exchange("gen-2", hold=hold))
    assert till.unsettled == 0
    await asyncio.sleep(0)
    assert till.unsettled == 2
    await till.close()


async def test_traces_are_told_of_what_has_been_settled(settlement, till):
    class Traces:
        keep = staticmethod(lambda record: seen.append((record.id, record.cost_usd_nanos, record.unsettled)))

    seen = []
    settlement._traces = Traces
    settlement.keep(exchange("gen-1"))
    settlement.flush()
    assert seen == [("gen-1", COST, None)]
    await till.close()


async def test_replies_under_way_are_told_once_unless_all_are_wanted(settlement, till):
    paths = dispatches(Catalog({PRICED.model.id: PRICED.model}, {PRICED.model.id: (PRICED,)}, {}), ProxyRule())
    begun = exchange("gen-1", end="", ended_at=0.0, unsettled=None, endpoint_id=PRICED.id, first_content_at=10.5)
    waiting = exchange("gen-2", end="", ended_at=0.0, unsettled=None, endpoint_id=PRICED.id)
    elsewhere = exchange("gen-3", end="", ended_at=0.0, unsettled=None, endpoint_id="gone", first_content_at=10.5)

    def told(is_all):
        return [charge.id for charge in settlement.under_way([begun, waiting, elsewhere], paths, 12.0, is_all=is_all)]

    assert told(is_all=False) == ["gen-1"]
    assert told(is_all=False) == []
    assert told(is_all=True) == ["gen-1"]
    assert begun.end == ""  # it goes on
    await till.close()
