"""Random valid replies, their bytes, and random ways to cut bytes up."""

from dataclasses import dataclass

from hypothesis import strategies as st

from upstream.corpus import Outcome

FRAMING_NAMES = {"content-length", "transfer-encoding", "connection", "upgrade"}


@dataclass(frozen=True)
class Message:
    """A reply to be encoded. `chunks` is the body; how it is framed, `framing` says."""

    status: int
    reason: bytes
    headers: tuple
    chunks: tuple
    framing: str
    interim: tuple = ()
    extension: bytes = b""
    trailers: tuple = ()

    @property
    def body(self):
        return b"".join(self.chunks)

    def framing_headers(self):
        if self.framing == "length":
            return ((b"Content-Length", b"%d" % len(self.body)),)
        return ((b"Transfer-Encoding", b"chunked"),) if self.framing == "chunks" else ()

    def wire(self):
        parts = [b"HTTP/1.1 %d Wait\r\nx-interim: 1\r\n\r\n" % status for status in self.interim]
        parts.append(b"HTTP/1.1 %d %b\r\n" % (self.status, self.reason))
        parts += lines(self.headers + self.framing_headers())
        parts.append(b"\r\n")
        if self.framing == "chunks":
            parts += [b"%x%b\r\n%b\r\n" % (len(chunk), self.extension, chunk) for chunk in self.chunks]
            parts += [b"0\r\n", *lines(self.trailers), b"\r\n"]
        else:
            parts.append(self.body)
        return b"".join(parts)

    def outcome(self, *, is_kept):
        headers = tuple((name.lower(), value.strip()) for name, value in self.headers + self.framing_headers())
        return Outcome(self.status, headers, self.body, is_kept=is_kept)


def lines(headers):
    return [b"%b:%b\r\n" % header for header in headers]


names = (
    st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~", min_size=1, max_size=20)
    .filter(lambda name: name.lower() not in FRAMING_NAMES)
    .map(str.encode)
)
values = st.binary(max_size=40).map(lambda value: bytes(c for c in value if c == 9 or (c >= 32 and c != 127)))
headers = st.lists(st.tuples(names, values), max_size=6).map(tuple)
chunks = st.lists(st.binary(min_size=1, max_size=300), max_size=5).map(tuple)


@st.composite
def messages(draw):
    status = draw(st.sampled_from([200, 201, 204, 304, 400, 401, 404, 429, 500, 502, 503, 529, 999]))
    is_bodiless = status in (204, 304)
    framing = "none" if is_bodiless else draw(st.sampled_from(["length", "chunks", "close"]))
    return Message(
        status,
        draw(st.sampled_from([b"", b"OK", b"Service Unavailable", b"\xc3\xa9"])),
        draw(headers),
        () if is_bodiless else draw(chunks),
        framing,
        tuple(draw(st.lists(st.sampled_from([100, 102, 103, 199]), max_size=2))),
        draw(st.sampled_from([b"", b";a", b';a="b;c"', b";x=y;z"])),
        draw(headers) if framing == "chunks" else (),
    )


@st.composite
def cuts(draw, wire):
    """The pieces that the network makes of `wire`."""
    at = sorted(draw(st.sets(st.integers(1, max(1, len(wire) - 1)), max_size=8)))
    return [wire[start:end] for start, end in zip([0, *at], [*at, len(wire)], strict=True)]
