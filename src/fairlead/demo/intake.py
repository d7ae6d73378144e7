"""Bytes in, whole requests out, whatever the split: keep-alive, pipelined, sized or chunked.

llhttp reads the head and takes the chunks off, but does not say where in the bytes it stands. To keep each head byte
for byte we feed it exact slices: a head, then a body of known length, or chunked data line by line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import httptools
import orjson

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_BODY_BYTES: Final = 64 * 1024 * 1024

_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)")
_EXPECT: Final = re.compile(rb"\r\nexpect:[ \t]*100-continue")


class BadRequest(Exception):
    """What came cannot be read as a request; nothing after it on the connection can be either."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class ReceivedRequest:
    """A request as it arrived."""

    method: str
    target: str
    head: bytes
    """From the request line to the empty line, untouched."""
    body: bytes
    """Without chunk framing."""
    is_kept_alive: bool

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Names and values in order, as written but for the space around values."""
        lines = self.head[:-4].split(b"\r\n")[1:]
        return [(name, value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in lines)]

    def header(self, name: str) -> str | None:
        """The first value of a header, in any case; `None` without it."""
        wanted = name.lower().encode("latin-1")
        # Most requests lack most headers: one search of the head settles it without splitting lines.
        if b"\r\n" + wanted + b":" not in self.head.lower():
            return None
        return next(value.decode("latin-1") for name, value in self.headers if name.lower() == wanted)

    def json(self) -> Any:
        """The decoded body; `orjson.JSONDecodeError` when it is not JSON."""
        return orjson.loads(self.body)


class Intake:
    """The requests of one connection."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._partial = b""
        self._is_over = False
        self._begin()

    def _begin(self) -> None:
        self._head: bytes | None = None
        self._target = b""
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._length: int | None = 0
        self._is_complete = False
        self._is_kept_alive = True
        self._asks_to_continue = False

    # Called by the parser.

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_headers_complete(self) -> None:
        self._is_kept_alive = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        self._is_complete = True

    # Called by the connection.

    def must_continue(self) -> bool:
        """Whether the peer waits for `100 Continue` before its body. True once per request."""
        asks, self._asks_to_continue = self._asks_to_continue, False
        return asks

    def feed(self, data: bytes) -> Iterator[ReceivedRequest]:
        """The requests that `data` completes; `BadRequest` ends the connection, and later data is ignored."""
        try:
            while data and not self._is_over:
                data = self._feed_head(data) if self._head is None else self._feed_body(data)
                if self._is_complete:
                    yield self._finish()
        except httptools.HttpParserUpgrade:
            self._is_over = True
            raise BadRequest(400, "upgrades are not served") from None
        except httptools.HttpParserError as error:
            self._is_over = True
            raise BadRequest(400, f"not an HTTP request: {error}") from None
        except BadRequest:
            self._is_over = True
            raise

    def _feed_head(self, data: bytes) -> bytes:
        known = len(self._partial)
        # RFC 9112 2.2: empty lines before a request line are ignored.
        data = self._partial + data if known else data.lstrip(b"\r\n")
        end = data.find(b"\r\n\r\n", max(0, known - 3)) + 4
        if end < 4:
            self._partial = data
            end = len(data)
            rest = b""
        else:
            self._partial = b""
            self._head = data[:end]
            rest = data[end:]
        if end > MAX_HEAD_BYTES:
            raise BadRequest(431, f"the head is larger than {MAX_HEAD_BYTES} bytes")
        if self._head is not None:
            self._read_head(self._head, is_alone=not rest)
        return rest

    def _read_head(self, head: bytes, *, is_alone: bool) -> None:
        lowered = head.lower()
        if b"\r\ntransfer-encoding:" in lowered:
            self._length = None
        elif found := _LENGTH.search(lowered):
            self._length = int(found[1])
            if self._length > MAX_BODY_BYTES:
                raise BadRequest(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
        self._parser.feed_data(head)
        self._asks_to_continue = is_alone and not self._is_complete and bool(_EXPECT.search(lowered))

    def _feed_body(self, data: bytes) -> bytes:
        if self._length is None:
            return self._feed_chunked(data)
        missing = self._length - self._body_bytes
        self._parser.feed_data(data[:missing])
        return data[missing:]

    def _feed_chunked(self, data: bytes) -> bytes:
        view, position = memoryview(data), 0
        while position < len(data) and not self._is_complete:
            end = data.find(b"\n", position) + 1 or len(data)
            self._parser.feed_data(view[position:end])
            position = end
            if self._body_bytes > MAX_BODY_BYTES:
                raise BadRequest(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
        return data[position:]

    def _finish(self) -> ReceivedRequest:
        assert self._head is not None
        request = ReceivedRequest(
            method=self._head[: self._head.index(b" ")].decode("latin-1"),
            target=self._target.decode("latin-1"),
            head=self._head,
            body=self._body[0] if len(self._body) == 1 else b"".join(self._body),
            is_kept_alive=self._is_kept_alive,
        )
        self._is_over = not request.is_kept_alive
        self._begin()
        return request
