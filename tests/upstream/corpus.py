"""Replies as bytes, and what becomes of them: one table, for our client and for aiohttp's as its reference.

`is_closed`: the provider closes behind the bytes. `differs`: why aiohttp's client, on purpose, does not agree.
"""

from dataclasses import dataclass

from fairlead.upstream.connection import Limits

LIMITS = Limits(max_head_bytes=1024, max_framing_bytes=1024)
"""Small, so that replies over the limits stay small too."""
LONG = 1200

CLOSE = (b"connection", b"close")
CHUNKED = (b"transfer-encoding", b"chunked")


def length(size):
    return (b"content-length", b"%d" % size)


@dataclass(frozen=True)
class Outcome:
    """What a reader sees: the message, or as much of it as came before `error`."""

    status: int
    headers: tuple = ()
    body: bytes = b""
    error: str = ""
    is_kept: bool = False
    """Whether the connection serves the next request."""


@dataclass(frozen=True)
class Case:
    name: str
    wire: bytes
    outcome: Outcome
    is_closed: bool = False
    differs: str = ""


def whole(name, wire, headers, body=b"", *, status=200, is_kept=True, **more):
    """The reply is understood."""
    return Case(name, wire, Outcome(status, tuple(headers), body, is_kept=is_kept), **more)


def broken(name, wire, *, headers=None, body=b"", error="ProtocolError", **more):
    """The reply is refused: before its head is complete, or (`headers` given) after."""
    outcome = Outcome(0, error=error) if headers is None else Outcome(200, tuple(headers), body, error)
    return Case(name, wire, outcome, **more)


def cut(name, wire, **more):
    """The connection closes too early."""
    return broken(name, wire, error="Truncated", is_closed=True, **more)


STATUS = b"HTTP/1.1 200 OK\r\n"
EMPTY = b"content-length: 0\r\n\r\n"
FIVE = b"content-length: 5\r\n\r\nhello"
CODED = b"transfer-encoding: chunked\r\n\r\n"
CHUNKS = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
LENIENT = "aiohttp's parser is lenient with replies; leniency is what smuggling lives on"
CODED_BODY = "what is coded in transfer is no content to pass on"
SPOILT = "aiohttp throws away a whole reply for what stands behind it; we throw away the connection"
NO_UPGRADE = "we never ask to switch protocols, so whoever does is not talking to us"
NOT_A_STATUS = "a status is 100 at least: RFC 9110, section 15"
WHOLE_HEAD = "aiohttp limits a line, not the head"
GZIP = bytes.fromhex("1f8b08000000000000ffcb48cdc9c9070086a6103605000000")

