import pytest

from fairlead.edge.metrics import metrics_routes
from fairlead.store.ledger import LedgerStore
from fairlead.store.money import Call, MoneyStore, Watch, charge_of
from fairlead.store.redis import connect
from harness.asking import asking
from harness.ledger import generation

pytestmark = pytest.mark.anyio

NOW = 1_795_273_445.0


async def test_each_alert_is_counted_once_whoever_tells(redis_url):
    client = connect(redis_url)
    await client.flushdb()
    store = MoneyStore(client)
    charge = charge_of(generation(NOW, id="gen-1795273445-a", key="k1", cost_usd_nanos=90))
    watch = Watch("k1", "total", 80, "k1 total 0.8 100")
    async with asking(metrics_routes(LedgerStore(client).alerts)) as ask:
        nothing = await ask("GET", "/metrics")
        assert (nothing.status, nothing.body.count(b"\n")) == (200, 2)
        await store.call(Call("w1", 1, [charge], watch=[watch]))
        await store.call(Call("w2", 1, watch=[watch]))
        await store.call(Call("w1", 2, watch=[watch, Watch("k1", "total", 90, "k1 total 0.9 100")]))
        told = await ask("GET", "/metrics")
        assert told.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert told.body.decode().splitlines()[1:] == [
            "# TYPE fairlead_spend_alerts_total counter",
            'fairlead_spend_alerts_total{window="total",part="0.8"} 1',
            'fairlead_spend_alerts_total{window="total",part="0.9"} 1',
        ]
    await client.aclose()
