"""A real Prometheus looks at a real gateway: it takes what is told, the alerts and every query of the dashboard."""

import re
import shutil
import subprocess

import pytest

from e2e.caller import Caller
from e2e.conftest import provider
from e2e.test_response_cache import ask as ask_cached
from harness.process import GatewayProcess, until
from harness.prometheus import SHIPPED, Prometheus
from harness.simulators import Simulators

from .test_prometheus import ALERTS, DASHBOARD, PANELS, expression, needs_promtool

KEY = "sk-prometheus-4c81f0d27e"
TOKENS = {"prompt_tokens": 9, "completion_tokens": 4}
USAGE = TOKENS | {
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
RATE_INTERVAL = "1m"
COMPARISON = re.compile(r"(?<=[\])\w}]) (==|!=|>=|<=|>|<) ")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """Of all that can be counted, something happens with each `round_of_traffic`."""
    with Simulators() as simulators:
        upstreams = {name: simulators.start() for name in ("well", "ill", "brittle")}
        upstreams["well"].does(usage=USAGE, first_byte_delay_s=0.005)
        upstreams["ill"].does(status=500)
        upstreams["brittle"].does(cut_after=4)
        models = {"well": "acme/large,acme/both", "ill": "acme/both,acme/sick", "brittle": "acme/brittle"}
        env = {"FAIRLEAD_WORKERS": "2", "FAIRLEAD_API_KEYS": KEY, "FAIRLEAD_CACHE": "true"}
        env |= {"FAIRLEAD_PROBE_MIN_S": "0.2", "FAIRLEAD_PROBE_MAX_S": "0.4"}
        for name, upstream in upstreams.items():
            env |= provider(name, upstream, models=models[name], price_prompt=1, price_completion=2)
        with GatewayProcess(tmp_path_factory.mktemp("gateway"), env) as gateway:
            gateway.limited = gateway.run("keys", "create", "--name", "limited", "--limit", "0.0001").strip()
            gateway.secrets.add(gateway.limited)
            yield gateway


@pytest.fixture(scope="module")
def prometheus(gateway, tmp_path_factory):
    """It has looked at the gateway before and after something has happened there."""
    targets = [f"{gateway.host}:{gateway.port}"]
    with Prometheus(tmp_path_factory.mktemp("prometheus"), targets) as prometheus:
        until(lambda: prometheus.values('up{job="fairlead"} == 1'))
        until(lambda: round_of_traffic(gateway) and prometheus.values("rate(fairlead_requests_total[1m]) > 0"))
        yield prometheus


def round_of_traffic(gateway):
    """Answers, failures, streams that break off, replies told again, and a limit that is spent."""
    with Caller(gateway, KEY) as caller:
        for is_stream in (True, False):
            caller.chat("acme/large", stream=is_stream)
        caller.chat("acme/both", provider={"order": ["ill", "well"]})
        caller.chat("acme/sick")
        caller.chat("acme/large", key=gateway.limited, max_tokens=4)
        caller.chat("acme/brittle", stream=True)
    ask_cached(gateway, KEY, "tell me again")
    return True


def asked(query):
    """A dashboard's query as Grafana sends it, with everything chosen."""
    return query.replace("$__rate_interval", RATE_INTERVAL).replace("$instance", ".*").replace("$model", ".*")


def test_it_takes_all_that_metrics_tells(gateway, prometheus):
    [target] = prometheus.ask("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    assert target["labels"] == {"instance": f"{gateway.host}:{gateway.port}", "job": "fairlead"}


@pytest.mark.parametrize("title", PANELS)
def test_each_query_of_a_panel_finds_something(gateway, prometheus, title):
    for target in PANELS[title]["targets"]:
        query = asked(target["expr"])
        assert "$" not in query
        until(lambda query=query: round_of_traffic(gateway) and prometheus.values(query))
        for labels, _ in prometheus.values(query):
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels.keys(), target["legendFormat"]


@pytest.mark.parametrize("name", ALERTS)
def test_what_an_alert_compares_is_there(gateway, prometheus, name):
    """With what is true told as 1, the rest as 0: both sides of a comparison are there, with labels that match."""
    query, count = COMPARISON.subn(r" \1 bool ", expression(ALERTS[name]))
    assert count
    until(lambda: round_of_traffic(gateway) and prometheus.values(query))


def test_the_variables_of_the_dashboard_have_values(prometheus, gateway):
    found = {}
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            series, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()
            found[variable["name"]] = prometheus.ask(f"label/{label}/values", **{"match[]": series})
    assert found["instance"] == [f"{gateway.host}:{gateway.port}"]
    assert "acme/large" in found["model"]


def test_it_evaluates_every_alert_and_some_go_off(prometheus, gateway):
    wanted = {"FairleadErrors", "FairleadEndpointOut", "FairleadSpendLimit"}
    until(lambda: round_of_traffic(gateway) and wanted <= {one["labels"]["alertname"] for one in alerts(prometheus)})
    [group] = prometheus.ask("rules")["groups"]
    evaluated = {rule["name"]: (rule["health"], rule.get("lastError", "")) for rule in group["rules"]}
    assert evaluated == dict.fromkeys(ALERTS, ("ok", ""))
    off = {one["labels"]["alertname"]: one["annotations"] for one in alerts(prometheus)}
    assert off["FairleadSpendLimit"]["summary"].startswith("a limit (total) has been spent to a part of ")
    assert off["FairleadErrors"]["summary"].endswith("% of requests fail or break off")
    assert off["FairleadEndpointOut"]["summary"].startswith("ill has been out of use for acme/")
    # Those of a limit wait for nothing; on a full machine a store may be late for a moment, but not for a minute.
    firing = {one["labels"]["alertname"] for one in alerts(prometheus) if one["state"] == "firing"}
    assert "FairleadSpendLimit" in firing
    assert not firing & {"FairleadDown", "FairleadStoreAway", "FairleadChargesWait", "FairleadWorkersRestart"}


def alerts(prometheus):
    """Those that wait for their time, and those whose time has come."""
    return prometheus.ask("alerts")["alerts"]


@needs_promtool
def test_promtool_finds_nothing_wrong_with_what_metrics_tells(gateway):
    round_of_traffic(gateway)
    with Caller(gateway, KEY) as caller:
        told = caller.get("/metrics").body
    done = subprocess.run(["promtool", "check", "metrics"], input=told, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.decode() + done.stderr.decode()) == (0, "")


def test_what_the_autoscaler_would_be_told_is_there(gateway, prometheus):
    """As prometheus-adapter asks, but that pods have no names here."""
    [query] = re.findall(r"^ +metricsQuery: (.+)$", (SHIPPED / "adapter.yaml").read_text(), re.MULTILINE)
    [series] = re.findall(r"seriesQuery: '(\w+){", (SHIPPED / "adapter.yaml").read_text())
    parts = {"GroupBy": "instance", "Series": series, "LabelMatchers": 'job="fairlead"'}
    [(labels, _)] = prometheus.values(re.sub(r"<<\.(\w+)>>", lambda match: parts[match[1]], query))
    assert labels == {"instance": f"{gateway.host}:{gateway.port}"}


DISCOVERY = {
    "kubernetes.yaml": ("kubernetes_sd_configs: [{ role: pod }]", 'static_configs: [{ targets: ["pod:8420"] }]')
}
"""Debian's Prometheus is built without it."""


@needs_promtool
@pytest.mark.parametrize("name", ["prometheus.yaml", "kubernetes.yaml"])
def test_promtool_takes_the_configuration(name, tmp_path):
    text = (SHIPPED / name).read_text(encoding="utf-8")
    theirs, ours = DISCOVERY.get(name, ("", ""))
    assert theirs in text
    (tmp_path / name).write_text(text.replace(theirs, ours) if theirs else text, encoding="utf-8")
    shutil.copy(SHIPPED / "rules.yaml", tmp_path)
    command = ["promtool", "check", "config", tmp_path / name]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def test_one_that_is_gone_is_missed(gateway, prometheus):
    gateway.close()
    until(lambda: "FairleadDown" in {one["labels"]["alertname"] for one in alerts(prometheus)})
