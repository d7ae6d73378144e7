from hypothesis import given
from hypothesis import strategies as st

from fairlead.relay.tap import KEPT_BYTES, Tap


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
