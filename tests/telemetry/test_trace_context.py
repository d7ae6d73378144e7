import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fairlead.telemetry.trace_context import (
    MOST_STATE_BYTES,
    MOST_STATE_MEMBERS,
    TraceParent,
    header,
    read_parent,
    read_state,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"
ids = st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 3)


def parent_of(text):
    return read_parent([text.encode()])


def test_it_is_read():
    assert parent_of(GOOD) == TraceParent(int(TRACE, 16), int(SPAN, 16), 1)
    assert parent_of(f"\t{GOOD} ") == parent_of(GOOD)


@given(*ids)
def test_there_and_back(trace_id, span_id, flags):
    assert read_parent([header(trace_id, span_id, flags)]) == (trace_id, span_id, flags)


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD.upper(),
        GOOD[:-1],
        f"{GOOD}-",
        f"{GOOD}-more",
        f"{GOOD}.",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f"00-{TRACE}0-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00_{TRACE}_{SPAN}_01",
        f"cc-{TRACE}-{SPAN}-01more",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_what_is_none_is_ignored(text):
    assert parent_of(text) is None


def test_of_a_later_version_the_common_part_is_read():
    assert parent_of(f"cc-{TRACE}-{SPAN}-01") == parent_of(GOOD)
    assert parent_of(f"cc-{TRACE}-{SPAN}-01-what the future will be like.1") == parent_of(GOOD)
    assert parent_of(f"cc-{TRACE}-{SPAN}-03").flags == 1, "what another version means by other flags is not known"


def test_flags_without_a_meaning_are_not_passed_on():
    assert parent_of(f"00-{TRACE}-{SPAN}-fe").flags == 2
    assert parent_of(f"00-{TRACE}-{SPAN}-00").flags == 0


def test_two_are_none():
    assert read_parent([GOOD.encode()] * 2) is None
    assert read_parent([]) is None


@given(st.binary(max_size=80) | st.from_regex(rb"[0-9a-f]{2}-[0-9a-f]{30,34}-[0-9a-f]{14,18}-[0-9a-f]{1,3}.{0,3}"))
@example(GOOD.encode())
def test_whatever_comes_is_a_parent_or_none(value):
    found = read_parent([value])
    if found is not None:
        assert 0 < found.trace_id < 2**128
        assert 0 < found.span_id < 2**64
        assert re.search(b"%032x-%016x" % (found.trace_id, found.span_id), value)
        assert read_parent([header(*found)]) == found


def test_states_are_joined():
    assert read_state([b"a=1, b@x=2 ,", b"\tc/d*e_f-g=3 4"]) == b"a=1,b@x=2,c/d*e_f-g=3 4"


@pytest.mark.parametrize(
    "value",
    [b"", b",,", b"a", b"a=", b"A=1", b"a=1=2", b"=1", b"a=1,a=2", b"a=\xc3\xa9", b"a=1\r", b"a b=1", b"a=1,b"],
)
def test_a_state_that_is_none_is_dropped_whole(value):
    assert read_state([value]) == b""


def test_long_states_are_dropped():
    members = [b"k%d=v" % n for n in range(MOST_STATE_MEMBERS)]
    assert read_state(members) == b",".join(members)
    assert read_state([*members, b"one=more"]) == b""
    longest = b"a=" + b"v" * 256
    assert read_state([longest]) == longest
    assert read_state([longest + b"v"]) == b""
    assert read_state([longest, b"b" + longest[1:]]) == b"", f"more than {MOST_STATE_BYTES} bytes"


@given(st.lists(st.binary(max_size=40) | st.from_regex(rb"[a-z0-9@]{1,3}=[ -~]{0,5}", fullmatch=True), max_size=4))
def test_whatever_comes_can_stand_in_a_header(values):
    state = read_state(values)
    assert re.fullmatch(rb"[ -~]*", state)
    assert read_state([state]) == state
