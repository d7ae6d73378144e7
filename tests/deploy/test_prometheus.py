"""Alerts and dashboard ask for what /metrics tells, by the names and labels that it has."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fairlead.telemetry.metrics import BY_NAME, METRICS
from harness.yamlfile import documents

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
NUMBERS = Path(__file__).with_name("alerts.yaml")
RUNBOOK = (ROOT / "deploy" / "prometheus" / "README.md").read_text(encoding="utf-8")
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "fairlead.json").read_text(encoding="utf-8"))

OF_THE_SCRAPE = {"instance", "job"}
NOT_OURS = {"up"}
_NAME = r"\b(?:fairlead_[a-z_]+|up)\b"
SELECTOR = re.compile(rf"(?P<name>{_NAME})(?:{{(?P<labels>[^}}]*)}})?")
GROUPING = re.compile(r"\b(?:by|without|ignoring|on) ?\(([^)]*)\)")

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool on this machine")


def alerts():
    """Name and text of each alert."""
    blocks = re.split(r"^      - alert: ", RULES.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {block.partition("\n")[0]: block for block in blocks}


def expression(block):
    """The value of `expr`, in one line or in a block."""
    found = re.search(r"^        expr: (?:\|\n((?:          .*\n)+)|(.*)\n)", block, re.MULTILINE)
    return found[1] or found[2]


ALERTS = alerts()
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"]}
QUERIES = {name: [expression(block)] for name, block in ALERTS.items()} | {
    title: [target["expr"] for target in panel["targets"]] for title, panel in PANELS.items()
}


def labels_of(name):
    """The labels of a series; fails for one that /metrics does not have."""
    if name in NOT_OURS:
        return OF_THE_SCRAPE
    stem = re.sub(r"_(bucket|count|sum)$", "", name)
    metric = BY_NAME.get(stem)
    assert metric is not None, f"there is no {name}"
    assert (metric.kind == "histogram") == (stem != name), name
    return {*metric.labels, *OF_THE_SCRAPE, *(["le"] if name.endswith("_bucket") else [])}


@pytest.mark.parametrize("query", [query for queries in QUERIES.values() for query in queries])
def test_a_query_names_what_exists(query):
    known = set()
    selectors = [*SELECTOR.finditer(query)]
    assert selectors
    for selector in selectors:
        labels = labels_of(selector["name"])
        asked = set(re.findall(r"(\w+) ?(?:=~|!~|!=|=)", selector["labels"] or ""))
        assert asked <= labels, selector[0]
        known |= labels
    for grouping in GROUPING.findall(query):
        assert {label.strip() for label in grouping.split(",")} <= known, query
    for opened, closed in ("()", "[]", "{}"):
        assert query.count(opened) == query.count(closed)


def test_counters_are_asked_for_how_they_grow_and_gauges_for_what_they_are():
    for query in (query for queries in QUERIES.values() for query in queries):
        grow = set(re.findall(rf"(?:rate|increase)\(({_NAME})", query))
        for selector in SELECTOR.finditer(query):
            metric = BY_NAME.get(re.sub(r"_(bucket|count|sum)$", "", selector["name"]))
            if metric is not None and metric.kind == "gauge":
                assert metric.name not in grow, query
            elif metric is not None:
                assert selector["name"] in grow, query


def test_what_is_the_fleets_is_not_added_up_over_instances():
    """Each instance tells of the same."""
    fleets = {metric.name for metric in METRICS if metric.from_fleet}
    fleets |= {"fairlead_ejections_total", "fairlead_probes_total", "fairlead_breaker_transitions_total"}
    for query in (query for queries in QUERIES.values() for query in queries):
        if fleets & {selector["name"] for selector in SELECTOR.finditer(query)}:
            assert not re.search(r"\bsum\b", query), query


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_says_what_it_is_and_what_to_do(name):
    block = ALERTS[name]
    assert re.search(r"^          severity: (critical|warning)$", block, re.MULTILINE)
    assert re.search(r'^          summary: ".+"$', block, re.MULTILINE)
    assert f'runbook: "deploy/prometheus/README.md#{name.lower()}"' in block
    assert f"\n## {name}\n" in RUNBOOK
    for label in re.findall(r"\$labels\.(\w+)", block):
        assert label in expression(block) or (label == "instance" and not GROUPING.search(expression(block)))


def test_the_runbook_has_no_alert_that_is_gone_and_no_name_that_is_none():
    assert set(re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE)) == ALERTS.keys()
    for name in re.findall(r"`(fairlead_[a-z_]+[a-z])`", RUNBOOK):
        labels_of(f"{name}_bucket" if name in BY_NAME and BY_NAME[name].buckets else name)


def test_the_dashboard_lets_the_data_source_be_chosen():
    assert {variable["name"]: variable["type"] for variable in DASHBOARD["templating"]["list"]} == {
        "datasource": "datasource", "instance": "query", "model": "query",
    }  # fmt: skip
    for panel in DASHBOARD["panels"]:
        for one in (panel, *panel["targets"]):
            assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_panels_stand_beside_each_other():
    assert len(PANELS) == len(DASHBOARD["panels"]) == len({panel["id"] for panel in DASHBOARD["panels"]})
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_what_is_counted_is_shown():
    """Everything but what only explains something else."""
    shown = " ".join(query for queries in QUERIES.values() for query in queries)
    unseen = {metric.name for metric in METRICS if not re.search(rf"{metric.name}(_bucket|_count|_sum)?\b", shown)}
    assert unseen == {
        "fairlead_estimated_usage_total", "fairlead_log_lines_dropped_total", "fairlead_metric_updates_dropped_total",
        "fairlead_traces_sent_total", "fairlead_traces_dropped_total",
        "fairlead_admission_in_flight", "fairlead_admission_bytes", "fairlead_build_info",
        "fairlead_endpoint_token_seconds", "fairlead_endpoint_error_ratio", "fairlead_endpoint_cut_ratio",
        "fairlead_endpoint_in_flight",
    }  # fmt: skip


def test_of_each_alert_it_is_tried_that_it_fires_and_that_it_does_not():
    [tried] = documents(NUMBERS.read_text(encoding="utf-8"))
    fires = {name: set() for name in ALERTS}
    for test in tried["tests"]:
        for one in test["alert_rule_test"]:
            fires[one["alertname"]].add(bool(one["exp_alerts"]))
    assert fires == {name: {True, False} for name in ALERTS}


@needs_promtool
@pytest.mark.parametrize("arguments", [["check", "rules", RULES], ["test", "rules", NUMBERS]])
def test_promtool_takes_the_rules(arguments):
    done = subprocess.run(["promtool", *arguments], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
