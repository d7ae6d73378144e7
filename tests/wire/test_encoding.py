import contextlib
import gzip
import itertools
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.wire.encoding import Unpacker, decoded, encoding_of

TEXT = b'{"error":{"message":"no"}}' * 20
LIMIT = 10_000


@pytest.mark.parametrize("encoding", [b"", b"identity", b"Identity"])
def test_plain(encoding):
    assert decoded(TEXT, encoding, LIMIT) == TEXT
    assert decoded(TEXT, encoding, 5) == TEXT[:5]


@pytest.mark.parametrize("encoding", [b"gzip", b"x-gzip", b"GZIP", b" gzip"])
def test_gzip(encoding):
    assert decoded(gzip.compress(TEXT), encoding, LIMIT) == TEXT


def test_deflate():
    assert decoded(zlib.compress(TEXT), b"deflate", LIMIT) == TEXT


def test_a_bomb_goes_off_within_the_limit():
    assert decoded(gzip.compress(b"0" * 50_000_000), b"gzip", LIMIT) == b"0" * LIMIT


def test_of_a_body_that_broke_off_there_is_the_beginning():
    half = decoded(gzip.compress(TEXT, mtime=0)[:30], b"gzip", LIMIT)
    assert TEXT.startswith(half)


@pytest.mark.parametrize("encoding", [b"br", b"zstd", b"gzip, gzip", b"nonsense"])
def test_never_asked_for(encoding):
    assert decoded(TEXT, encoding, LIMIT) is None


@pytest.mark.parametrize("body", [TEXT, b"\x1f\x8b\x08\xff", b"\x78\x9c\xff\xff"])
def test_not_what_it_says_it_is(body):
    assert decoded(body, b"gzip", LIMIT) is None


def test_empty():
    assert decoded(b"", b"gzip", LIMIT) == b""


CODERS = {b"gzip": gzip.compress, b"deflate": zlib.compress, b"": bytes}


@given(st.binary(max_size=300), st.sampled_from(sorted(CODERS)), st.integers(1, 400))
def test_there_and_back(body, encoding, limit):
    assert decoded(CODERS[encoding](body), encoding, limit) == body[:limit]


@given(st.data(), st.sampled_from([b"gzip", b"deflate"]), st.integers(1, 400))
def test_whatever_comes_is_bounded(data, encoding, limit):
    whole = CODERS[encoding](data.draw(st.binary(max_size=200)))
    spoilt = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(spoilt)))
        spoilt[at : at + 1] = data.draw(st.binary(max_size=2))
    found = decoded(bytes(spoilt), encoding, limit)
    assert found is None or len(found) <= limit


@pytest.mark.parametrize(
    ("header", "encoding"),
    [(b"", b""), (b"identity", b""), (b" Identity ", b""), (b"GZIP", b"gzip"), (b"br", b"br"), (b"a, b", b"a, b")],
)
def test_what_a_header_tells(header, encoding):
    assert encoding_of(header) == encoding


def bare(body):
    return zlib.compress(body)[2:-4]


PACKED = {"gzip": (b"gzip", gzip.compress), "x-gzip": (b"x-gzip", gzip.compress), "zlib": (b"deflate", zlib.compress)}
PACKED |= {"bare": (b"deflate", bare), "two": (b"gzip", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:]))}


def unpacked(encoding, pieces, most_bytes=1000):
    """What comes out, and whether it is all there."""
    unpacker, found = Unpacker.of(encoding), []
    for piece in pieces:
        unpacker.feed(piece)
        while data := unpacker.take(most_bytes):
            assert len(data) <= most_bytes
            found.append(data)
    return b"".join(found), unpacker.is_at_end


class TestUnpacker:
    LARGE = b"a" * 1_000_000

    @given(st.binary(max_size=300), st.sampled_from(sorted(PACKED)), st.sets(st.integers(1, 300)), st.integers(1, 99))
    def test_however_it_is_cut(self, body, how, cuts, most_bytes):
        encoding, pack = PACKED[how]
        packed = pack(body)
        borders = [0, *sorted(cut for cut in cuts if cut < len(packed)), len(packed)]
        pieces = [packed[start:stop] for start, stop in itertools.pairwise(borders)]
        assert unpacked(encoding, pieces, most_bytes) == (body, True)

    def test_a_bomb_comes_out_in_pieces(self):
        assert unpacked(b"gzip", [gzip.compress(self.LARGE)]) == (self.LARGE, True)

    @pytest.mark.parametrize("body", [TEXT, LARGE])
    def test_what_breaks_off_is_not_all_there_wherever_it_does(self, body):
        packed = gzip.compress(body)
        for size in range(0, len(packed), 7):
            found, is_whole = unpacked(b"gzip", [packed[:size]])
            assert body.startswith(found)
            assert not is_whole

    @pytest.mark.parametrize("encoding", [b"", b"br", b"zstd", b"gzip, gzip"])
    def test_of_others_there_is_none(self, encoding):
        assert Unpacker.of(encoding) is None

    @given(st.data(), st.sampled_from(sorted(PACKED)))
    def test_whatever_comes_it_is_read_or_refused(self, data, how):
        encoding, pack = PACKED[how]
        spoilt = bytearray(pack(data.draw(st.binary(max_size=200))))
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(spoilt)))
            spoilt[at : at + 1] = data.draw(st.binary(max_size=2))
        with contextlib.suppress(zlib.error):
            unpacked(encoding, [bytes(spoilt)], 50)
