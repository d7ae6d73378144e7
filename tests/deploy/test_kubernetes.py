"""The manifests for Kubernetes, as kustomize and as Helm make them: accepted, current, and of one piece."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from fairlead import __version__
from fairlead.cli import commands
from fairlead.config import SETTINGS, Settings, load
from fairlead.supervisor.run import _OVERTIME_S
from fairlead.telemetry.metrics import BY_NAME
from harness.yamlfile import TOOLS, documents

DEPLOY = Path(__file__).parents[2] / "deploy"
PLAIN, CHART = DEPLOY / "kubernetes", DEPLOY / "helm"
IN_FLIGHT = PLAIN / "in-flight"
PORT = Settings(data_dir=Path("nowhere")).port
EVERYTHING = {
    "imagePullSecrets": [{"name": "pull"}],
    "ingress": {"enabled": True, "host": "llm.example", "tlsSecret": "llm-tls"},
    "networkPolicy": {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}]},
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"operator": "Exists"}],
    "replicas": {"targetInFlight": 800},
}
"""Values with which each branch of the chart is taken."""

_RENDER = (
    "import helm_python, json, sys; chart = helm_python.Chart.load(sys.argv[1]);"
    "print('\\n---\\n'.join(chart.render(json.loads(sys.argv[2]), name='one').values()))"
)
_LINT = "import helm_python, json, sys; print(json.dumps(helm_python.lint(sys.argv[1], {}, strict=True)))"


def output(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def with_tools(*arguments, **options):
    if not (TOOLS / "kubernetes-validate").exists():
        pytest.skip("neither Helm's library nor Kubernetes' schemas on this machine (make tools)")
    return output(str(TOOLS / "python"), *arguments, **options)


def kustomized(folder=PLAIN):
    for command in (["kustomize", "build"], ["kubectl", "kustomize"]):
        if shutil.which(command[0]):
            return output(*command, str(folder))
    pytest.skip("neither kustomize nor kubectl on this machine")
    return None


def kustomized_in_flight():
    """As a kustomization of somebody's own has it."""
    with tempfile.TemporaryDirectory() as folder:
        plain, more = (os.path.relpath(path, Path(folder).resolve()) for path in (PLAIN, IN_FLIGHT))
        Path(folder, "kustomization.yaml").write_text(f"resources: [{plain}]\ncomponents: [{more}]\n")
        return kustomized(folder)


def charted(values):
    return with_tools("-c", _RENDER, str(CHART), json.dumps(values))


MAKERS = {
    "kustomize": kustomized,
    "kustomize-in-flight": kustomized_in_flight,
    "chart": lambda: charted({}),
    "chart-in-full": lambda: charted(EVERYTHING),
}


@pytest.fixture(scope="module", params=MAKERS)
def text(request):
    return MAKERS[request.param]()


@pytest.fixture(scope="module")
def things(text):
    """Each by its kind; there is one of each."""
    found = documents(text)
    things = {thing["kind"]: thing for thing in found}
    assert len(things) == len(found)
    return things


@pytest.fixture
def pod(things):
    return things["Deployment"]["spec"]["template"]["spec"]


@pytest.fixture
def container(pod):
    [container] = pod["containers"]
    return container


def test_kubernetes_knows_every_member(text, tmp_path):
    """By its own schemas, which are strict here: a member that is misspelt would be ignored for ever."""
    file = tmp_path / "all.yaml"
    file.write_text(text)
    said = with_tools(str(TOOLS / "kubernetes-validate"), "--strict", str(file))
    assert "passed" in said


def test_helm_finds_nothing_wrong():
    report = json.loads(with_tools("-c", _LINT, str(CHART)))
    assert not report["errors"]
    assert [message["error"] for message in report["messages"]] == ["icon is recommended"]


def test_the_chart_wants_a_host_for_its_ingress():
    with pytest.raises(AssertionError, match="the name that callers use"):
        charted({"ingress": {"enabled": True}})


def test_every_plain_file_is_used():
    [kustomization] = documents((PLAIN / "kustomization.yaml").read_text())
    used = {*kustomization["resources"], *kustomization["configMapGenerator"][0]["envs"], "kustomization.yaml"}
    assert used == {path.name for path in PLAIN.iterdir() if path != IN_FLIGHT}
    assert [path.name for path in IN_FLIGHT.iterdir()] == ["kustomization.yaml"]


def test_the_selectors_choose_our_pods_and_no_others(things, pod):
    labels = things["Deployment"]["spec"]["template"]["metadata"]["labels"]
    chosen = [
        things["Deployment"]["spec"]["selector"]["matchLabels"],
        things["Service"]["spec"]["selector"],
        things["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        things["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        *(spread["labelSelector"]["matchLabels"] for spread in pod["topologySpreadConstraints"]),
    ]
    for selector in chosen:
        assert selector
        assert selector == chosen[0]
        assert selector.items() <= labels.items()


def test_they_refer_to_what_there_is(things, pod, container):
    assert pod["serviceAccountName"] == things["ServiceAccount"]["metadata"]["name"]
    assert container["envFrom"][0]["configMapRef"]["name"] == things["ConfigMap"]["metadata"]["name"]
    target = things["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", things["Deployment"]["metadata"]["name"])
    assert "replicas" not in things["Deployment"]["spec"], "each apply would undo what the autoscaler did"
    assert (
        things["HorizontalPodAutoscaler"]["spec"]["metrics"][0]["resource"]["name"]
        in container["resources"]["requests"]
    )
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}
    for backend in [
        path["backend"]["service"]
        for rule in things.get("Ingress", {}).get("spec", {}).get("rules", [])
        for path in rule["http"]["paths"]
    ]:
        assert backend["name"] == things["Service"]["metadata"]["name"]


