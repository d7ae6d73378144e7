"""Where an HTTP/1.1 reply ends, found as cheaply as Python can.

A load client that parses every header measures itself. This reader looks at the status line, at `content-length` or
`transfer-encoding`, and walks chunk sizes; the rest of the head is never looked at. It is strict in what would make a
count wrong (a bad chunk size, bytes after the end) and blind to everything else.
"""

import re
from collections.abc import Callable

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close[ \t]*\r\n", re.IGNORECASE)
_MAX_HEAD_BYTES = 65_536


class BadReply(Exception):
    """The bytes are not an HTTP/1.1 reply that this reader understands, or go on after its end."""


class Reader:
    """Reads the replies of one connection, one after the other.

    `on_body` is called with each piece of the body, chunk framing removed; without it bodies are skipped unread.
    """

    __slots__ = ("_buffer", "_in_chunks", "_left", "_trailer", "is_close", "on_body", "status")

    def __init__(self, on_body: Callable[[bytes], None] | None = None) -> None:
        self.on_body = on_body
        self.status = 0
        self.is_close = False
        """Whether the peer said that it closes after this reply."""
        self._buffer = b""
        """An unfinished head, or an unfinished chunk-size line."""
        self._left = -1
        """Bytes to come: of the body, or of the chunk with its CRLF; -1 before the head is complete."""
        self._in_chunks = False
        self._trailer = False

    def feed(self, data: bytes) -> bool:
        """Take the next bytes; True when they complete a reply. Raises BadReply."""
        if self._left < 0:
            data = self._buffer + data if self._buffer else data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                if len(data) > _MAX_HEAD_BYTES:
                    raise BadReply("no end of the head")
                self._buffer = data
                return False
            self._head(data, end)
            data = data[end + 4 :]
        is_done = self._chunks(data) if self._in_chunks else self._plain(data)
        if is_done:
            self._left = -1
            self._in_chunks = self._trailer = False
            self._buffer = b""
        return is_done

    def _head(self, data: bytes, end: int) -> None:
        if data[:7] != b"HTTP/1." or not data[9:12].isdigit():
            raise BadReply(f"not a status line: {data[:40]!r}")
        self._buffer = b""
        self.status = int(data[9:12])
        self.is_close = _CLOSE.search(data, 0, end + 2) is not None
        if length := _LENGTH.search(data, 0, end + 2):
            self._left = int(length[1])
        elif _CHUNKED.search(data, 0, end + 2):
            self._in_chunks = True
            self._left = 0
        else:
            raise BadReply("neither content-length nor chunked")

    def _plain(self, data: bytes) -> bool:
        self._left -= len(data)
        if self._left < 0:
            raise BadReply("bytes after the end of the reply")
        if self.on_body is not None and data:
            self.on_body(data)
        return self._left == 0

    def _chunks(self, data: bytes) -> bool:
        at, size = 0, len(data)
        while at < size:
            if self._left:
                at = self._chunk_bytes(data, at)
                continue
            line_end = data.find(b"\n", at)
            if line_end < 0:
                self._buffer += data[at:]
                return False
            line = (self._buffer + data[at:line_end]).rstrip(b"\r")
            self._buffer = b""
            at = line_end + 1
            if self._trailer:
                if line:
                    continue
                if at != size:
                    raise BadReply("bytes after the last chunk")
                return True
            self._size_line(line)
        return False

    def _chunk_bytes(self, data: bytes, at: int) -> int:
        """Skip what `data` holds of the current chunk and its CRLF; return where the next thing starts."""
        end = min(len(data), at + self._left)
        payload_end = min(end, at + self._left - 2)
        if self.on_body is not None and payload_end > at:
            self.on_body(data[at:payload_end])
        self._left -= end - at
        return end

    def _size_line(self, line: bytes) -> None:
        try:
            chunk_bytes = int(line.partition(b";")[0], 16)
        except ValueError:
            raise BadReply(f"not a chunk size: {line[:40]!r}") from None
        if chunk_bytes:
            self._left = chunk_bytes + 2
        else:
            self._trailer = True
