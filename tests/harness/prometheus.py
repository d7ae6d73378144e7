"""Prometheus as the real program, with the configuration that we ship: other targets, and looked at more often."""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from harness.process import PATIENCE_S, until
from harness.valkey import free_port

SHIPPED = Path(__file__).parents[2] / "deploy" / "prometheus"
_GATEWAYS = '"gateway-1:8420", "gateway-2:8420"'
_INTERVAL = "1s"


def rendered(targets):
    """The shipped configuration, for these `host:port`."""
    text = (SHIPPED / "prometheus.yaml").read_text(encoding="utf-8")
    assert text.count(_GATEWAYS) == 1
    text, count = re.subn(r"(_interval): 15s\b", rf"\1: {_INTERVAL}", text)
    assert count == 2
    return text.replace(_GATEWAYS, ", ".join(f'"{target}"' for target in targets))


class Prometheus:
    """Use `with`: it runs as long as the block, and keeps what it has in `folder`. Skips where there is none."""

    def __init__(self, folder, targets):
        if (program := shutil.which("prometheus")) is None:
            pytest.skip("no prometheus on this machine")
        self._program = program
        self._folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        (folder / "prometheus.yaml").write_text(rendered(targets), encoding="utf-8")
        shutil.copy(SHIPPED / "rules.yaml", folder)
        self._process = None

    def __enter__(self):
        command = [
            self._program, f"--config.file={self._folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self._folder / 'data'}", f"--web.listen-address={self.url.removeprefix('http://')}",
        ]  # fmt: skip
        with open(self._folder / "log", "wb") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            until(self._is_ready)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_S)
        finally:
            self._process.kill()
            self._process.wait()

    def _is_ready(self):
        assert self._process.poll() is None, (self._folder / "log").read_text(errors="replace")
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=PATIENCE_S) as reply:
                return reply.status == 200
        except OSError:
            return False

    def ask(self, path, **parameters):
        """The data of an answer of its API. Fails with its words for what it does not take."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_S) as reply:
                answer = json.load(reply)
        except urllib.error.HTTPError as refusal:
            pytest.fail(f"{parameters}: {refusal.read().decode()}")
        assert not answer.get("warnings"), answer
        return answer["data"]

    def values(self, expression):
        """What an expression comes to now: labels and number of each series, without those that are no number."""
        found = self.ask("query", query=expression)["result"]
        return [(one["metric"], float(one["value"][1])) for one in found if one["value"][1] != "NaN"]
