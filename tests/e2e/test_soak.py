"""After mixed load with aborts, and faults of providers and store, everything is where it was: `make soak`, briefly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.process import SOURCE

ROOT = Path(__file__).parents[2]
SECONDS = float(os.environ.get("SOAK_S", "12"))  # noqa: TID251 - how long it is is for who runs it
"""In CI a minute (`.ci/run`): memory that creeps is seen only over more than what a quick run of all tests bears."""
SHORT = ("--warm", "4", "--seconds", f"{SECONDS:g}", "--callers", "8")


@pytest.mark.timeout(150 + 2 * SECONDS)
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
