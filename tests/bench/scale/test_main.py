"""`python -m bench.scale` measures real processes, and believes no wrong reply."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import procfs
from harness.process import SOURCE, until

ROOT = Path(__file__).parents[3]
LIAR = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, body):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer(b'{"object":"list","data":[]}')
    def do_POST(self):
        message = {"role": "assistant", "content": ""}
        self.answer(json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode())
    def log_message(self, *words):
        pass
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def started(folder, *words):
    command = [sys.executable, "-m", "bench.scale", "--quick", "--results", str(folder), *words]
    return subprocess.Popen(
        command, cwd=ROOT, env={"PYTHONPATH": SOURCE}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.e2e
def test_a_quick_run_measures_everything(tmp_path):
    run = started(tmp_path)
    said, complaints = run.communicate(timeout=115)
    assert run.returncode == 0, complaints + said
    raw = json.loads((tmp_path / "scale.json").read_text())
    assert raw["problems"] == []
    assert list(raw["workers"]) == ["1 worker", "2 workers, the same core", "2 workers, 2 cores"]
    assert all(cost["cpu_us"][0] > cost["worker_us"][0] > 0 for [cost] in raw["workers"].values())
    [served] = raw["balance"]
    assert (len(served["connections"]), sum(served["connections"])) == (2, 16)
    assert sum(served["replies"]) > 0
    assert [one["endpoints"] for one in raw["endpoints"]] == [1, 10]
    assert [one["models"] for one in raw["models"]] == [1, 10]
    assert [one["filled"]["keys"] for one in raw["keys"]] == [1, 2_000]
    assert [one["first"]["keys"] for one in raw["keys"]] == [1, 100]
    assert (tmp_path / "scale.md").read_text() == said
    assert "- command: python -m bench.scale --quick" in said


@pytest.mark.e2e
@pytest.mark.parametrize("part", ["workers", "balance", "keys"])
def test_a_wrong_reply_is_a_problem_and_ends_it_with_1(tmp_path, part):
    (tmp_path / "liar.py").write_text(LIAR, encoding="utf-8")
    run = started(tmp_path, "--only", part, "--upstream", str(tmp_path / "liar.py"))
    own = set()
    while run.poll() is None:
        own |= set(procfs.tree([run.pid]))
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(0.05)  # for its end, and in between it is looked whom it has started
    said, complaints = run.communicate(timeout=100)
    assert run.returncode == 1, complaints + said
    [problem] = json.loads((tmp_path / "scale.json").read_text())["problems"]
    assert problem.startswith(f"{part}: ")
    assert problem in said
    assert len(own) > 2
    until(lambda: not own & procfs.parents().keys())  # what was killed is gone once somebody has taken note
