"""The edge's parser beside h11, whose grammar is that of RFC 9112 word for word: an independent judge of smuggling.

What h11 refuses the edge refuses too, but for `LENIENT`, and what both take they read alike. The edge refuses more: h11
takes lines that end with LF alone, folded fields, and a length beside chunks.
"""

import asyncio
import re

import h11
import pytest
from hypothesis import example, given

from harness.listener import listening

from .requests import Request, rows, spoilt, spoilt_pieces, wires

pytestmark = pytest.mark.anyio


def is_at_rest(connection):
    """Whether nothing happens any more until more bytes come."""
    active = connection._active
    if active is None or (active.is_waiting and not active.message_event.is_set()):
        return True
    return active.response_complete and not connection.pipeline


async def by_the_edge(pieces):
    """The requests that reached the app whole, and whether something was refused."""
    async with listening() as listener:
        client = await listener.connect()
        connection = await listener.connection()
        for piece in pieces:
            if not connection.transport.is_closing():
                connection.data_received(piece)
        while not is_at_rest(connection):
            await asyncio.sleep(0)
        client.half_close()
        replies = await client.responses()
    bodies = iter(listener.app.bodies)
    heard = [
        Request(
            scope["method"].encode(),
            scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b""),
            tuple(scope["headers"]),
            next(bodies),
        )
        for scope, reply in zip(listener.app.scopes, replies, strict=False)
        if reply.status == 200
    ]
    return heard, bool(replies) and replies[-1].status >= 400


def by_h11(wire):
    """The same. What comes behind a request that is the last of its connection is not read."""
    heard = []
    while True:
        for pattern, strict in LENIENT:
            wire = pattern.sub(strict, wire)
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(wire)
        try:
            request = next_of(connection)
        except h11.RemoteProtocolError:
            return heard, True
        if request is None:
            return heard, False
        heard.append(request)
        connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
        connection.send(h11.EndOfMessage())
        if connection.our_state is not h11.DONE:
            return heard, False
        wire = connection.trailing_data[0]


def next_of(connection):
    """The next whole request; None if there is none."""
    request, body = connection.next_event(), b""
    if not isinstance(request, h11.Request):
        return None
    while isinstance(event := connection.next_event(), h11.Data):
        body += bytes(event.data)
    fields = tuple((bytes(name), bytes(value)) for name, value in request.headers)
    is_whole = isinstance(event, h11.EndOfMessage)
    return Request(bytes(request.method), bytes(request.target), fields, body) if is_whole else None


LENIENT = (
    (re.compile(rb"^[\r\n]+"), b""),  # empty lines before a request line: RFC 9112, section 2.2
    (re.compile(rb"^([A-Z]+) +([^ \r\n]+) +(HTTP/1\.[01]\r\n)"), rb"\1 \2 \3"),  # more than one space in that line
)
"""What the edge takes and h11 does not: it is put right before h11 is asked. None of it says where a request ends."""


def normal(request):
    """Without what the two may tell differently: h11 writes `Chunked` small, ASGI tells no `?` with nothing behind."""
    fields = tuple((name, value.lower() if name == b"transfer-encoding" else value) for name, value in request.fields)
    return Request(request.method, request.target.removesuffix(b"?"), fields, request.body)


@given(rows())
async def test_what_nothing_is_wrong_with_is_heard_as_it_was_meant(row):
    meant, pieces = row
    heard, is_refused = await by_the_edge(pieces)
    assert not is_refused
    assert [normal(request) for request in heard] == [normal(request) for request in meant]
    assert [normal(request) for request in by_h11(b"".join(pieces))[0]] == [normal(request) for request in meant]


@given(spoilt(wires))
@example(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5 ;a\r\nhello\r\n0\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
async def test_nothing_is_taken_that_h11_refuses(wire):
    heard, _ = await by_the_edge([wire])
    judged, _ = by_h11(wire)
    assert len(heard) <= len(judged)
    for ours, theirs in zip(heard, judged, strict=False):
        assert normal(ours) == normal(theirs)


@given(spoilt_pieces())
async def test_bytes_mean_the_same_in_any_pieces(row):
    wire, pieces = row
    assert await by_the_edge(pieces) == await by_the_edge([wire])
