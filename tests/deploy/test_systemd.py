"""The unit for systemd: what it says is so, systemd takes it, and what it shuts off is not needed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fairlead.cli import commands
from fairlead.config import SETTINGS, Settings
from fairlead.supervisor.run import _OVERTIME_S

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "fairlead.service"
LIMITS = Settings(data_dir=Path("nowhere"))


@pytest.fixture(scope="module")
def members():
    """Each directive with its values; an instruction given twice has two."""
    found = {}
    for line in UNIT.read_text().splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_the_command_exists(members):
    [command] = members["ExecStart"]
    program, *arguments = command.split()
    assert Path(program).name == "fairlead"
    assert [*arguments] == ["serve"]
    assert "serve" in commands.commands


def test_the_variables_exist(members):
    named = set(re.findall(r"\bFAIRLEAD_\w+", UNIT.read_text()))
    assert named <= {setting.variable for setting in SETTINGS}
    [environment] = members["Environment"]
    [state] = members["StateDirectory"]
    assert environment == f"FAIRLEAD_DATA_DIR=/var/lib/{state}", "what else may it write to?"
    assert members["WorkingDirectory"] == [f"/var/lib/{state}"]


def test_a_drain_ends_before_systemd_kills(members):
    [limit] = members["TimeoutStopSec"]
    assert int(limit) > LIMITS.drain_delay_s + LIMITS.drain_timeout_s + _OVERTIME_S


def test_only_the_supervisor_is_told_to_stop(members):
    """With SIGTERM for all, the embedded store would end before the streams that are still to be settled."""
    assert members["KillMode"] == ["mixed"]
    assert members["Type"] == ["notify"]
    assert "KillSignal" not in members, "it is SIGTERM that drains"


def test_its_watchdog_is_one_that_we_answer(members):
    """Three times in this time, from signs of life that come each second."""
    [limit] = members["WatchdogSec"]
    assert int(limit) / 3 > 5
    assert members["NotifyAccess"] == ["main"], "it is the supervisor who says so"


def analyze(tmp_path, *arguments):
    if (program := shutil.which("systemd-analyze")) is None:
        pytest.skip("no systemd-analyze on this machine")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/fairlead/bin/fairlead", "/bin/true"))  # it must be there
    return subprocess.run(
        [program, *arguments, str(unit)], capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip


def test_systemd_takes_it(tmp_path):
    done = analyze(tmp_path, "verify", "--man=no")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_finds_little_that_is_still_open(tmp_path):
    """Its own measure, from 0 to 10 (here 0 to 100); below 2 is what it calls fine."""
    done = analyze(tmp_path, "security", "--offline=true", "--threshold=20", "--no-pager")
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze judges no file")
    assert done.returncode == 0, done.stdout
