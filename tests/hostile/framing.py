"""Requests whose framing two parsers might read differently, as data.

`REFUSED`: bytes that get a 400. `ANSWERED`: bytes that are the last request of their connection, and get a status.
With either a whole request comes behind them, which no provider must hear of.
`SERVED`: bytes, the statuses, the bodies that the provider gets, and whether the connection goes on.
"""

import json
from dataclasses import dataclass

from .raw import KEY, chunked, chunks, get, head, sized

HELLO = [{"role": "user", "content": "hello"}]
BODY = json.dumps({"model": "lab/m", "messages": HELLO}).encode()
SMUGGLED_BODY = json.dumps({"model": "lab/m", "messages": [{"role": "user", "content": "smuggled"}]}).encode()
SMUGGLED = sized(SMUGGLED_BODY)
LENGTH = f"Content-Length: {len(BODY)}"
PROBER = "X-Forwarded-For: 203.0.113.9"
"""Of wrong keys: whoever sends many has to wait, and that shall be nobody else."""
CODED = "Transfer-Encoding: chunked"
ONE_CHUNK = chunks(BODY)
SIZE = b"%x" % len(BODY)


def two(first, second, body=ONE_CHUNK):
    return head(first, second) + body


REFUSED = {
    # two ways to say where it ends
    "length, then coding": two(LENGTH, CODED),
    "coding, then length": two(CODED, LENGTH),
    "length of the chunks, and coding": two(f"Content-Length: {len(ONE_CHUNK)}", CODED),
    "length 0 and coding": two("Content-Length: 0", CODED),
    "a short length before the right one": two("Content-Length: 5", LENGTH, BODY),
    "the right length before a short one": two(LENGTH, "Content-Length: 5", BODY),
    "the right length twice": two(LENGTH, LENGTH, BODY),
    "two lengths in one field": head(f"{LENGTH}, {len(BODY)}") + BODY,
    "two codings in two spellings": two(CODED, "transfer-encoding: identity"),
    "a second coding that is empty": two(CODED, "Transfer-Encoding:"),
    # codings that one parser takes for chunked, and another for none
    **{
        f"coding {coding!r}": head(f"Transfer-Encoding:{coding}") + ONE_CHUNK
        for coding in (
            " identity, chunked", " chunked, identity", " chunked,", " ,chunked", " xchunked", " chunked x",
            ' "chunked"', " 'chunked'", " chunked;a=b", " chu\tnked", " chunked\t", " chunked\x85", " chunked\xa0",
            " \x0bchunked", " chunked\x0c", " \x00chunked", " chunked\x00", "\r\n chunked", " \r\n chunked",
            " chunked\r\n\t, identity", " cow, chunked",
        )
    },
    # lengths
    **{
        f"length {length!r}": head(f"Content-Length:{length}") + BODY
        for length in (
            f" +{len(BODY)}", f" -{len(BODY)}", " 0x44", f" {len(BODY)};", f" {len(BODY)}.0", " 6_8", " 6 8",
            " 1e2", " -0", "", " \xb2", f" {len(BODY)}\x00", f" {len(BODY)}\x85", f"\r\n {len(BODY)}",
            " 99999999999999999999999999",
            f" {len(BODY)}, 5", f" \x0b{len(BODY)}",
        )
    },
    # names
    "space before the colon of the length": head(f"Content-Length : {len(BODY)}") + BODY,
    "tab before the colon of the length": head(f"Content-Length\t: {len(BODY)}") + BODY,
    "space before the colon of the coding": head("Transfer-Encoding : chunked") + ONE_CHUNK,
    "space before the name of the coding": head(LENGTH, " Transfer-Encoding: chunked") + BODY,
    "NUL before the name of the coding": head(LENGTH, "\x00Transfer-Encoding: chunked") + BODY,
    "coding in a folded field": head(LENGTH, "X: y", "\tTransfer-Encoding: chunked") + BODY,
    "coding behind a bare LF": head(LENGTH, "X: y\nTransfer-Encoding: chunked") + BODY,
    "coding behind a bare CR": head(LENGTH, "X: y\rTransfer-Encoding: chunked") + BODY,
    "coding behind CR CR LF": head(LENGTH, "X: y\r\r\nTransfer-Encoding: chunked") + BODY,
    "head that a bare LF ends": head(LENGTH)[:-2] + b"\n" + BODY,
    "head with bare LFs": head(LENGTH).replace(b"\r\n", b"\n") + BODY,
    "two request lines": head(LENGTH).replace(b" HTTP/1.1", b" HTTP/1.1 HTTP/1.1", 1) + BODY,
    "coding in HTTP/1.0": chunked(ONE_CHUNK, version="HTTP/1.0"),
    # chunks
    **{
        f"chunk size {size!r}": chunked(size + b"\r\n" + BODY + b"\r\n0\r\n\r\n")
        for size in (
            b"0x" + SIZE, b"+" + SIZE, b"-" + SIZE, SIZE + b" ", b" " + SIZE, b"\t" + SIZE, SIZE + b" ;a=b",
            SIZE + b"\x00", SIZE + b",", SIZE + b"\r", SIZE + b";\n", SIZE + b";a=\x00", SIZE + b';a="\r\n"', b"",
            b"1" + b"0" * 15 + SIZE, b"\xef\xbc\x94\xef\xbc\x94",
        )
    },
    "bare LF behind a chunk size": chunked(SIZE + b"\n" + BODY + b"\r\n0\r\n\r\n"),
    "bare LF behind chunk data": chunked(SIZE + b"\r\n" + BODY + b"\n0\r\n\r\n"),
    "nothing behind chunk data": chunked(SIZE + b"\r\n" + BODY + b"0\r\n\r\n"),
    "more data than the chunk size says": chunked(SIZE + b"\r\n" + BODY + b"x\r\n0\r\n\r\n"),
    "bare LF at the end of the chunks": chunked(SIZE + b"\r\n" + BODY + b"\r\n0\r\n\n"),
    "no end of the trailers": chunked(SIZE + b"\r\n" + BODY + b"\r\n0\r\n"),
    "length in the trailers": chunked(ONE_CHUNK[:-2] + b"Content-Length: 5\r\n\r\n"),
    "host in the trailers": chunked(ONE_CHUNK[:-2] + b"Host: gateway\r\n\r\n"),
    # who is asked, and how
    "no host": sized(BODY, host=""),
    "two hosts": sized(BODY, "Host: gateway"),
    "two hosts, of which one is folded": sized(BODY, "X: y", " Host: other"),
    "a host with a path": sized(BODY, host="gateway/v1"),
    "another host in the target": sized(BODY, path="http://other/v1/chat/completions"),
    "upgrade to HTTP/2": sized(BODY, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA"),
    "upgrade to a WebSocket": sized(BODY, "Connection: Upgrade", "Upgrade: websocket"),
    "CONNECT": head(method="CONNECT", path="gateway:443"),
    "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
}  # fmt: skip

ANSWERED = {
    # whole requests, whose bodies must not be taken for requests, and the status of each
    "wrong key": (401, sized(SMUGGLED, PROBER, "Connection: close", key="wrong")),
    "no key": (401, sized(SMUGGLED, "Connection: close", key=None)),
    "body over the limit": (413, head("Content-Length: 99999999")),
    "wait for 100, refused": (413, head("Content-Length: 99999999", "Expect: 100-continue")),
    "no JSON": (400, sized(SMUGGLED, "Connection: close")),
    "no route": (404, sized(SMUGGLED, "Connection: close", path="/v1/none")),
    "no method": (405, sized(SMUGGLED, "Connection: close", path="/livez")),
    "body of a GET": (200, get("/livez", f"Content-Length: {len(SMUGGLED)}", "Connection: close") + SMUGGLED),
    "chunks of a GET": (200, get("/livez", CODED, "Connection: close") + chunks(SMUGGLED)),
    "body of a HEAD": (
        200,
        get("/livez", f"Content-Length: {len(SMUGGLED)}", "Connection: close").replace(b"GET", b"HEAD", 1) + SMUGGLED,
    ),
    "nothing but that it is the last": (200, get("/livez", "Connection: close")),
}


@dataclass(frozen=True)
class Served:
    """What the gateway makes of bytes that it serves."""

    data: bytes
    statuses: list
    upstream: list
    """Bodies, in order, before the gateway has put the provider's name of the model in."""
    is_kept: bool = True


OTHER_BODY = BODY.replace(b"hello", b"another")
ID = "X-Request-Id: hostile/1"


def asked(body, *fields, **options):
    return sized(body, ID, *fields, **options)


def in_chunks(rest):
    return chunked(rest, ID)


SERVED = {
    "chunks": Served(in_chunks(chunks(BODY[:9], BODY[9:])), [200], [BODY]),
    "chunks of a byte": Served(in_chunks(chunks(*(BODY[n : n + 1] for n in range(len(BODY))))), [200], [BODY]),
    "chunk extensions": Served(
        in_chunks(SIZE + b';a=b;c="d;\\"e\\""\r\n' + BODY + b"\r\n0;last\r\n\r\n"), [200], [BODY]
    ),
    "chunk sizes with zeros before": Served(in_chunks(b"000" + SIZE.upper() + ONE_CHUNK[2:]), [200], [BODY]),
    "a coding in capitals": Served(head("TRANSFER-ENCODING: CHUNKED", ID) + ONE_CHUNK, [200], [BODY]),
    "space around a coding": Served(head("Transfer-Encoding: \t chunked ", ID) + ONE_CHUNK, [200], [BODY]),
    "zeros before a length": Served(head(f"Content-Length: 000{len(BODY)}", ID) + BODY, [200], [BODY]),
    "fields that are only like those of framing": Served(
        asked(BODY, "Transfer_Encoding: chunked", "Content_Length: 3", "X-Transfer-Encoding: chunked"), [200], [BODY]
    ),
    "trailers": Served(
        in_chunks(ONE_CHUNK[:-2] + b"Authorization: Bearer other\r\nX-Request-Id: other\r\nX: y\r\n\r\n"), [200], [BODY]
    ),
    "hop-by-hop fields": Served(
        asked(
            BODY, "Connection: keep-alive, authorization, content-length", "Keep-Alive: timeout=9", "TE: trailers",
            "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic eDp5", "Trailer: X", "Via: 1.1 other",
            "Cookie: a=b", "X-Forwarded-Host: other", "Forwarded: host=other", "X-Original-URL: /admin/v1/endpoints",
            "X-Rewrite-URL: /admin/v1/endpoints", "X-HTTP-Method-Override: DELETE", "Content-Type: text/plain",
            "User-Agent: other", "Accept-Encoding: gzip", "Accept: text/html", "Range: bytes=0-1",
        ),
        [200],
        [BODY],
    ),
    "bytes beyond ASCII in fields": Served(asked(BODY, "X: \xe9\x85\xff", "X-Title: \u00fc"), [200], [BODY]),
    "empty lines before": Served(b"\r\n\r\n" + asked(BODY), [200], [BODY]),
    "the whole URL as target": Served(asked(BODY, path="http://gateway/v1/chat/completions"), [200], [BODY]),
    "HTTP/1.0": Served(asked(BODY, version="HTTP/1.0"), [200], [BODY], is_kept=False),
    "the first of two keys is wrong": Served(
        sized(BODY, PROBER, f"Authorization: Bearer {KEY}", key="wrong"), [401], []
    ),
    "one behind the other": Served(asked(BODY) + asked(OTHER_BODY) + asked(BODY), [200] * 3, [BODY, OTHER_BODY, BODY]),
    "the last one behind it": Served(
        asked(BODY) + asked(OTHER_BODY, "Connection: close") + SMUGGLED, [200, 200], [BODY, OTHER_BODY], is_kept=False
    ),
    "nonsense behind it": Served(asked(BODY) + b"nonsense\r\n\r\n" + SMUGGLED, [200, 400], [BODY], is_kept=False),
    "more than its length": Served(asked(BODY) + b"}" + SMUGGLED, [200, 400], [BODY], is_kept=False),
    "wrong key before": Served(sized(SMUGGLED, PROBER, key="wrong") + asked(BODY), [401, 200], [BODY]),
    "body of a GET before": Served(
        get("/livez", f"Content-Length: {len(SMUGGLED)}") + SMUGGLED + asked(BODY), [200, 200], [BODY]
    ),
    "no route before": Served(sized(SMUGGLED, path="/v1/none") + asked(BODY), [404, 200], [BODY]),
}  # fmt: skip
