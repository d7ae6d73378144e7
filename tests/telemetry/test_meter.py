import pytest

from fairlead.catalog.pricing import Usage
from fairlead.telemetry import metrics
from fairlead.telemetry.exposition import totals
from fairlead.telemetry.meter import MOST_KEPT, Meter
from fairlead.telemetry.metrics import MOST_MODELS
from fairlead.telemetry.record import CALLER_SLOW, AttemptRecord, ExchangeRecord
from fairlead.telemetry.slots import Slots

CATALOGUE = {"acme/large", "acme/small"}


@pytest.fixture
def slots():
    return Slots()


@pytest.fixture
def meter(slots):
    return Meter(slots, CATALOGUE.__contains__)


@pytest.fixture
def told(meter, slots):
    """Counts records, and returns what a metric has then, by labels."""

    def told(metric, *records):
        for record in records:
            meter.keep(record)
        meter.digest()
        found = totals(slots.read())[metric.name]
        return {labels: values if metric.buckets else values[0] for labels, values in found.items()}

    return told


def tried(provider="first", verdict="ok", begun_at=10.0, duration_s=1.0):
    return AttemptRecord(provider, verdict, 200, duration_s, begun_at=begun_at)


def exchange(*attempts, **members):
    """One that went well, but for what is said otherwise."""
    members = {"model": "acme/large", "provider": "first", "status": 200, "end": "ok", "ended_at": 11.0} | members
    return ExchangeRecord("gen-1", "r-1", 1.8e9, 10.0, attempts=list(attempts), **members)


def where(metric, value):
    """A histogram's numbers after one observation."""
    values = [0.0] * metric.size
    values[next((n for n, bound in enumerate(metric.buckets) if value <= bound), len(metric.buckets))] = 1.0
    values[-1] = pytest.approx(value)
    return values


def test_requests_by_how_they_ended(told):
    gone = exchange(model="", provider="", status=499, end="gone")
    refused = exchange(provider="", status=429, end="error", error_type="rate_limit_exceeded", api="responses")
    assert told(metrics.REQUESTS, exchange(tried()), exchange(tried()), gone, refused, exchange(status=0, end="")) == {
        ("chat", "acme/large", "first", "false", "2xx", "ok", "none"): 2,
        ("chat", "none", "none", "false", "4xx", "gone", "none"): 1,
        ("responses", "acme/large", "none", "false", "4xx", "error", "rate_limit_exceeded"): 1,
        ("chat", "acme/large", "first", "false", "none", "none", "none"): 1,
    }


def test_a_model_that_the_catalogue_lacks_gets_no_label(told):
    found = told(metrics.REQUESTS, *(exchange(model=f"sk-secret-{n}", provider="") for n in range(50)))
    assert {labels[1]: count for labels, count in found.items()} == {"other": 50}


def test_so_many_models_get_labels_and_the_rest_share_one(slots):
    meter = Meter(slots, lambda _: True)
    for n in range(MOST_MODELS + 30):
        for _ in range(2):
            meter.keep(exchange(model=f"acme/m{n}"))
    meter.digest()
    found = totals(slots.read())[metrics.REQUESTS.name]
    assert len(found) == MOST_MODELS + 1
    assert found["chat", "other", "first", "false", "2xx", "ok", "none"] == [60.0]


def test_time_of_a_stream(told):
    record = exchange(
        tried(begun_at=10.002, duration_s=1.990), is_stream=True, first_content_at=10.4, ended_at=12.0,
        body_wait_s=0.001, usage=Usage(100, 80), cost_usd_nanos=5_000,
    )  # fmt: skip
    assert told(metrics.DURATION, record) == {("acme/large", "first", "true"): where(metrics.DURATION, 2.0)}
    assert told(metrics.FIRST_TOKEN) == {("acme/large", "first"): where(metrics.FIRST_TOKEN, 0.4)}
    assert told(metrics.SPEED) == {("acme/large", "first"): where(metrics.SPEED, 79 / 1.6)}
    assert told(metrics.OVERHEAD) == {("true",): where(metrics.OVERHEAD, 2.0 - 1.990 - 0.001)}


def test_a_reply_in_one_piece_has_no_first_token_and_no_speed(told):
    record = exchange(tried(), first_content_at=10.9, usage=Usage(100, 80))
    assert told(metrics.FIRST_TOKEN, record) == told(metrics.SPEED) == {}


