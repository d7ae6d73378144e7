import random

from prometheus_client.parser import text_string_to_metric_families

from fairlead.telemetry import metrics
from fairlead.telemetry.exposition import Sample, render
from fairlead.telemetry.meter import Meter
from fairlead.telemetry.metrics import METRICS
from fairlead.telemetry.slots import Slots, Table


def parsed(text):
    """All samples, by name and labels, as Prometheus' own client reads them."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def worker(directory):
    meter = Meter(slots := Slots(directory), lambda _: True)
    meter.set(metrics.WORKERS, 1.0)
    return meter, slots


def test_an_empty_one_names_every_metric_and_shows_nothing_but_noughts():
    families = [*text_string_to_metric_families(render([], []).decode())]
    assert [family.name for family in families] == [metric.name.removesuffix("_total") for metric in METRICS]
    assert [family.type for family in families] == [metric.kind for metric in METRICS]
    assert {sample.value for family in families for sample in family.samples} == {0.0}


def test_counters_and_histograms_of_all_workers_are_added_up(tmp_path):
    rng, expected, seen = random.Random(3), {"first": 0, "second": 0}, []
    workers = [worker(tmp_path) for _ in range(3)]
    for _ in range(500):
        meter, _ = rng.choice(workers)
        provider, took_s = rng.choice([*expected]), rng.expovariate(100.0)
        meter.count(metrics.ATTEMPTS, provider, "ok")
        expected[provider] += 1
        meter.observe(metrics.OVERHEAD, took_s, "true")
        seen.append(took_s)
    told = parsed(render(workers[0][1].read(), []))
    for provider, count in expected.items():
        assert told["fairlead_attempts_total", ("provider", provider), ("verdict", "ok")] == count
    name = "fairlead_gateway_overhead_seconds"
    for bound in metrics.OVERHEAD.buckets:
        below = sum(took_s <= bound for took_s in seen)
        assert told[f"{name}_bucket", ("le", repr(bound)), ("stream", "true")] == below
    assert told[f"{name}_bucket", ("le", "+Inf"), ("stream", "true")] == 500
    assert told[f"{name}_count", ("stream", "true")] == 500
    assert abs(told[f"{name}_sum", ("stream", "true")] - sum(seen)) < 1e-9


def test_gauges_are_those_of_the_living(tmp_path):
    workers = [worker(tmp_path) for _ in range(3)]
    for number, (meter, _) in enumerate(workers, 1):
        meter.set(metrics.IN_FLIGHT, number)
        meter.set(metrics.RETRY_BUDGET, number / 4)
        meter.set(metrics.MEMORY_MOST, 1000 * number)
        meter.count(metrics.WORKER_STARTS)
    told = parsed(render(workers[0][1].read(), []))
    assert told["fairlead_workers",] == 3
    assert told["fairlead_requests_in_flight",] == 1 + 2 + 3
    assert told["fairlead_retry_budget_left_ratio",] == 0.25
    assert told["fairlead_worker_resident_memory_bytes",] == 3000
    workers[0][1].close()
    told = parsed(render(workers[1][1].read(), []))
    assert told["fairlead_workers",] == 2
    assert told["fairlead_requests_in_flight",] == 2 + 3
    assert told["fairlead_retry_budget_left_ratio",] == 0.5
    assert told["fairlead_worker_starts_total",] == 3, "what has been counted stays"


def test_who_has_just_taken_over_shows_none_of_what_the_dead_one_showed(tmp_path):
    meter, slots = worker(tmp_path)
    meter.set(metrics.IN_FLIGHT, 40)
    slots.close()
    successor = Meter(slots := Slots(tmp_path), lambda _: True)
    successor.set(metrics.WORKERS, 0.0)
    assert ("fairlead_requests_in_flight",) not in parsed(render(slots.read(), []))


def test_what_another_version_has_written_is_left_out():
    series = [
        (("fairlead_of_tomorrow_total",), [1.0]),
        ((metrics.ATTEMPTS.name, "first"), [1.0]),
        ((metrics.OVERHEAD.name, "true"), [1.0, 2.0]),
        ((metrics.ATTEMPTS.name, "first", "ok"), [2.0]),
    ]
    text = render([Table(series, is_live=True)], [])
    assert [key for key, value in parsed(text).items() if value] == [
        ("fairlead_attempts_total", ("provider", "first"), ("verdict", "ok"))
    ]


def test_money_is_told_in_dollars():
    meter = Meter(slots := Slots(), lambda _: True)
    meter.count(metrics.COST, "acme/large", "first", by=1_500_000_000)
    assert (
        parsed(render(slots.read(), []))["fairlead_cost_usd_total", ("model", "acme/large"), ("provider", "first")]
        == 1.5
    )


def test_labels_are_escaped():
    label = 'a "quoted" \\ back\nslash'
    text = render([], [Sample(metrics.BUILD, (label, "3"), 1.0)])
    assert parsed(text)["fairlead_build_info", ("python", "3"), ("version", label)] == 1.0
