"""The client's parser beside h11: what it takes for a whole reply h11 takes for the same, but for `LENIENT`."""

import re
from dataclasses import dataclass

import h11
from hypothesis import given
from hypothesis import strategies as st

from upstream.messages import cuts, messages
from upstream.tape import Deck, MoreToComeError

from .requests import FRAGMENTS

LENIENT = (
    (re.compile(rb"^[\r\n]+"), b""),  # empty lines before a status line
    (re.compile(rb"^(HTTP/1\.[01] [0-9]{3}) [^\r\n]*"), rb"\1 OK"),  # controls in a reason, which goes nowhere
)
"""What our client takes and h11 does not: it is put right before h11 is asked."""


def put_right(wire):
    done = b""
    while True:
        for pattern, strict in LENIENT:
            wire = pattern.sub(strict, wire)
        if not wire.startswith((b"HTTP/1.1 1", b"HTTP/1.0 1")):
            return done + wire
        head, end, wire = wire.partition(b"\r\n\r\n")  # an interim reply, with another one behind it
        done += head + end


@dataclass(frozen=True)
class Reply:
    status: int
    fields: tuple
    body: bytes


wires = messages().map(lambda message: message.wire())
REPLY_FRAGMENTS = (
    *FRAGMENTS, b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 204 No Content\r\n", b"HTTP/1.1 101 Switching\r\n",
    b"HTTP/1.1 100 \r\n", b"HTTP/1.1 200\r\n", b"HTTP/1.0 200 OK\r\n", b"200", b"99", b"1000", b"ICY 200 OK\r\n",
)  # fmt: skip


@st.composite
def spoilt(draw):
    """The bytes of a reply, or two, after somebody has been at them; and whether the provider closes behind them."""
    wire = bytearray(b"".join(draw(st.lists(wires, min_size=1, max_size=2))))
    borders = [at for at in range(len(wire)) if wire[at] in b"\r\n:; "] or [0]
    for _ in range(draw(st.integers(0, 3))):
        at = min(draw(st.sampled_from(borders) | st.integers(0, len(wire))), len(wire))
        wire[at : at + draw(st.sampled_from([0, 0, 1, 2]))] = draw(
            st.sampled_from(REPLY_FRAGMENTS) | st.binary(max_size=2)
        )
    return bytes(wire), draw(st.booleans())


def by_us(pieces, *, is_closed):
    """The reply if it is whole, and whether the connection is kept for another request."""
    deck = Deck()
    deck.send()
    deck.feed(*pieces)
    if is_closed:
        deck.end()
    try:
        outcome = deck.outcome()
    except MoreToComeError:
        return None, False
    if outcome.error:
        return None, False
    return Reply(outcome.status, outcome.headers, outcome.body), outcome.is_kept


def by_h11(wire, *, is_closed):
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "x"), ("content-length", "0")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(put_right(wire))
    if is_closed:
        connection.receive_data(b"")
    try:
        while isinstance(event := connection.next_event(), h11.InformationalResponse):
            pass
        if not isinstance(event, h11.Response):
            return None, False
        reply, body = event, b""
        while isinstance(event := connection.next_event(), h11.Data):
            body += bytes(event.data)
    except h11.RemoteProtocolError:
        return None, False
    if not isinstance(event, h11.EndOfMessage):
        return None, False
    fields = tuple((bytes(name), bytes(value)) for name, value in reply.headers)
    is_kept = connection.our_state is h11.DONE and connection.their_state is h11.DONE
    is_kept = is_kept and not connection.trailing_data[0].strip(b"\r\n")  # an empty line too many does no harm
    return Reply(reply.status_code, fields, body), is_kept


def normal(reply):
    fields = tuple((name, value.lower() if name == b"transfer-encoding" else value) for name, value in reply.fields)
    return Reply(reply.status, fields, reply.body)


@given(spoilt())
def test_nothing_is_taken_that_h11_refuses(row):
    wire, is_closed = row
    ours, is_kept = by_us([wire], is_closed=is_closed)
    theirs, may_be_kept = by_h11(wire, is_closed=is_closed)
    if ours is not None:
        assert theirs is not None
        assert normal(ours) == normal(theirs)
        assert may_be_kept or not is_kept


@given(st.data())
def test_bytes_mean_the_same_in_any_pieces(data):
    wire, is_closed = data.draw(spoilt())
    assert by_us(data.draw(cuts(wire)), is_closed=is_closed) == by_us([wire], is_closed=is_closed)