@pytest.mark.parametrize(
    ("attempts", "upstream_s"),
    [
        ([], 0.0),
        ([tried(begun_at=10.1, duration_s=0.2), tried(begun_at=10.4, duration_s=0.5)], 0.7),
        ([tried(begun_at=10.1, duration_s=0.8), tried(begun_at=10.3, duration_s=0.2)], 0.8),
        ([tried(begun_at=10.3, duration_s=0.5), tried(begun_at=10.1, duration_s=0.4)], 0.7),
    ],
    ids=["none", "one after the other", "one within the other", "overlapping, in another order"],
)
def test_overhead_is_what_no_attempt_was_waited_for(told, attempts, upstream_s):
    assert told(metrics.OVERHEAD, exchange(*attempts)) == {("false",): where(metrics.OVERHEAD, 1.0 - upstream_s)}


def test_tokens_and_cost(told):
    usage = Usage(1000, 200, cached_tokens=600, reasoning_tokens=50)
    record = exchange(tried(), usage=usage, cost_usd_nanos=1_500)
    guessed = exchange(tried(), usage=Usage(10, 2), cost_usd_nanos=None, is_estimated=True)
    at = ("acme/large", "first")
    assert told(metrics.TOKENS, record, record, guessed) == {(*at, "prompt"): 2010, (*at, "completion"): 402}
    assert told(metrics.CACHED_TOKENS) == {at: 1200}
    assert told(metrics.REASONING_TOKENS) == {at: 100}
    assert told(metrics.COST) == {at: 3_000}
    assert told(metrics.ESTIMATED) == {("first",): 1}


def test_attempts_and_failovers(told):
    failed_over = exchange(tried("second", "transient"), tried("third", "timeout"), tried("first"))
    raced = exchange(tried("first"), tried("second", "outrun"))
    again = exchange(tried("first", "unfit"), tried("first"))
    given_up = exchange(tried("second", "limit"), tried("third", "limit"))
    assert told(metrics.ATTEMPTS, failed_over, raced, again, given_up) == {
        ("second", "transient"): 1, ("third", "timeout"): 1, ("first", "ok"): 3, ("second", "outrun"): 1,
        ("first", "unfit"): 1, ("second", "limit"): 1, ("third", "limit"): 1,
    }  # fmt: skip
    assert told(metrics.FAILOVERS) == {("second", "transient"): 1, ("third", "timeout"): 1, ("second", "limit"): 1}


def test_whose_fault_it_is_that_a_stream_was_not_completed(told):
    records = [
        exchange(tried(), is_stream=True),
        exchange(tried(), is_stream=True, end="gone"),
        exchange(tried(), is_stream=True, end="cut", error="reset"),
        exchange(tried(), is_stream=True, end="cut", error=CALLER_SLOW),
        exchange(tried(), is_stream=True, end="drained"),
        exchange(tried(), is_stream=True, end="gone", status=499),
        exchange(tried(), end="gone"),
    ]
    found = told(metrics.STREAM_ABORTS, *records)
    assert {labels: count for labels, count in found.items() if count} == {
        ("caller",): 2, ("provider",): 1, ("gateway",): 1,
    }  # fmt: skip


def test_a_reply_told_again_is_no_providers(told):
    hit = exchange(
        provider="first", cache="hit", is_stream=True, first_content_at=10.1, usage=Usage(), cost_usd_nanos=0
    )
    miss = exchange(tried(), cache="miss")
    assert told(metrics.CACHE, hit, miss, miss, exchange(tried())) == {("hit",): 1, ("miss",): 2}
    assert {labels[2] for labels in told(metrics.REQUESTS)} == {"cache", "first"}
    assert {labels[1] for labels in told(metrics.DURATION)} == {"cache", "first"}
    assert told(metrics.FIRST_TOKEN) == {}


def test_what_is_kept_waits_for_the_digest_but_not_for_ever(meter, slots):
    for _ in range(MOST_KEPT - 1):
        meter.keep(exchange())
    assert not totals(slots.read())[metrics.REQUESTS.name]
    meter.keep(exchange())
    [[count]] = totals(slots.read())[metrics.REQUESTS.name].values()
    assert count == MOST_KEPT


def test_what_there_is_no_room_for_is_counted_as_lost_and_hurts_nobody():
    meter = Meter(slots := Slots(size_bytes=4096), lambda _: True)
    for n in range(100):
        meter.count(metrics.ATTEMPTS, f"provider-{n}", "ok")
        meter.observe(metrics.FIRST_TOKEN, 1.0, "acme/large", f"provider-{n}")
        meter.keep(exchange(tried(f"provider-{n}"), provider=f"provider-{n}", usage=Usage(1, 1)))
    meter.digest()
    found = totals(slots.read())
    attempts = found[metrics.ATTEMPTS.name]
    assert 0 < len(attempts) < 100
    assert [*attempts.values()] == [[2.0]] * len(attempts)
    assert found[metrics.SERIES_DROPPED.name][()][0] > 100
