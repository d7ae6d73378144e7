"""`python -m bench.streaming` measures real processes, and believes no wrong reply."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.process import SOURCE

ROOT = Path(__file__).parents[3]
TARGETS = """
[mirror]
command = ["@python@", "-m", "bench.upstream", "--port", "@port@"]
ready = "/v1/models"
env = { PYTHONPATH = "@bench@/.." }

[liar]
command = ["@python@", "-c", '''
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
    do_POST = do_GET
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", @port@), Handler).serve_forever()
''']
"""


PATH = f"{os.defpath}:/usr/sbin:/usr/local/bin"


def run(folder, *words):
    command = [sys.executable, "-m", "bench.streaming", "--results", str(folder), *words]
    env = {"PYTHONPATH": SOURCE, "PATH": PATH}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=110, check=False)


@pytest.mark.e2e
def test_a_quick_run_measures_everything_of_the_gateway(tmp_path):
    done = run(tmp_path, "--quick")
    assert done.returncode == 0, done.stderr + done.stdout
    raw = json.loads((tmp_path / "streaming.json").read_text())
    [numbers] = raw["rounds"]
    measured = numbers["fairlead"]
    assert (measured["held_50"], measured["held_100"]) == (50, 100)
    for number in ("kb_per_stream_100", "cpu_us_per_event_10", "cpu_us_per_event_100", "first_p50_ms", "mb_per_s_slow"):
        assert measured[number] > 0
    assert {f"cpu_us_per_mb_{what}" for what in ("fast", "slow", "request", "reply")} <= measured.keys()
    assert raw["reference"] == ("nginx" if shutil.which("nginx", path=PATH) else "direct")
    assert numbers["direct"]["first_p50_ms"] > 0
    assert (tmp_path / "streaming.md").read_text() == done.stdout
    assert "- command: python -m bench.streaming" in done.stdout


@pytest.mark.parametrize(
    ("figure", "told"),
    [
        ("held", "not what was asked for: b'{}'"),
        ("paced-few", "without [DONE]"),
        ("first", "not what was asked for: b'{}'"),
        ("flood-fast", "not what was asked for: b'{}'"),
        ("large-reply", "not what was asked for: b'{}'"),
    ],
)
def test_a_wrong_reply_is_a_problem_and_ends_it_with_1(tmp_path, figure, told):
    (tmp_path / "targets.toml").write_text(TARGETS, encoding="utf-8")
    done = run(tmp_path, "--quick", "--only", figure, "--targets", str(tmp_path / "targets.toml"))
    assert done.returncode == 1, done.stderr + done.stdout
    raw = json.loads((tmp_path / "streaming.json").read_text())
    [problem] = raw["problems"]
    assert problem.startswith(f"round 1, {figure} of liar: ")
    assert told in problem
    [numbers] = raw["rounds"]
    assert numbers["mirror"]
    assert not numbers["liar"]
    assert problem in done.stdout