def test_the_autoscaler_looks_at_the_cpu_and_at_requests_under_way_if_it_is_told_to(request, things):
    """The CPU stays: of several the one that asks for most pods counts, and one that cannot be had takes none away."""
    cpu, *others = things["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert (cpu["type"], cpu["resource"]["target"]) == ("Resource", {"type": "Utilization", "averageUtilization": 60})
    per_pod = {"kustomize-in-flight": "1000", "chart-in-full": "800"}.get(request.node.callspec.params["text"])
    if per_pod is None:
        assert others == []
        return
    [metric] = others
    target = {"type": "AverageValue", "averageValue": per_pod}
    assert metric == {"type": "Pods", "pods": {"metric": {"name": ADAPTED}, "target": target}}


ADAPTED = "fairlead_requests_in_flight"


def test_what_the_autoscaler_asks_for_is_scraped_of_each_pod_and_adapted(pod):
    [values] = documents((DEPLOY / "prometheus" / "adapter.yaml").read_text())
    [rule] = values["rules"]["custom"]
    name, matchers = re.fullmatch(r"(\w+){(.+)}", rule["seriesQuery"]).groups()
    assert (name, BY_NAME[name].kind, BY_NAME[name].of_all) == (ADAPTED, "gauge", "sum")
    assert rule["metricsQuery"] == "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})"
    [scraped] = documents((DEPLOY / "prometheus" / "kubernetes.yaml").read_text())
    [job] = scraped["scrape_configs"]
    labels = {one["target_label"] for one in job["relabel_configs"] if "target_label" in one}
    assert labels == rule["resources"]["overrides"].keys() == {"namespace", "pod"}
    assert matchers == f'job="{job["job_name"]}",namespace!="",pod!=""'
    kept = {one["source_labels"][0]: one["regex"] for one in job["relabel_configs"] if one.get("action") == "keep"}
    port = kept["__meta_kubernetes_pod_container_port_name"]
    assert port in [port["name"] for port in pod["containers"][0]["ports"]]


def test_the_ports_are_one(things, container):
    [port] = container["ports"]
    assert port["containerPort"] == PORT == int(things["ConfigMap"]["data"]["FAIRLEAD_PORT"])
    assert [port["targetPort"] for port in things["Service"]["spec"]["ports"]] == [port["name"]]
    assert things["NetworkPolicy"]["spec"]["ingress"][0]["ports"] == [{"port": PORT, "protocol": "TCP"}]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == port["name"]


def test_the_settings_are_taken_and_a_drain_ends_before_the_pod_is_killed(things, pod, tmp_path):
    data = things["ConfigMap"]["data"]
    assert data.keys() <= {setting.variable for setting in SETTINGS}
    environ = {**data, "HOME": str(tmp_path)}
    settings = load(environ, cwd=tmp_path, is_terminal=False, cpu_count=64).settings
    grace_s = pod["terminationGracePeriodSeconds"]
    assert grace_s > settings.drain_delay_s + settings.drain_timeout_s + _OVERTIME_S
    assert settings.workers == 2
    assert settings.host == "0.0.0.0"


def test_readiness_is_lost_while_the_gateway_still_accepts(things, container):
    readiness, liveness = container["readinessProbe"], container["livenessProbe"]
    noticed_s = readiness["periodSeconds"] * readiness["failureThreshold"] + readiness["timeoutSeconds"]
    assert noticed_s < float(things["ConfigMap"]["data"]["FAIRLEAD_DRAIN_DELAY_S"])
    assert readiness["httpGet"]["path"] == "/readyz"
    assert liveness["httpGet"]["path"] == "/livez", "who drains is not dead"


def test_secrets_come_from_the_secret_alone(text, container):
    secrets = {
        setting.variable
        for setting in SETTINGS
        if "KEY" in setting.variable or setting.variable == "FAIRLEAD_REDIS_URL"
    }
    for variable in container["env"]:
        assert variable["name"] in secrets
        assert variable["valueFrom"]["secretKeyRef"]["key"] == variable["name"]
        assert not variable["valueFrom"]["secretKeyRef"].get("optional")
    assert container["envFrom"][1]["secretRef"]["name"] == "fairlead"
    assert not re.search(r"^kind: Secret$", text, re.MULTILINE)


def test_the_pod_may_do_little(pod, container):
    assert pod["securityContext"]["runAsNonRoot"]
    assert f"USER {pod['securityContext']['runAsUser']}:" in (DEPLOY / "Dockerfile").read_text()
    assert not pod["automountServiceAccountToken"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["args"][0] in commands.commands


def test_the_versions_are_one(container):
    [chart] = documents((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
    assert container["image"] == f"fairlead:{__version__}"
