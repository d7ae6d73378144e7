"""compose.yaml: what it names is there and current, and what it starts with no keys works."""

import json
import re
import shutil
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path, PurePosixPath

import pytest

from fairlead import __version__
from fairlead.config import SETTINGS, Settings, load
from fairlead.supervisor.run import _OVERTIME_S
from harness.command import clean_environ
from harness.process import SOURCE
from harness.valkey import Valkey
from harness.yamlfile import documents

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "compose.yaml"
LIMITS = Settings(data_dir=Path("nowhere"))
GATEWAYS = ("gateway-1", "gateway-2")


@pytest.fixture(scope="module")
def compose():
    [compose] = documents(FILE.read_text())
    return compose


@pytest.fixture(scope="module")
def services(compose):
    return compose["services"]


def with_defaults(text):
    """`${NAME:-default}` where NAME is not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def test_the_paths_exist(services):
    for service in services.values():
        if build := service.get("build"):
            context = FILE.parent / build["context"]
            assert (context / build["dockerfile"]).is_file()
            assert context.resolve() == ROOT
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (FILE.parent / source).is_file(), mount
    assert services["gateway-1"]["image"] == f"fairlead:{__version__}"


def test_each_volume_and_network_is_declared(compose, services):
    named = {mount.split(":")[0] for service in services.values() for mount in service.get("volumes", [])}
    assert {name for name in named if not name.startswith(".")} == compose["volumes"].keys()
    assert {name for service in services.values() for name in service["networks"]} == compose["networks"].keys()


def test_what_waits_waits_for_what_can_come(services):
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            known = services[other]
            if how["condition"] == "service_healthy":
                assert "healthcheck" in known or known["image"].startswith("fairlead:"), f"{name} waits for {other}"
            elif how["condition"] == "service_completed_successfully":
                assert known["restart"] == "no"
            else:
                assert (how["condition"], known.get("profiles")) == ("service_started", service.get("profiles"))


def test_the_gateways_agree_with_what_is_around_them(compose, services):
    nginx = (FILE.parent / "nginx" / "fairlead.conf").read_text()
    [config] = compose["networks"]["inside"]["ipam"]["config"]
    for name in GATEWAYS:
        service = services[name]
        environment = service["environment"]
        assert environment.keys() <= {setting.variable for setting in SETTINGS}
        assert f"server {name}:{LIMITS.port} " in nginx
        assert ip_network(environment["FAIRLEAD_TRUSTED_PROXIES"]) == ip_network(config["subnet"])
        grace = int(service["stop_grace_period"].removesuffix("s"))
        assert grace > LIMITS.drain_delay_s + LIMITS.drain_timeout_s + _OVERTIME_S
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["volumes"] == [f"{name}:/var/lib/fairlead"]
    [port] = services["nginx"]["ports"]
    assert re.fullmatch(rf"127\.0\.0\.1:{LIMITS.port}:80", port), "others may come once somebody has decided so"
    assert "listen 80;" in nginx


def test_its_settings_are_taken_as_they_are(services, tmp_path):
    """With no variable of the operator's set."""
    environment = {name: with_defaults(value) for name, value in services["gateway-1"]["environment"].items()}
    settings = load(environment | {"HOME": str(tmp_path)}, cwd=tmp_path, is_terminal=False, cpu_count=2).settings
    assert settings.redis_url.reveal() == "redis://valkey:6379/0"
    assert "valkey" in services
    assert settings.demo == "on"


