"""Random requests as bytes: whole ones that nothing is wrong with, and such that somebody has been at."""

from dataclasses import dataclass

from hypothesis import strategies as st

NAMES = ("A", "b-c", "X-Long-Name", "Accept", "COOKIE", "content-type", "~!#$%&'*+-.^_`|")
FRAMING = {"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect"}
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
"""Not HEAD, to which the app of these tests answers like to GET."""

targets = st.text("abcXYZ019/-._~!$&'()*+,;=:@%?", max_size=30).map(lambda text: f"/{text}")
values = st.binary(max_size=30).map(lambda value: bytes(c for c in value if c == 9 or 32 <= c != 127).strip(b" \t"))
fields = st.lists(st.tuples(st.sampled_from(NAMES).map(str.encode), values), max_size=5)
bodies = st.binary(max_size=60)


@dataclass(frozen=True)
class Request:
    """As it is meant; names of fields in lower case."""

    method: bytes
    target: bytes
    fields: tuple
    body: bytes


@st.composite
def requests(draw):
    """A request, and one of the ways to write it."""
    method, target, body = draw(st.sampled_from(METHODS)).encode(), draw(targets).encode(), draw(bodies)
    framing = draw(st.sampled_from(["none", "length", "chunks"]))
    written = [(b"Host", b"gateway"), *draw(fields)]
    if framing == "none":
        body, encoded = b"", b""
    elif framing == "length":
        written.append((draw(st.sampled_from([b"Content-Length", b"content-length"])), b"%d" % len(body)))
        encoded = body
    else:
        written.append((b"Transfer-Encoding", draw(st.sampled_from([b"chunked", b"Chunked"]))))
        encoded = draw(in_chunks(body))
    written = draw(st.permutations(written))
    lines = [b"%b %b HTTP/1.1" % (method, target), *(b"%b:%b%b" % (name, draw(gaps), said) for name, said in written)]
    told = tuple((name.lower(), said) for name, said in written)
    return Request(method, target, told, body), b"\r\n".join([*lines, b"", b""]) + encoded


gaps = st.sampled_from([b" ", b" ", b"", b"  ", b"\t"])


@st.composite
def in_chunks(draw, body):
    """The body as chunks of any sizes, with extensions and trailers."""
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(body) - 1)), max_size=4))) if len(body) > 1 else []
    parts = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True) if start < end]
    extension = draw(st.sampled_from([b"", b";a", b";a=b", b';a="b;c"']))
    size = draw(st.sampled_from([b"%x", b"%X", b"0%x"]))
    trailers = draw(st.sampled_from([b"", b"", b"T: u\r\n"]))
    return (
        b"".join(size % len(part) + extension + b"\r\n" + part + b"\r\n" for part in parts) + b"0\r\n%b\r\n" % trailers
    )


FRAGMENTS = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b"\x00", b" ", b"\t", b"\x0b", b"\x0c", b":", b",", b";", b'"',
    b"\\", b"\x7f", b"\x80", b"\xff", b"0", b"1", b"5", b"-", b"+", b"0x", b"_", b"\r\n ", b"\r\n\t", b" HTTP/1.1",
    b" HTTP/1.0",
    b"HTTP/1.1", b"HTTP/2.0", b"Content-Length: 3\r\n", b"Content-Length:\r\n", b"Content-Length: 3, 3\r\n",
    b"Content-Length : 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding:\x0bchunked\r\n", b"transfer-encoding : chunked\r\n",
    b"Host: other\r\n", b"Connection: close\r\n", b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
    b"Expect: 100-continue\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"GET / HTTP/1.1\r\n",
    b"GET /smuggled HTTP/1.1\r\nHost: gateway\r\n\r\n",
)  # fmt: skip


@st.composite
def spoilt(draw, wires):
    """Bytes of `wires` with a few of them taken out, put in, or put somewhere else."""
    wire = bytearray(b"".join(draw(st.lists(wires, min_size=1, max_size=2))))
    borders = [at for at in range(len(wire)) if wire[at] in b"\r\n:; "] or [0]
    for _ in range(draw(st.integers(1, 3))):
        at = min(draw(st.sampled_from(borders) | st.integers(0, len(wire))), len(wire))
        wire[at : at + draw(st.sampled_from([0, 0, 1, 2]))] = draw(st.sampled_from(FRAGMENTS) | st.binary(max_size=2))
    return bytes(wire)


@st.composite
def cuts(draw, wire):
    """The pieces that the network makes of `wire`."""
    at = sorted(draw(st.sets(st.integers(1, max(1, len(wire) - 1)), max_size=6)))
    return [wire[start:end] for start, end in zip([0, *at], [*at, len(wire)], strict=True)]


@st.composite
def rows(draw):
    """Some requests, one behind the other, and the pieces that their bytes come in."""
    meant = draw(st.lists(requests(), min_size=1, max_size=3))
    return [request for request, _ in meant], draw(cuts(b"".join(wire for _, wire in meant)))


@st.composite
def spoilt_pieces(draw):
    """Spoilt bytes, and the pieces that they come in."""
    wire = draw(spoilt(wires))
    return wire, draw(cuts(wire))


wires = requests().map(lambda pair: pair[1])
