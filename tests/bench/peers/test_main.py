"""`python -m bench.peers` tells of everyone, whatever becomes of them, and leaves nobody running."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import procfs
from harness.process import SOURCE

ROOT = Path(__file__).parents[3]
PEERS = """
[mirror]
command = ["@python@", "-m", "bench.upstream", "--port", "@port@"]
ready = "/v1/models"
env = { PYTHONPATH = "@bench@/.." }

[broken]
command = ["@python@", "-c", "raise SystemExit('no such luck')"]

[leaver]
command = ["@python@", "-c", '''
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", @port@), Handler).handle_request()
''']

[absent]
command = ["no-such-program"]

[unlocked]
command = ["@python@"]
environment = "nowhere"
"""


def started(folder, *words):
    (folder / "peers.toml").write_text(PEERS, encoding="utf-8")
    command = [sys.executable, "-m", "bench.peers", "--peers", str(folder / "peers.toml"), "--results", str(folder)]
    command += ["--seconds", "0.2", *words]
    return subprocess.Popen(
        command, cwd=ROOT, env={"PYTHONPATH": SOURCE}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_each_target_is_a_line_whatever_became_of_it(tmp_path):
    run = started(tmp_path, "--rounds", "2", "--only", "throughput", "--only", "slowly")
    said, complaints = run.communicate(timeout=100)
    assert run.returncode == 0, complaints
    lines = {cells[0]: cells[1:] for line in said.splitlines() if len(cells := _cells(line)) > 5}
    assert float(lines["mirror"][0].replace(",", "")) > 0
    assert lines["broken"][0] == "not measured: broken ended with status 1; no such luck"
    assert lines["absent"][0] == "not measured: no-such-program is not installed"
    assert "has no lock for nowhere" in lines["unlocked"][0]
    assert lines["leaver"][0].startswith("not measured: ")
    assert "- leaver, throughput: " in said
    raw = json.loads((tmp_path / "peers.json").read_text())
    assert [round_["mirror"].keys() >= {"cpu_us_per_request", "slow_p99_ms"} for round_ in raw["rounds"]] == [True] * 2
    assert (tmp_path / "peers.md").read_text() == said
    assert "no such luck" in (tmp_path / "peers.svg").read_text()


def _cells(line):
    return [cell.strip() for cell in line.split("|")[1:-1]]


@pytest.mark.parametrize(
    ("words", "number", "told"),
    [
        pytest.param(["--minutes", "0.05"], None, "out of time", id="out-of-time"),
        pytest.param([], signal.SIGTERM, "ended by SIGTERM", id="told-to-end"),
    ],
)
def test_a_run_that_ends_early_tells_what_it_has_seen_and_ends_what_it_started(tmp_path, words, number, told):
    run = started(tmp_path, "--rounds", "1000", "--target", "mirror", "--only", "throughput", *words)
    own = set()
    while len(own) < 3:  # itself, the upstream, the target
        assert run.poll() is None
        own |= set(procfs.tree([run.pid]))
        time.sleep(0.01)
    if number:
        run.send_signal(number)
    said, _ = run.communicate(timeout=100)
    assert run.returncode == 1
    assert f"**the run ended early, in round {len(json.loads((tmp_path / 'peers.json').read_text())['rounds'])}" in said
    assert told in said
    assert not own & procfs.parents().keys()


def test_a_target_that_there_is_not_is_named(tmp_path):
    run = started(tmp_path, "--target", "mirrors")
    _, complaints = run.communicate(timeout=100)
    assert run.returncode == 2
    assert "no target mirrors; there is mirror, broken" in complaints