def test_the_first_key_is_made_once(services, tmp_path):
    """By its own words, in a shell, on a real Valkey."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "fairlead"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m fairlead "$@"\n')
    program.chmod(0o755)
    service = services["first-key"]
    store = Valkey()
    store.start()
    try:
        environ = clean_environ(tmp_path, FAIRLEAD_REDIS_URL=store.url, PYTHONPATH=SOURCE)
        environ["PATH"] = f"{program.parent}:/usr/bin:/bin"
        command = [*service["entrypoint"], *service["command"]]
        how = {"env": environ, "cwd": tmp_path, "capture_output": True, "text": True, "timeout": 60, "check": True}
        said = [subprocess.run(command, **how).stdout for _ in range(2)]
    finally:
        store.close()
    assert re.fullmatch(r"sk-\S+\n", said[0])
    assert said[1] == "", "the next start makes no other"


# With --profile monitoring


def files_of(service):
    """Each file of ours that a service is given, by where it has it."""
    mounts = [mount.split(":") for mount in service.get("volumes", [])]
    return {mount[1]: (FILE.parent / mount[0]).resolve() for mount in mounts if mount[0].startswith(".")}


def test_nobody_watches_unless_that_is_asked_for(services):
    watching = {name for name, service in services.items() if service.get("profiles") == ["monitoring"]}
    assert watching == {"prometheus", "grafana"}
    assert all("profiles" not in service for name, service in services.items() if name not in watching)
    for name, service in services.items():
        if name not in watching:
            assert not watching & service.get("depends_on", {}).keys()
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert len({port.rpartition(":")[0] for port in published}) == len(published)


def test_prometheus_has_its_files_and_asks_each_gateway(services):
    service, folder = services["prometheus"], FILE.parent / "prometheus"
    options = dict(option.removeprefix("--").split("=") for option in service["command"])
    place = PurePosixPath(options["config.file"])
    files = files_of(service)
    assert files[str(place)] == folder / "prometheus.yaml"
    [config] = documents(files[str(place)].read_text())
    assert [files[str(place.parent / name)] for name in config["rule_files"]] == [folder / "rules.yaml"]
    [job] = config["scrape_configs"]
    assert [target for one in job["static_configs"] for target in one["targets"]] == [
        f"{name}:{LIMITS.port}" for name in GATEWAYS
    ]
    assert f"prometheus:{options['storage.tsdb.path']}" in service["volumes"], "what it has written stays"
    if (program := shutil.which("prometheus")) is not None:
        known = subprocess.run([program, "--help"], capture_output=True, text=True, check=False, timeout=60)
        for name in options:
            assert f"--{name}=" in known.stdout + known.stderr


def test_grafana_has_the_dashboard_and_asks_prometheus(services):
    service, folder = services["grafana"], FILE.parent / "grafana"
    files, environment = files_of(service), service["environment"]
    home = environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert files[home] == folder / "fairlead.json"
    provisioning = {place: file for place, file in files.items() if place != home}
    assert set(provisioning.values()) == {path for path in (folder / "provisioning").rglob("*") if path.is_file()}
    for place, file in provisioning.items():
        assert place == f"/etc/grafana/provisioning/{file.relative_to(folder / 'provisioning')}"
    [source] = documents((folder / "provisioning" / "datasources" / "prometheus.yaml").read_text())
    [[one]] = [source["datasources"]]
    [port] = services["prometheus"]["ports"]
    assert one["url"] == f"http://prometheus:{port.rpartition(':')[2]}"
    [chosen] = [it for it in json.loads(files[home].read_text())["templating"]["list"] if it["type"] == "datasource"]
    assert (one["type"], one["isDefault"]) == (chosen["query"], True)
    [config] = documents((FILE.parent / "prometheus" / "prometheus.yaml").read_text())
    assert one["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]
    [dashboards] = documents((folder / "provisioning" / "dashboards" / "fairlead.yaml").read_text())
    [provider] = dashboards["providers"]
    assert provider["options"]["path"] == str(PurePosixPath(home).parent)


def test_whoever_looks_at_grafana_can_change_nothing(services):
    environment = services["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    for name in ("AUTH_ANONYMOUS_ENABLED", "AUTH_DISABLE_LOGIN_FORM", "SECURITY_DISABLE_INITIAL_ADMIN_CREATION"):
        assert environment[f"GF_{name}"] == "true"


def test_no_secret_is_written_in_it():
    assert not re.search(r"(KEY|SECRET|PASSWORD)\s*[:=]\s*[^\s$]", FILE.read_text())
