"""Pins on their way from one worker to the others, through a real store."""

import pytest

from fairlead import clock
from fairlead.plan.sticky import TTL_S, Pins, Told
from fairlead.store import sticky
from fairlead.store.sticky import PinStore, PinSync
from harness.valkey import Valkey

pytestmark = pytest.mark.anyio

A, B, MODEL = "a:acme/large", "b:acme/large", "acme/large"
KEY = "fl:1:sticky"


@pytest.fixture(scope="module")
def server():
    valkey = Valkey().start()
    yield valkey
    valkey.close()


@pytest.fixture
async def redis(server, dial, patient):
    client = dial(server.url)
    await client.flushall()
    return client


class Worker:
    def __init__(self, redis, name):
        self.pins = Pins()
        self.store = PinStore(redis, name)
        self.sync = PinSync(self.pins, self.store)
        self.pins.asked_at = clock.monotonic()

    def find(self, key, model=MODEL):
        return self.pins.find(key, model, clock.monotonic())

    def renew(self, key, endpoint_id, **how):
        self.pins.renew(key, endpoint_id, clock.monotonic(), **how)


@pytest.fixture
def worker(redis):
    return lambda name: Worker(redis, name)


async def test_what_one_worker_has_learned_the_others_know(worker):
    one, other = worker("one"), worker("other")
    one.renew(1, A)
    one.renew(2, B, is_routed=True)
    await one.sync.flush()
    await other.sync.flush()
    assert (other.find(1), other.find(2), other.find(2, "")) == (A, B, B)
    other.pins.end(1, A)
    await other.sync.flush()
    await one.sync.flush()
    assert (one.find(1), one.find(2)) == ("", B)


async def test_a_worker_that_starts_reads_what_was_told_before(worker, monkeypatch):
    monkeypatch.setattr(sticky, "MOST_ENTRIES", 2)
    one = worker("one")
    for key in range(5):
        one.renew(key, A)
        await one.sync.flush()
    late = worker("late")
    for _ in range(3):
        await late.sync.flush()
    assert [late.find(key) for key in range(6)] == [A] * 5 + [""]


async def test_what_is_older_than_a_pin_lives_is_forgotten(worker, redis):
    seconds, _ = await redis.time()
    for key, age_s in ((1, TTL_S + 1.0), (2, TTL_S / 2)):
        told = f'[[{key},"{A}",false,false]]'
        await redis.xadd(KEY, {"w": "x", "p": told}, id=f"{int((seconds - age_s) * 1000)}-0")
    one = worker("one")
    await one.sync.flush()
    assert (one.find(1), one.find(2)) == ("", A)
    assert one.pins.find(2, MODEL, clock.monotonic() + TTL_S / 2 + 1.0) == ""
    assert 0 < await redis.xlen(KEY) <= 2


async def test_the_stream_goes_when_nobody_tells_anything(worker, redis):
    one = worker("one")
    one.renew(1, A)
    await one.sync.flush()
    assert 0 < await redis.ttl(KEY) <= TTL_S


@pytest.mark.parametrize("entry", [{"x": "y"}, {"w": "x", "p": "no JSON"}, {"w": "x", "p": "[[1]]"}, {"p": b"\xff"}])
async def test_an_entry_that_cannot_be_read_does_no_harm(worker, redis, entry):
    await redis.xadd(KEY, entry)
    one, other = worker("one"), worker("other")
    one.renew(1, A)
    await one.sync.flush()
    await other.sync.flush()
    assert other.find(1) == A


async def test_while_the_store_is_away_each_goes_by_its_own_and_tells_it_later(dial):
    valkey = Valkey().start()
    try:
        client = dial(valkey.url)
        one, other = Worker(client, "one"), Worker(client, "other")
        valkey.kill()
        one.renew(1, A)
        await one.sync.flush()
        assert (one.find(1), await one.store.exchange([Told(1, A)])) == (A, None)
        valkey.start()
        await one.sync.flush()
        await other.sync.flush()
        assert other.find(1) == A
    finally:
        valkey.close()


async def test_who_is_not_asked_looks_less_often(worker, redis):
    one, other = worker("one"), worker("other")
    other.pins.asked_at = -1e9
    await other.sync.flush()
    one.renew(1, A)
    await one.sync.flush()
    before = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    for _ in range(sticky.IDLE_TICKS):
        await other.sync.flush()
    assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == before + 1
    assert other.find(1) == A
