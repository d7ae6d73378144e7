import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fairlead.wire.event_frames import EventFrames, fields_of

EVENTS = [b"data: 1", b": two\ndata: 2", b"event: x\ndata: 3\ndata: 4", b"data: 5"]
STREAM = b"\n\n".join([*EVENTS, b"data: be"])


@given(st.lists(st.integers(0, len(STREAM) + 40), max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"]))
@example(list(range(200)), b"\r\n")
def test_however_it_is_cut_and_lines_end(cuts, line_end):
    wire = STREAM.replace(b"\n", line_end)
    borders = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]
    frames = EventFrames()
    found = [event for start, stop in itertools.pairwise(borders) for event in frames.feed(wire[start:stop])]
    assert (found, frames.rest()) == (EVENTS, b"data: be")


def test_more_empty_lines_are_no_events():
    assert EventFrames().feed(b"\n\ndata: 1\n\n\n\ndata: 2\n\n") == [b"data: 1", b"data: 2"]


def test_nothing_comes_after_an_event_that_is_too_long():
    frames = EventFrames(10)
    assert frames.feed(b"data: 1\n\ndata: 2") == [b"data: 1"]
    assert not frames.is_too_long
    assert frames.feed(b"345") == []
    assert frames.feed(b"6") == []
    assert (frames.is_too_long, frames.rest()) == (True, b"")


@pytest.mark.parametrize(
    ("event", "comments", "data"),
    [
        (b"data: 1", [], [b"1"]),
        (b"data:1\ndata:  2", [], [b"1", b" 2"]),
        (b": x\nid: 7\nevent: y\ndata: 1\n: z", [b": x", b": z"], [b"1"]),
        (b"data", [], []),
    ],
)
def test_fields(event, comments, data):
    assert fields_of(event) == (comments, data)