FRAMING = [
    whole("length", STATUS + FIVE, [length(5)], b"hello"),
    whole("length zero", STATUS + EMPTY, [length(0)]),
    whole(
        "length with leading zeros",
        STATUS + b"content-length: 005\r\n\r\nhello",
        [(b"content-length", b"005")],
        b"hello",
    ),
    whole("chunks", STATUS + CODED + CHUNKS, [CHUNKED], b"hello world"),
    whole("no chunks", STATUS + CODED + b"0\r\n\r\n", [CHUNKED]),
    whole("chunk size in upper case", STATUS + CODED + b"A\r\n0123456789\r\n0\r\n\r\n", [CHUNKED], b"0123456789"),
    whole("chunk size in lower case", STATUS + CODED + b"a\r\n0123456789\r\n0\r\n\r\n", [CHUNKED], b"0123456789"),
    whole("chunk size with leading zeros", STATUS + CODED + b"0005\r\nhello\r\n000\r\n\r\n", [CHUNKED], b"hello"),
    whole(
        "chunk extensions",
        STATUS + CODED + b'5;a=b;c="d;e"\r\nhello\r\n0;last\r\n\r\n',
        [CHUNKED],
        b"hello",
    ),
    whole("trailers", STATUS + CODED + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nx-b:\r\n\r\n", [CHUNKED], b"hello"),
    whole(
        "coding in capitals",
        STATUS + b"Transfer-Encoding: Chunked\r\n\r\n" + CHUNKS,
        [(CHUNKED[0], b"Chunked")],
        b"hello world",
    ),
    whole(
        "gzip is left alone",
        STATUS + b"content-encoding: gzip\r\ncontent-length: 25\r\n\r\n" + GZIP,
        [(b"content-encoding", b"gzip"), length(25)],
        GZIP,
    ),
    whole("to the close", STATUS + b"\r\nhello", [], b"hello", is_kept=False, is_closed=True),
    whole("nothing, to the close", STATUS + b"\r\n", [], is_kept=False, is_closed=True),
    whole(
        "close announced, with length",
        STATUS + b"connection: close\r\n" + FIVE,
        [CLOSE, length(5)],
        b"hello",
        is_kept=False,
    ),
    whole(
        "close announced, with chunks",
        STATUS + b"Connection: Close\r\n" + CODED + CHUNKS,
        [(b"connection", b"Close"), CHUNKED],
        b"hello world",
        is_kept=False,
    ),
    broken(
        "a coding other than chunks",
        STATUS + b"transfer-encoding: gzip\r\n\r\nhello",
        headers=[(b"transfer-encoding", b"gzip")],
        body=b"hello",
        error="Truncated",
        is_closed=True,
        differs=CODED_BODY,
    ),
    whole(
        "a coding within chunks",
        STATUS + b"transfer-encoding: gzip, chunked\r\n\r\n" + CHUNKS,
        [(b"transfer-encoding", b"gzip, chunked")],
        b"hello world",
    ),
    broken(
        "a coding around chunks",
        STATUS + b"transfer-encoding: chunked, gzip\r\n\r\n" + CHUNKS,
        headers=[(b"transfer-encoding", b"chunked, gzip")],
        body=CHUNKS,
        error="Truncated",
        is_closed=True,
        differs=CODED_BODY,
    ),
    whole("205, to the close", b"HTTP/1.1 205 Reset Content\r\n\r\n", [], status=205, is_kept=False, is_closed=True),
    whole("HTTP/0.9 by name", b"HTTP/0.9 200 OK\r\n" + EMPTY, [length(0)], is_kept=False),
    whole("HTTP/2.0 by name", b"HTTP/2.0 200 OK\r\n" + EMPTY, [length(0)], is_kept=False),
    whole("204", b"HTTP/1.1 204 No Content\r\n\r\n", [], status=204),
    whole("204 with a length", b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", [length(5)], status=204),
    whole(
        "304",
        b'HTTP/1.1 304 Not Modified\r\netag: "a"\r\ncontent-length: 5\r\n\r\n',
        [(b"etag", b'"a"'), length(5)],
        status=304,
    ),
    whole("HTTP/1.0 with length", b"HTTP/1.0 200 OK\r\n" + FIVE, [length(5)], b"hello", is_kept=False),
    whole("HTTP/1.0 to the close", b"HTTP/1.0 200 OK\r\n\r\nhello", [], b"hello", is_kept=False, is_closed=True),
    whole(
        "HTTP/1.0 keep-alive",
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n" + FIVE,
        [(b"connection", b"keep-alive"), length(5)],
        b"hello",
    ),
]

HEADS = [
    whole("no headers of note", STATUS + b"a: b\r\n" + EMPTY, [(b"a", b"b"), length(0)]),
    whole(
        "names in any case",
        STATUS + b"X-ReQuest-ID: AbC\r\nCONTENT-LENGTH: 0\r\n\r\n",
        [(b"x-request-id", b"AbC"), length(0)],
    ),
    whole(
        "space around values",
        STATUS + b"a:b\r\nc: \t d\r\ne:\t f g \t\r\n" + EMPTY,
        [(b"a", b"b"), (b"c", b"d"), (b"e", b"f g"), length(0)],
    ),
    whole("empty values", STATUS + b"a:\r\nb: \r\n" + EMPTY, [(b"a", b""), (b"b", b""), length(0)]),
    whole(
        "repeated headers",
        STATUS + b"set-cookie: a=1\r\nx: y\r\nset-cookie: b=2\r\n" + EMPTY,
        [(b"set-cookie", b"a=1"), (b"x", b"y"), (b"set-cookie", b"b=2"), length(0)],
    ),
    whole("bytes over 127", STATUS + b"a: \xc3\xa9\xff\r\n" + EMPTY, [(b"a", b"\xc3\xa9\xff"), length(0)]),
    whole("no reason phrase", b"HTTP/1.1 200 \r\n" + EMPTY, [length(0)]),
    whole("no reason phrase, no space", b"HTTP/1.1 200\r\n" + EMPTY, [length(0)]),
    whole("empty lines in front", b"\r\n\r\n" + STATUS + EMPTY, [length(0)]),
    whole("status 600", b"HTTP/1.1 600 What\r\n" + EMPTY, [length(0)], status=600),
    whole(
        "upgrade offered",
        STATUS + b"connection: upgrade\r\nupgrade: h2c\r\n" + FIVE,
        [(b"connection", b"upgrade"), (b"upgrade", b"h2c"), length(5)],
        b"hello",
    ),
]

INTERIM = [
    whole("100 before", b"HTTP/1.1 100 Continue\r\n\r\n" + STATUS + FIVE, [length(5)], b"hello"),
    whole("103 before", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + STATUS + FIVE, [length(5)], b"hello"),
    whole(
        "102, twice, before chunks",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 2 + STATUS + CODED + CHUNKS,
        [CHUNKED],
        b"hello world",
    ),
    whole("an unknown 1xx before", b"HTTP/1.1 150 What\r\n\r\n" + STATUS + FIVE, [length(5)], b"hello"),
    whole(
        "100 with a length",
        b"HTTP/1.1 100 Continue\r\ncontent-length: 3\r\n\r\n" + STATUS + b"\r\nhello",
        [],
        b"hello",
        is_kept=False,
        is_closed=True,
    ),
    cut("100 and no more", b"HTTP/1.1 100 Continue\r\n\r\n"),
    broken("101", b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nbytes", differs=NO_UPGRADE),
    broken("101 to nothing", b"HTTP/1.1 101 Switching\r\n\r\nbytes", differs=NO_UPGRADE),
]

NONSENSE = [
    broken("garbage", b"\x00\x01\x02garbage\r\n\r\n"),
    broken("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    broken("HTTP/2 settings frame", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18)),
    broken("a web page", b"<html><body>Bad gateway</body></html>\r\n\r\n"),
    broken("TLS alert", b"\x15\x03\x01\x00\x02\x02\x46"),
    broken("another protocol's greeting", b"SSH-2.0-OpenSSH_9.2\r\n"),
    broken("name of the protocol in lower case", b"http/1.1 200 OK\r\n" + EMPTY),
    broken("HTTP/1.2", b"HTTP/1.2 200 OK\r\n" + EMPTY),
    broken("HTTP/2 status line", b"HTTP/2 200\r\n" + EMPTY),
    broken("status 99", b"HTTP/1.1 99 Low\r\n" + EMPTY),
    broken("status 000", b"HTTP/1.1 000 None\r\n" + EMPTY, differs=NOT_A_STATUS),
    broken("status 099", b"HTTP/1.1 099 Low\r\n\r\nhello", is_closed=True, differs=NOT_A_STATUS),
    broken("status of four digits", b"HTTP/1.1 2000 OK\r\n" + EMPTY),
    broken("status in letters", b"HTTP/1.1 OK\r\n" + EMPTY),
    broken("bare line feeds", b"HTTP/1.1 200 OK\ncontent-length: 0\n\n", differs=LENIENT),
    broken("folded header", STATUS + b"a: b\r\n c\r\n" + EMPTY, differs=LENIENT),
    broken("space before the colon", STATUS + b"a : b\r\n" + EMPTY),
    broken("header without a colon", STATUS + b"oops\r\n" + EMPTY),
    broken("NUL in a value", STATUS + b"a: b\x00c\r\n" + EMPTY),
    broken("NUL in a name", STATUS + b"a\x00: b\r\n" + EMPTY),
    broken("bare CR in a value", STATUS + b"a: b\rc\r\n" + EMPTY),
    broken("length and chunks", STATUS + b"content-length: 5\r\n" + CODED + CHUNKS),
    broken("chunks and length", STATUS + b"transfer-encoding: chunked\r\n" + FIVE),
    broken("two lengths", STATUS + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!"),
    broken("the same length twice", STATUS + b"content-length: 5\r\n" + FIVE),
    broken("list of lengths", STATUS + b"content-length: 5, 5\r\n\r\nhello"),
    broken("junk behind the length", STATUS + b"content-length: 5x\r\n\r\nhello"),
    broken("length with a sign", STATUS + b"content-length: +5\r\n\r\nhello"),
    broken("negative length", STATUS + b"content-length: -5\r\n\r\nhello"),
    broken("length in hex", STATUS + b"content-length: 0x5\r\n\r\nhello"),
    broken("empty length", STATUS + b"content-length:\r\n\r\nhello"),
    broken("huge length", STATUS + b"content-length: 99999999999999999999\r\n\r\nhello"),
    broken("chunk size of no digits", STATUS + CODED + b"\r\nhello\r\n0\r\n\r\n", headers=[CHUNKED]),
    broken("chunk size in letters", STATUS + CODED + b"xyz\r\nhello\r\n0\r\n\r\n", headers=[CHUNKED]),
    broken("negative chunk size", STATUS + CODED + b"-5\r\nhello\r\n0\r\n\r\n", headers=[CHUNKED]),
    broken("huge chunk size", STATUS + CODED + b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n", headers=[CHUNKED]),
    broken(
        "space behind the chunk size", STATUS + CODED + b"5 \r\nhello\r\n0\r\n\r\n", headers=[CHUNKED], differs=LENIENT
    ),
    broken("no CRLF behind a chunk", STATUS + CODED + b"5\r\nhello0\r\n\r\n", headers=[CHUNKED], body=b"hello"),
    broken("chunk longer than its size", STATUS + CODED + b"4\r\nhello\r\n0\r\n\r\n", headers=[CHUNKED], body=b"hell"),
    broken("bare line feeds between chunks", STATUS + CODED + b"5\nhello\n0\n\n", headers=[CHUNKED]),
]

CUT = [
    cut("nothing", b""),
    cut("in the status line", b"HTTP/1.1 20"),
    cut("in a header", STATUS + b"content-le"),
    cut("before the empty line", STATUS + b"content-length: 5\r\n"),
    cut("before the body", STATUS + b"content-length: 5\r\n\r\n", headers=[length(5)]),
    cut("in the body", STATUS + b"content-length: 5\r\n\r\nhell", headers=[length(5)], body=b"hell"),
    cut("in a chunk size", STATUS + CODED + b"1", headers=[CHUNKED]),
    cut("in a chunk", STATUS + CODED + b"5\r\nhel", headers=[CHUNKED], body=b"hel"),
    cut("behind a chunk", STATUS + CODED + b"5\r\nhello\r\n", headers=[CHUNKED], body=b"hello"),
    cut("in the last chunk", STATUS + CODED + b"5\r\nhello\r\n0\r\n", headers=[CHUNKED], body=b"hello"),
    cut("in the trailers", STATUS + CODED + b"5\r\nhello\r\n0\r\nx-sum: 1\r\n", headers=[CHUNKED], body=b"hello"),
]

EXCESS = [
    whole("a second reply behind it", STATUS + FIVE + STATUS + FIVE, [length(5)], b"hello", is_kept=False),
    whole("garbage behind it", STATUS + FIVE + b"garbage", [length(5)], b"hello", is_kept=False, differs=SPOILT),
    whole(
        "garbage behind chunks",
        STATUS + CODED + CHUNKS + b"garbage",
        [CHUNKED],
        b"hello world",
        is_kept=False,
        differs=SPOILT,
    ),
    whole(
        "garbage behind an announced close",
        STATUS + b"connection: close\r\n" + FIVE + b"garbage",
        [CLOSE, length(5)],
        b"hello",
        is_kept=False,
        differs=SPOILT,
    ),
    whole("content behind 204", b"HTTP/1.1 204 No Content\r\n\r\nhello", [], status=204, is_kept=False, differs=SPOILT),
    broken("head over the limit", STATUS + b"a: " + b"b" * LONG + b"\r\n" + FIVE, differs=WHOLE_HEAD),
    broken("many headers, over the limit", STATUS + b"name: value\r\n" * (LONG // 11) + FIVE, differs=WHOLE_HEAD),
    broken("endless header value", STATUS + b"a: " + b"b" * LONG, is_closed=True),
    broken("endless header name", STATUS + b"a" * LONG, is_closed=True),
    broken("endless reason phrase", b"HTTP/1.1 200 " + b"a" * LONG, is_closed=True),
    broken("endless 1xx", b"HTTP/1.1 103 Early Hints\r\n\r\n" * (LONG // 26), is_closed=True),
    broken("endless chunk extension", STATUS + CODED + b"5;" + b"a" * LONG, headers=[CHUNKED], is_closed=True),
    broken("endless chunk size", STATUS + CODED + b"0" * LONG, headers=[CHUNKED], is_closed=True),
    broken(
        "endless trailers", STATUS + CODED + b"0\r\n" + b"a: b\r\n" * (LONG // 6 + 1), headers=[CHUNKED], is_closed=True
    ),
    broken("endless trailer", STATUS + CODED + b"0\r\na: " + b"b" * LONG, headers=[CHUNKED], is_closed=True),
]

CASES = FRAMING + HEADS + INTERIM + NONSENSE + CUT + EXCESS
