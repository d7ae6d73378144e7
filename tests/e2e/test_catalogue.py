"""The catalogue as a client sees it: the models, who serves them, and how well that goes at the moment."""

import pytest

from fairlead.edge.asgi import BASES
from harness.process import until

from .caller import callers_of_each_worker
from .conftest import CLIENT_KEY, SERVED


def only_endpoint(caller, model, key=CLIENT_KEY):
    answer = caller.get(f"/api/v1/models/{model}/endpoints", key=key)
    assert answer.status == 200, answer.body
    (found,) = answer.json["data"]["endpoints"]
    return found


@pytest.mark.parametrize("base", BASES)
def test_models_and_providers_are_under_each_base(caller, model, base):
    listing = caller.get(f"{base}/models?q={model}&limit=1").json
    shown = listing["data"][0]
    assert (shown["id"], shown["links"]["details"]) == (model, f"{base}/models/{model}/endpoints")
    assert (shown["pricing"]["prompt"], shown["pricing"]["completion"]) == ("0.000001", "0.000002")
    assert caller.get(shown["links"]["details"]).json["data"]["id"] == model
    assert {one["slug"] for one in caller.get(f"{base}/providers").json["data"]} == set(SERVED)


def test_any_worker_tells_how_well_an_endpoint_does(shared, solo, model):
    with callers_of_each_worker(shared, CLIENT_KEY, model) as callers:
        asking, looking = callers.values()
        for _ in range(20):
            assert asking.chat(model, stream=True).status == 200
        until(lambda: only_endpoint(looking, model)["latency_last_30m"])
        found = only_endpoint(looking, model)
        assert (found["tag"], found["status"], found["uptime_last_5m"]) == ("solo", 0, 100.0)
        times = [found["latency_last_30m"][name] for name in ("p50", "p75", "p90", "p99")]
        assert 0 < times[0] <= times[1] <= times[2] <= times[3] < 60_000
        assert only_endpoint(looking, model, key=None)["latency_last_30m"] is None
