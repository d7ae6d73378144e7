import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.relay.tap import KEPT_BYTES, Tap, tap_of

DONE = b"data: [DONE]\n\n"


def fed(chunks):
    tap = Tap()
    for chunk in chunks:
        tap.feed(chunk)
    return tap


def test_nothing_yet():
    assert (fed([]).tail, fed([]).size) == (b"", 0)


@given(st.binary(max_size=300), st.lists(st.integers(0, 9_000), max_size=8))
def test_any_split_keeps_the_end(seed, sizes):
    """Chunks of all sizes around the bound, in which no two places are alike."""
    content = b"".join(b"%08d" % n for n in range(sum(sizes) // 8 + 1)) + seed
    chunks, start = [], 0
    for size in sizes:
        chunks.append(content[start : start + size])
        start += size
    chunks.append(content[start:])
    tap = fed(chunks)
    assert tap.tail == content[-KEPT_BYTES:]
    assert tap.size == len(content)


def test_what_is_kept_is_bounded_and_its_own():
    tap = fed([b"x" * 10_000_000])
    assert len(tap.tail) == KEPT_BYTES
    assert tap.size == 10_000_000


@pytest.mark.parametrize("size", [KEPT_BYTES - 1, KEPT_BYTES, 250_000])
def test_of_large_chunks_no_more_is_held_than_is_kept_of_small_ones(size):
    tap = Tap()
    for _ in range(100):
        tap.feed(bytes(size))
        assert sum(map(len, tap._chunks)) <= 33 * KEPT_BYTES
    assert tap.size == 100 * size


class TestSeveralAnswers:
    LONG = b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": "x" * 3_000}}]}).encode() + b"\n\n"

    def stream(self, *ended):
        """Each end is followed by more of another answer than the tap keeps."""
        choices = [{"index": index, "delta": {}, "finish_reason": "stop"} for index in ended]
        events = [b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n" for choice in choices]
        return b"".join(event + 3 * self.LONG for event in events)

    def is_whole(self, stream, choices, cuts=()):
        tap, start = tap_of(choices), 0
        for cut in [*sorted(cuts), len(stream)]:
            tap.feed(stream[start:cut])
            start = max(start, cut)
        return tap.is_whole

    @pytest.mark.parametrize(
        ("ended", "choices", "is_whole"),
        [
            ([0], 2, False),
            ([0, 0], 2, False),
            ([0, 1], 2, True),
            ([1, 0], 3, False),
            ([2, 0, 1], 3, True),
            ([], 1, False),
        ],
    )
    def test_each_has_to_end_wherever_that_is_told(self, ended, choices, is_whole):
        assert self.is_whole(self.stream(*ended), choices) is is_whole
        assert self.is_whole(self.stream(*ended).rstrip(), choices) is is_whole

    @given(st.sets(st.integers(0, 20_000), max_size=6))
    def test_however_it_is_cut(self, cuts):
        assert self.is_whole(self.stream(0, 1), 2, cuts)
        assert not self.is_whole(self.stream(0, 0), 2, cuts)

    def test_or_the_stream_says_that_all_have(self):
        assert self.is_whole(self.stream(0) + DONE, 2)
        assert not self.is_whole(self.stream(0) + DONE + self.LONG, 2)
