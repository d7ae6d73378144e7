import signal
import subprocess
import sys
from pathlib import Path

import pytest

import fairlead
from fairlead.supervisor.figures import FiguresDir
from fairlead.telemetry.slots import Slots, read_tables

HOLDER = """
import sys
from pathlib import Path
from fairlead.supervisor.figures import FiguresDir
held = FiguresDir(Path(sys.argv[1]))
print(held.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path):
    """A directory of another process that lives, and the process."""
    source = str(Path(fairlead.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": source},
    ) as process:
        yield Path(process.stdout.readline().decode().strip()), process
        process.kill()


def test_it_is_private_and_gone_at_the_end(tmp_path):
    figures = FiguresDir(tmp_path)
    assert figures.path.stat().st_mode & 0o077 == 0
    Slots(figures.path).close()
    assert len(read_tables(figures.path)) == 1
    figures.close()
    assert [*tmp_path.iterdir()] == []


def test_what_a_killed_one_has_left_is_taken_away(tmp_path, held):
    path, process = held
    Slots(path).close()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert path.is_dir()
    figures = FiguresDir(tmp_path)
    assert [*tmp_path.iterdir()] == [figures.path]
    figures.close()


def test_that_of_one_who_lives_stays(tmp_path, held):
    path, _ = held
    figures = FiguresDir(tmp_path)
    assert {*tmp_path.iterdir()} == {figures.path, path}
    figures.close()
    assert [*tmp_path.iterdir()] == [path]


def test_nothing_else_is_touched(tmp_path):
    elsewhere, file = tmp_path / "elsewhere", tmp_path / "fairlead-metrics-file"
    elsewhere.mkdir()
    (elsewhere / "owner").touch()
    file.touch()
    (tmp_path / "fairlead-metrics-link").symlink_to(elsewhere)
    (tmp_path / "fairlead-metrics-new").mkdir()  # somebody's who is about to lock it
    FiguresDir(tmp_path).close()
    assert (elsewhere / "owner").exists()
    assert {path.name for path in tmp_path.iterdir()} == {
        "elsewhere", "fairlead-metrics-file", "fairlead-metrics-link", "fairlead-metrics-new",
    }  # fmt: skip


def test_without_temporary_files_it_says_so(tmp_path):
    with pytest.raises(OSError, match="not there"):
        FiguresDir(tmp_path / "not there")
