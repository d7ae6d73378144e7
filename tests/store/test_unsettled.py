import os
import shutil
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.store.money import charge_of
from fairlead.store.unsettled import Unsettled, read
from fairlead.telemetry.generation import Generation
from harness.jsontext import damaged


def charge(number):
    return charge_of(Generation(id=f"gen-1795276677-{number:x}", started=1795276677.0, cost_usd_nanos=number))


def orphans(disk):
    return {directory.name: [one.amounts[0] for one in charges] for directory, charges in disk.orphans()}


@pytest.fixture
def dead(tmp_path):
    """What a process has left that was killed right after it had charged 1 and 2."""
    program = (
        "import os, sys; sys.path.insert(0, sys.argv[2]); import pathlib\n"
        "from fairlead.store.money import charge_of\n"
        "from fairlead.store.unsettled import Unsettled\n"
        "from fairlead.telemetry.generation import Generation\n"
        "disk = Unsettled(pathlib.Path(sys.argv[1]), 'dead')\n"
        "for n in (1, 2):\n"
        "    disk.append(charge_of(Generation(id=f'gen-1795276677-{n:x}', started=1795276677.0, cost_usd_nanos=n)))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    source = os.path.dirname(os.path.dirname(sys.modules["fairlead"].__file__))
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path), source], check=False)
    assert ended.returncode == -9
    return tmp_path


def test_what_a_killed_worker_has_charged_is_found_by_one_other(dead):
    one, other = Unsettled(dead, "one"), Unsettled(dead, "other")
    assert orphans(one) == {"dead": [1, 2]}
    assert orphans(other) == {}
    assert orphans(one) == {}, "once"


def test_until_the_store_has_it_it_is_kept(dead):
    one = Unsettled(dead, "one")
    [(directory, _)] = one.orphans()
    one.close()
    del one
    assert directory.exists()


def test_then_it_is_removed(dead):
    one = Unsettled(dead, "one")
    [(directory, _)] = one.orphans()
    one.bury(directory)
    assert list((dead / "unsettled").iterdir()) == []


def test_a_line_that_a_crash_has_cut_off_costs_only_itself(dead):
    path = dead / "unsettled" / "dead" / "1.jsonl"
    path.write_bytes(path.read_bytes()[:-10])
    assert orphans(Unsettled(dead, "one")) == {"dead": [1]}


def test_the_living_are_left_alone(tmp_path):
    living, other = Unsettled(tmp_path, "living"), Unsettled(tmp_path, "other")
    living.append(charge(1))
    assert orphans(other) == {}
    living.close()
    assert orphans(other) == {"living": [1]}


def test_each_file_holds_what_came_since_the_last(tmp_path):
    disk = Unsettled(tmp_path, "one")
    assert disk.seal() is None
    disk.append(charge(1))
    disk.append(charge(2))
    first = disk.seal()
    disk.append(charge(3))
    second = disk.seal()
    assert [one.amounts[0] for one in read(first)] == [1, 2]
    assert [one.amounts[0] for one in read(second)] == [3]
    assert read(first) == [charge(1), charge(2)]


def test_nothing_is_left_of_one_that_has_told_all(tmp_path):
    disk = Unsettled(tmp_path, "one")
    disk.append(charge(1))
    disk.seal().unlink()
    disk.close()
    assert list((tmp_path / "unsettled").iterdir()) == []


def test_a_directory_that_somebody_has_removed_is_made_again(tmp_path):
    disk = Unsettled(tmp_path, "one")
    disk.append(charge(1))
    disk.seal()
    shutil.rmtree(tmp_path / "unsettled")
    disk.append(charge(2))
    assert [one.amounts[0] for one in read(disk.seal())] == [2]


def test_only_its_user_reads_it(tmp_path):
    disk = Unsettled(tmp_path, "one")
    disk.append(charge(1))
    assert disk.seal().stat().st_mode & 0o077 == 0
    assert (tmp_path / "unsettled" / "one").stat().st_mode & 0o077 == 0


def test_a_disk_that_is_full_costs_no_other_charge(tmp_path, monkeypatch):
    """Half a line stayed in the file, and the next one was glued to it: both were lost, and nobody was told."""
    disk = Unsettled(tmp_path, "w")
    disk.append(charge(1))
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda fd, data, write=os.write: write(fd, data[:20]))
        with pytest.raises(OSError, match="No space left"):
            disk.append(charge(2))
    disk.append(charge(3))
    assert [one.amounts[0] for one in read(disk.seal())] == [1, 3]


def test_writing_leaves_nothing_in_memory(tmp_path):
    """msgspec 0.22 forgets 48 bytes whenever it encodes lines from a tuple."""
    disk, one = Unsettled(tmp_path, "w"), charge(1)
    disk.append(one)
    tracemalloc.start()
    try:
        disk.append(one)
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(1000):
            disk.append(one)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 10_000


@given(st.data())
def test_of_a_file_that_is_spoilt_the_whole_lines_are_read(data):
    """A crash, or a disk, may have been at it anywhere."""
    lines = [msgspec.json.encode(charge(number)) for number in range(1, 4)]
    spoilt = data.draw(st.sets(st.sampled_from([0, 1, 2]), min_size=1))
    left = [data.draw(damaged(st.just(line))) if number in spoilt else line for number, line in enumerate(lines)]
    left = [line.replace(b"\n", b" ").replace(b"\r", b" ") for line in left]
    end = data.draw(st.integers(0, len(left[2])))
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"\n".join((*left[:2], left[2][:end])))
        file.flush()
        found = read(Path(file.name))
    for number in (0, 1):
        if number not in spoilt:
            assert charge(number + 1) in found
