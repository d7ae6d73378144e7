"""What `bench.startup` makes of what it has seen."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench.procfs import Memory
from bench.startup import table
from bench.startup.gateway import Start, role_of
from bench.startup.imports import owner_of

ROOT = Path(__file__).parents[2]
MB = 1024 * 1024


def started(answer_s, *, workers=1):
    memory = {"worker": [Memory(50 * MB, 40 * MB)] * workers, "store": [Memory(8 * MB, 5 * MB)]}
    return Start(0.25, 0.75, answer_s, 0.125, 0.5, memory)


@pytest.mark.parametrize(
    ("command", "role"),
    [
        ("python -m fairlead serve", "supervisor"),
        ("/opt/fairlead/bin/python /opt/fairlead/bin/fairlead serve", "supervisor"),
        ("/opt/fairlead/bin/python -c from multiprocessing.spawn import spawn_main; spawn_main(3)", "worker"),
        ("python -c from multiprocessing.resource_tracker import main;main(12)", "tracker"),
        ("python -m fairlead.demo --with-parent", "demo"),
        ("/usr/bin/valkey-server unixsocket:/var/lib/fairlead/store/state.sock", "store"),
        ("/usr/bin/redis-server *:0", "store"),
        ("sleep 1", "other"),
    ],
)
def test_each_process_of_a_gateway_has_a_role(command, role):
    assert role_of(command) == role


@pytest.mark.parametrize(
    ("module", "owner"),
    [
        ("redis.asyncio.client", "redis"),
        ("ssl", "ssl"),
        ("fairlead", "fairlead"),
        ("fairlead.wire.sse", "fairlead.wire"),
    ],
)
def test_modules_are_reckoned_to_a_package(module, owner):
    assert owner_of(module) == owner


def test_what_a_module_imports_is_not_its_own(tmp_path):
    """A module that holds little imports one that holds much."""
    (tmp_path / "light.py").write_text("import heavy\n")
    (tmp_path / "heavy.py").write_text(f"held = bytes(range(256)) * {16 * MB // 256}\n")
    done = subprocess.run(
        [sys.executable, "-m", "bench.startup.imports", "light"],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        check=True,
        timeout=100,
    )
    told = json.loads(done.stdout)
    grown = told["grown_kb"]
    assert grown["heavy"] >= 16 * 1024
    assert grown["light"] < 1024
    assert told["all_kb"] - told["bare_kb"] >= grown["heavy"] + grown["light"]


def test_times():
    text = table.times([0.125, 0.25, 0.5], {1: [started(1.0), started(1.5), started(1.25)], 2: [started(2.0)]})
    assert "| `fairlead --version` | 0.25 (0.12–0.50) |" in text
    assert "| `fairlead serve`, 1 worker, until the first chat completion | 1.25 (1.00–1.50) |" in text
    assert "| CPU of all processes until then | 0.50 (0.50–0.50) |" in text
    assert "| `fairlead serve`, 2 workers, until the first chat completion | 2.00 (2.00–2.00) |" in text


def test_memory_is_summed_over_the_processes_of_a_start_by_their_shares():
    text = table.memory({1: [started(1.0)], 2: [started(1.0, workers=2)]})
    assert text.splitlines()[2:] == [
        "| worker | 50.0 (50.0–50.0) | 40.0 (40.0–40.0) |",
        "| embedded store | 8.0 (8.0–8.0) | 5.0 (5.0–5.0) |",
        "| all of them, 1 worker | | 45.0 (45.0–45.0) |",
        "| worker, one of 2 | 50.0 (50.0–50.0) | 40.0 (40.0–40.0) |",
        "| embedded store | 8.0 (8.0–8.0) | 5.0 (5.0–5.0) |",
        "| all of them, 2 workers | | 85.0 (85.0–85.0) |",
    ]


def test_the_dearest_imports_stand_first_and_all_add_up():
    grown = {f"p{n}": 1024 * n for n in range(1, 13)}
    lines = table.imports(2048, 2048 + sum(grown.values()), grown).splitlines()
    assert lines[2:5] == ["| the interpreter alone | 2.0 |", "| p12 | 12.0 |", "| p11 | 11.0 |"]
    assert len(lines) == 3 + table.DEAREST + 2
    assert lines[-2:] == ["| all others | 3.0 |", "| together | 80.0 |"]
