import gzip
import zlib

import pytest

from fairlead.wire.encoding import decoded

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
