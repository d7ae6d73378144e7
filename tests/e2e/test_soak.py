"""After mixed load with aborts, and faults of providers and store, everything is where it was: `make soak`, briefly."""

import subprocess
import sys
from pathlib import Path

from harness.process import SOURCE

ROOT = Path(__file__).parents[2]
SHORT = ("--warm", "4", "--seconds", "12", "--callers", "8")


def test_all_levels_come_back(tmp_path):
    log = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-m", "bench.soak", *SHORT, "--keep", str(log)],
        cwd=ROOT,
        env={"PYTHONPATH": SOURCE, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert done.stdout.endswith("soak: passed\n")
    said = log.read_text()
    assert '"end":"gone"' in said, "nobody left"
    assert '"verdict":"timeout"' in said, "no provider hung"
    assert "health store away" in said, "the store never failed"
