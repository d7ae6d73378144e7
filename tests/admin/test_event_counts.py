import pytest

from fairlead.admin.event_counts import count_change
from fairlead.health.endpoint import VERDICTS
from fairlead.health.outcome import Verdict
from fairlead.health.record import Change, Why
from fairlead.telemetry import metrics
from fairlead.telemetry.exposition import totals
from fairlead.telemetry.heard import Heard
from fairlead.telemetry.meter import Meter
from fairlead.telemetry.slots import Slots

LIMIT = VERDICTS.index(Verdict.LIMIT)
AT = ("first", "acme/large")


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def workers(tmp_path, clock):
    return [(Meter(Slots(tmp_path), lambda _: True), Heard(tmp_path, clock)) for _ in range(2)]


@pytest.fixture
def hear(workers):
    def hear(kind, seconds=0.0, why=0, epoch=1, endpoint="first:acme/large"):
        for meter, heard in workers:
            count_change(meter, heard, Change("acme/large", endpoint, kind, seconds, why, epoch))

    return hear


@pytest.fixture
def told(workers):
    def told(metric):
        return {labels: value for labels, [value] in totals(workers[0][0]._slots.read())[metric.name].items()}

    return told


def test_the_life_of_an_endpoint_is_counted_once_for_all_workers(hear, told):
    hear("ejected", 1.0, Why.IN_A_ROW, 1)
    hear("probing", 0.0, Why.IN_A_ROW, 2)
    hear("ejected", 2.0, Why.PROBE, 3)
    hear("probing", 0.0, Why.IN_A_ROW, 4)
    hear("ejected", 0.0, Why.IN_A_ROW, 5)  # its caller has left
    hear("probing", 0.0, Why.IN_A_ROW, 6)
    hear("recovered", 0.0, Why.NOTHING, 7)
    assert told(metrics.TRANSITIONS) == {(*AT, "ejected"): 3, (*AT, "probing"): 3, (*AT, "recovered"): 1}
    assert told(metrics.EJECTIONS) == {(*AT, "in_a_row"): 1, (*AT, "probe"): 1}
    assert told(metrics.PROBES) == {(*AT, "begun"): 3, (*AT, "failed"): 1, (*AT, "void"): 1, (*AT, "ok"): 1}


def test_cool_downs_follow_each_other_without_a_new_epoch(hear, told, clock):
    for _ in range(3):
        hear("cooling", 1.0, LIMIT)
        clock.now += 1.0
    assert told(metrics.TRANSITIONS) == {(*AT, "cooling"): 3}
    assert told(metrics.EJECTIONS) == told(metrics.PROBES) == {}


def test_a_whole_account_has_no_model(hear, told):
    hear("cooling", 60.0, LIMIT, endpoint="@first")
    assert told(metrics.TRANSITIONS) == {("first", "none", "cooling"): 1}
