import pytest
from prometheus_client.parser import text_string_to_metric_families

from fairlead import __version__
from fairlead.edge.metrics import metrics_routes
from fairlead.store.ledger import LedgerStore
from fairlead.store.money import Call, MoneyStore, Watch, charge_of
from fairlead.store.redis import connect
from fairlead.telemetry import metrics
from fairlead.telemetry.exposition import Sample
from fairlead.telemetry.meter import Meter
from fairlead.telemetry.slots import Slots
from harness.asking import asking
from harness.ledger import generation

pytestmark = pytest.mark.anyio

NOW = 1_795_273_445.0


async def nothing():
    return []


def routes(alerts, endpoints=nothing, flush=lambda: None, read=list):
    return metrics_routes(alerts, endpoints, flush, read)


def lines(answer, name):
    return [line for line in answer.body.decode().splitlines() if line.startswith(name)]


async def test_each_alert_is_counted_once_whoever_tells(redis_url):
    client = connect(redis_url)
    await client.flushdb()
    store = MoneyStore(client)
    charge = charge_of(generation(NOW, id="gen-1795273445-a", key="k1", cost_usd_nanos=90))
    watch = Watch("k1", "total", 80, "k1 total 0.8 100")
    async with asking(routes(LedgerStore(client).alerts)) as ask:
        before = await ask("GET", "/metrics")
        assert before.status == 200
        assert lines(before, "fairlead_spend_alerts_total{") == []
        await store.call(Call("w1", 1, [charge], watch=[watch]))
        await store.call(Call("w2", 1, watch=[watch]))
        await store.call(Call("w1", 2, watch=[watch, Watch("k1", "total", 90, "k1 total 0.9 100")]))
        told = await ask("GET", "/metrics")
        assert told.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert told.headers["cache-control"] == "no-store"
        assert "# TYPE fairlead_spend_alerts_total counter" in told.body.decode().splitlines()
        assert lines(told, "fairlead_spend_alerts_total{") == [
            'fairlead_spend_alerts_total{window="total",part="0.8"} 1',
            'fairlead_spend_alerts_total{window="total",part="0.9"} 1',
        ]
        assert lines(told, "fairlead_store_up") == ["fairlead_store_up 1"]
    await client.aclose()


async def test_without_the_store_it_tells_what_the_workers_know(free_tcp_port):
    client, slots = connect(f"redis://127.0.0.1:{free_tcp_port}"), Slots()
    meter = Meter(slots, lambda _: True)

    async def endpoints():
        return [Sample(metrics.STATE, ("first", "acme/large", "ejected"), 1.0)]

    def flush():
        meter.count(metrics.ATTEMPTS, "first", "ok")

    async with asking(routes(LedgerStore(client).alerts, endpoints, flush, slots.read)) as ask:
        told = await ask("GET", "/metrics")
    await client.aclose()
    assert told.status == 200
    assert lines(told, "fairlead_store_up") == ["fairlead_store_up 0"]
    assert lines(told, "fairlead_attempts_total{") == ['fairlead_attempts_total{provider="first",verdict="ok"} 1']
    assert lines(told, "fairlead_endpoint_state{") == [
        'fairlead_endpoint_state{provider="first",model="acme/large",state="ejected"} 1'
    ]
    assert f'version="{__version__}"' in lines(told, "fairlead_build_info{")[0]
    assert len([*text_string_to_metric_families(told.body.decode())]) == len(metrics.METRICS)
