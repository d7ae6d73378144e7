"""The table of names: Prometheus' rules, as far as they can be told from it."""

import re
import shutil
import subprocess

import pytest

from fairlead.telemetry.exposition import render
from fairlead.telemetry.meter import Meter
from fairlead.telemetry.metrics import BY_NAME, METRICS
from fairlead.telemetry.slots import Slots

UNITS = ("_seconds", "_bytes", "_ratio", "_per_second")
LABELS = {
    "api", "model", "provider", "stream", "status", "end", "error", "kind", "verdict", "side", "result", "to", "why",
    "window", "part", "version", "python", "state",
}  # fmt: skip
"""Each of few values: whoever adds one says in the table why it is bounded."""


def test_names_are_told_once_and_follow_the_rules():
    assert len(BY_NAME) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"fairlead_[a-z]+(_[a-z]+)*", metric.name)
        assert (metric.kind == "counter") == metric.name.endswith("_total")
        assert set(metric.labels) <= LABELS, metric.name
        assert metric.text.endswith(".")
        if metric.kind == "histogram":
            assert metric.name.endswith(UNITS)
            assert list(metric.buckets) == sorted(set(metric.buckets))
        else:
            assert not metric.buckets


def test_gauges_of_workers_have_no_labels():
    """They are set to nothing when a worker takes over what another has left."""
    assert not [metric.name for metric in METRICS if metric.kind == "gauge" and not metric.from_fleet and metric.labels]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool on this machine")
def test_promtool_finds_nothing_to_complain_of():
    meter = Meter(slots := Slots(), lambda _: True)
    for metric in METRICS:
        if metric.kind == "histogram":
            meter.observe(metric, 0.1, *["x"] * len(metric.labels))
        elif metric.kind == "counter":
            meter.count(metric, *["x"] * len(metric.labels))
    text = render(slots.read(), [])
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr.decode()
