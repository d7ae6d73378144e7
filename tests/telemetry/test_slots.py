import mmap
import os
import random
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


NAMES = st.lists(st.text(max_size=8).filter(lambda part: "\x1f" not in part), min_size=1, max_size=3).map(tuple)


@given(st.dictionaries(NAMES, st.lists(st.floats(allow_nan=False), min_size=1, max_size=3), max_size=6))
def test_whatever_is_counted_is_read(counted):
    slots = Slots(None, SMALL)
    for name, values in counted.items():
        place = slots.place(name, len(values))
        slots.values[place : place + len(values)] = memoryview(struct.pack(f"{len(values)}d", *values)).cast("d")
    assert dict(slots.read()[0].series) == counted
    slots.close()


WORDS = st.sampled_from([0, 1, 2, 3, 8, 9, 511, 512, 513, 2**31, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)


@given(st.lists(WORDS, max_size=12), st.binary(max_size=40))
def test_whatever_stands_in_a_file_is_read_as_far_as_it_goes_and_stops_nobody(words, more):
    """A disk, or another program, may have spoilt it: a worker starts all the same, and counts."""
    content = (struct.pack(f"={len(words)}Q", *words) + more)[:SMALL].ljust(SMALL, b"\0")
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        (directory / "0.slots").write_bytes(content)
        before = read_tables(directory)[0].series
        slots = Slots(directory, SMALL)
        assert all(slots.place(name, len(values)) >= 0 for name, values in before)
        if (at := slots.place(("n",))) >= 0:
            slots.values[at] = 7.0
            assert [values for name, values in slots.read()[0].series if name == ("n",)][-1] == [7.0]
        slots.close()


@pytest.mark.parametrize("size", [0, 5, 8])
def test_a_file_whose_maker_was_killed_over_it_is_no_hindrance(tmp_path, size):
    (tmp_path / "0.slots").write_bytes(struct.pack("=Q", 1)[:size])
    assert [table.series for table in read_tables(tmp_path)] == [[]]
    slots = Slots(tmp_path, SMALL)
    slots.values[slots.place(("n",))] = 1.0
    assert counted(tmp_path, "n") == [[1.0]]
    slots.close()
