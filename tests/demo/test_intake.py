from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.demo.intake import MAX_BODY_BYTES, MAX_HEAD_BYTES, BadRequest, Intake

SIZED = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nX-Odd:  two  words \r\nContent-Length: 7\r\n\r\n{\n\r\n\r\n}"
BARE = b"GET /v1/models?x=1 HTTP/1.1\r\nhost: b\r\n\r\n"
CHUNKED = (
    b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nab\ncd\r\n3;ext=1\r\n\r\n\n\r\n0\r\nx-trailer: t\r\n\r\n"
)
STREAM = SIZED + b"\r\n" + CHUNKED + BARE + CHUNKED + SIZED


def read(pieces):
    intake = Intake()
    return [request for piece in pieces for request in intake.feed(piece)]


def test_a_request_keeps_every_byte_of_its_head():
    (request,) = read([SIZED])
    assert request.head + request.body == SIZED
    assert (request.method, request.target, request.is_kept_alive) == ("POST", "/v1/chat/completions", True)
    assert request.headers == [(b"Host", b"a"), (b"X-Odd", b"two  words"), (b"Content-Length", b"7")]
    assert request.header("x-odd") == "two  words"
    assert request.header("x-other") is None


def test_the_query_is_no_part_of_the_path():
    (request,) = read([BARE])
    assert (request.target, request.path) == ("/v1/models?x=1", "/v1/models")


def test_a_chunked_body_comes_without_its_framing():
    (request,) = read([CHUNKED])
    assert request.body == b"ab\ncd\r\n\n"


def test_pipelined_requests_come_apart():
    assert [request.head + request.body for request in read([SIZED + BARE + SIZED])] == [SIZED, BARE, SIZED]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_split_gives_the_same_requests(cuts):
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in pairwise(edges)]
    assert read(pieces) == read([STREAM])
    assert len(read(pieces)) == 5


def test_byte_by_byte_gives_the_same_requests():
    assert read(STREAM[n : n + 1] for n in range(len(STREAM))) == read([STREAM])


def test_nothing_is_read_after_a_request_that_closes():
    last = b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n"
    assert [request.is_kept_alive for request in read([BARE + last + BARE, BARE])] == [True, False]


def test_expecting_to_continue_is_told_once_and_only_while_the_body_is_missing():
    expecting = SIZED.replace(b"X-Odd:  two  words ", b"Expect: 100-Continue")
    head, body = expecting[:-7], expecting[-7:]
    intake = Intake()
    assert list(intake.feed(head)) == []
    assert intake.must_continue()
    assert not intake.must_continue()
    (request,) = intake.feed(body)
    assert request.body == body
    list(intake.feed(expecting))
    assert not intake.must_continue()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), 413),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * MAX_HEAD_BYTES, 431),
        (b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_is_refused_and_ends_the_reading(data, status):
    intake = Intake()
    with pytest.raises(BadRequest) as caught:
        list(intake.feed(data))
    assert caught.value.status == status
    assert list(intake.feed(BARE)) == []


def test_requests_before_a_bad_one_are_kept():
    intake = Intake()
    feed = intake.feed(BARE + b"nonsense\r\n\r\n")
    assert next(feed).target == "/v1/models?x=1"
    with pytest.raises(BadRequest):
        next(feed)
