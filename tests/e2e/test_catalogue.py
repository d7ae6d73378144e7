"""The catalogue as a client sees it: the models, who serves them, and how well that goes at the moment."""

import asyncio
import contextlib

import pytest

from fairlead.edge.asgi import BASES
from fairlead.health.minutes import LEAST_ATTEMPTS
from fairlead.health.percentiles import Batch, Stored
from fairlead.store.percentiles import PercentileStore
from fairlead.store.redis import connect
from harness.process import until

from .caller import callers_of_each_worker
from .conftest import CLIENT_KEY, SERVED

ENOUGH = 3 * LEAST_ATTEMPTS
"""Requests, so that there is a minute that says something wherever the minutes' borders fall among them."""


def only_endpoint(caller, model, key=CLIENT_KEY):
    answer = caller.get(f"/api/v1/models/{model}/endpoints", key=key)
    assert answer.status == 200, answer.body
    (found,) = answer.json["data"]["endpoints"]
    return found


def uptimes(caller, model, key=CLIENT_KEY):
    found = only_endpoint(caller, model, key)
    return [found[f"uptime_last_{window}"] for window in ("5m", "30m", "1d")]


async def fleet_has_seen(gateway, model, minutes):
    """Two workers that are elsewhere have told the store of a past, by how many minutes ago; each has seen half."""
    endpoint_id = f"solo:{model}"
    async with contextlib.aclosing(connect(gateway.store_url())) as client:
        store = PercentileStore(client)
        (stored,) = await store.add([Batch(model, "elsewhere", 0, 0.0)])
        this = int(stored.now // 60)
        for worker in range(2):
            halves = {this - ago: [(n + worker) // 2 for n in tried] for ago, tried in minutes.items()}
            batch = Batch(model, f"elsewhere-{worker}", 1, 0.0, minutes={endpoint_id: halves})
            assert all(isinstance(answer, Stored) for answer in await store.add([batch, batch])), "told twice"


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
        for _ in range(ENOUGH):
            assert asking.chat(model, stream=True).status == 200
        until(lambda: only_endpoint(looking, model)["latency_last_30m"])
        until(lambda: uptimes(looking, model)[0] is not None)
        found = only_endpoint(looking, model)
        assert (found["tag"], found["status"]) == ("solo", 0)
        assert uptimes(looking, model) == [100.0, 100.0, 100.0]
        times = [found["latency_last_30m"][name] for name in ("p50", "p75", "p90", "p99")]
        assert 0 < times[0] <= times[1] <= times[2] <= times[3] < 60_000
        assert only_endpoint(looking, model, key=None)["latency_last_30m"] is None


def test_uptime_is_the_share_of_good_minutes_of_the_whole_fleet(shared, caller, new_model):
    model, quiet = new_model(), new_model()
    good, bad, few = (10, 8), (11, 8), (9, 0)
    past = {1: good, 2: bad, 3: few, 10: good, 20: good, 100: bad, 700: bad, 701: few, 1300: bad, 1438: bad}
    asyncio.run(fleet_has_seen(shared, model, past))
    for key in (CLIENT_KEY, None):
        assert uptimes(caller, model, key) == [50.0, 75.0, 37.5]
        assert uptimes(caller, quiet, key) == [None, None, None]


def test_what_the_caller_causes_does_not_count_for_uptime(solo, caller, model):
    solo.does(status=400)
    assert {caller.chat(model).status for _ in range(ENOUGH)} == {400}
    solo.does()
    assert {caller.chat(model).status for _ in range(ENOUGH)} == {200}
    until(lambda: uptimes(caller, model)[0] is not None)
    assert uptimes(caller, model) == [100.0, 100.0, 100.0]


def test_replies_that_break_off_do(solo, caller, model):
    solo.does(cut_after=2)
    assert {caller.chat(model, stream=True).status for _ in range(ENOUGH)} == {200}
    until(lambda: uptimes(caller, model)[0] is not None)
    assert uptimes(caller, model) == [0.0, 0.0, 0.0]
