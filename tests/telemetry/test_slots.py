import mmap
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import fairlead
from fairlead.telemetry.slots import Slots, read_tables

SMALL = 4096
COUNTER = """
import sys
from pathlib import Path
from fairlead.telemetry.slots import Slots
slots = Slots(Path(sys.argv[1]))
slots.values[slots.place(("requests", "first"))] += float(sys.argv[2])
print("counted", flush=True)
sys.stdin.read()
"""


def counted(directory, *name):
    return [values for table in read_tables(directory) for found, values in table.series if found == name]


def start(directory, amount):
    source = str(Path(fairlead.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", COUNTER, str(directory), str(amount)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": source},
    )
    assert process.stdout.readline() == b"counted\n"
    return process


def test_what_is_written_is_read_and_the_place_of_a_name_stays(tmp_path):
    slots = Slots(tmp_path)
    at = slots.place(("took", "first", "a/b"), 3)
    slots.values[at + 2] += 0.5
    assert slots.place(("took", "first", "a/b"), 3) == at
    assert slots.place(("took", "second", "a/b"), 3) != at
    [table] = slots.read()
    assert table.is_live
    assert table.series == [(("took", "first", "a/b"), [0.0, 0.0, 0.5]), (("took", "second", "a/b"), [0.0, 0.0, 0.0])]
    slots.close()


def test_a_killed_process_leaves_its_numbers_to_the_next(tmp_path):
    with start(tmp_path, 3) as first, start(tmp_path, 4) as second:
        assert [table.is_live for table in read_tables(tmp_path)] == [True, True]
        first.kill()
        first.wait()
        assert [table.is_live for table in read_tables(tmp_path)] == [False, True]
        assert counted(tmp_path, "requests", "first") == [[3.0], [4.0]]
        with start(tmp_path, 10) as third:
            assert [table.is_live for table in read_tables(tmp_path)] == [True, True]
            assert counted(tmp_path, "requests", "first") == [[13.0], [4.0]]
            third.stdin.close()
        second.kill()
    assert len(os.listdir(tmp_path)) == 2


def test_however_many_come_and_go_there_are_no_more_files_than_there_were_at_once(tmp_path):
    rng, open_slots, most, added = random.Random(7), [], 0, 0
    for _ in range(200):
        if open_slots and rng.random() < 0.5:
            open_slots.pop(rng.randrange(len(open_slots))).close()
        else:
            slots = Slots(tmp_path, SMALL)
            slots.values[slots.place(("n",))] += 1.0
            added += 1
            open_slots.append(slots)
        most = max(most, len(open_slots))
        assert len(os.listdir(tmp_path)) == most
        assert sum(value for [value] in counted(tmp_path, "n")) == added
    for slots in open_slots:
        slots.close()


def test_names_keep_apart_whatever_is_in_them(tmp_path):
    slots = Slots(tmp_path)
    names = [("a", ""), ("a",), ("", "a"), ("größe", "\N{SNOWMAN}"), ("a", "b" * 300)]
    for number, name in enumerate(names):
        slots.values[slots.place(name)] = number
    [table] = slots.read()
    assert table.series == [(name, [float(number)]) for number, name in enumerate(names)]
    slots.close()
    again = Slots(tmp_path)
    assert [again.values[again.place(name)] for name in names] == [0.0, 1.0, 2.0, 3.0, 4.0]
    again.close()


def test_one_name_with_two_shapes_is_two_series(tmp_path):
    """As when the successor of a worker runs another version of us."""
    slots = Slots(tmp_path)
    slots.values[slots.place(("took",), 2)] = 1.0
    slots.values[slots.place(("took",), 5) + 4] = 2.0
    assert slots.read()[0].series == [(("took",), [1.0, 0.0]), (("took",), [0.0, 0.0, 0.0, 0.0, 2.0])]
    slots.close()


def test_without_room_there_is_no_place(tmp_path):
    slots = Slots(tmp_path, SMALL)
    found = [slots.place((f"n{number}",), 20) for number in range(100)]
    assert -1 in found
    assert found.count(-1) > 50
    assert slots.place(("n0",), 20) == found[0]
    assert len(slots.read()[0].series) == 100 - found.count(-1)
    slots.close()


def test_without_a_directory_it_counts_for_itself():
    slots = Slots()
    slots.values[slots.place(("n",))] = 2.0
    [table] = slots.read()
    assert (table.series, table.is_live) == ([(("n",), [2.0])], True)
    slots.close()


def test_where_no_file_can_be_made_it_counts_for_itself_and_says_so(tmp_path):
    told = []
    slots = Slots.opened(tmp_path / "not there", told.append)
    slots.values[slots.place(("n",))] = 2.0
    assert slots.read()[0].series == [(("n",), [2.0])]
    assert "/metrics of this worker tells of it alone" in told[0]
    slots.close()
    assert Slots.opened(tmp_path, told.append).read()[0].series == []
    assert len(told) == 1


def test_a_file_is_written_whole_at_the_start(tmp_path):
    """Holes would end the process by a signal, should the disk be full when they are to be filled."""
    slots = Slots(tmp_path)
    [path] = tmp_path.iterdir()
    assert path.stat().st_blocks * 512 >= path.stat().st_size
    assert path.stat().st_mode & 0o077 == 0
    slots.close()


def test_a_closed_one_holds_no_memory(tmp_path):
    slots = Slots(tmp_path)
    memory = slots._memory
    slots.close()
    assert isinstance(memory, mmap.mmap)
    with pytest.raises(ValueError, match="closed"):
        memory[0]
