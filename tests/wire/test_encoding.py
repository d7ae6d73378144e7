import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.wire.encoding import decoded, is_broken

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


class TestIsBroken:
    LARGE = b"a" * 1_000_000

    @pytest.mark.parametrize("body", [b"", b"x", TEXT, LARGE])
    def test_what_is_whole_is_not(self, body):
        assert not is_broken(gzip.compress(body), b"gzip")
        assert not is_broken(zlib.compress(body), b"deflate")

    @pytest.mark.parametrize("body", [TEXT, LARGE])
    def test_what_breaks_off_is_wherever_it_does(self, body):
        packed = gzip.compress(body)
        assert all(is_broken(packed[:size], b"gzip") for size in range(0, len(packed), 7))

    def test_garbage_is(self):
        assert is_broken(b"\x1f\x8b\x08no, it is not", b"gzip")
        assert is_broken(TEXT, b" X-Gzip ")

    @pytest.mark.parametrize("encoding", [b"", b"identity", b"br", b"zstd"])
    def test_of_what_is_not_ours_to_read_nothing_is_said(self, encoding):
        assert not is_broken(TEXT, encoding)

    def test_bare_deflate_is_called_by_the_same_name(self):
        assert not is_broken(zlib.compress(TEXT)[2:-4], b"deflate")


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
