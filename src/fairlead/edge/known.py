"""Heads that have been read before, and need not be again.

A client sends the same head with each request, but for the length of the body. What a parser made of these very bytes,
and what followed from it, holds for them whenever they come: they are recognised by comparing, at a tenth of the cost
of reading. Only requests count whose length is told and that begin with what was read last, and only what has come
twice, on whichever connections, so that heads that are never the same twice (with a number of each request, say) are
not kept.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

MOST_HEADS = 512
MOST_HEAD_BYTES = 4_096
"""Of each that is kept; all of them together take some 3 MB at most."""
MOST_SEEN = 2_048
"""That are remembered for having come once."""

_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ([0-9]{1,9})\r\n")
_OF_HEAD = ("http_version", "method", "path", "raw_path", "query_string")


class Known(msgspec.Struct, frozen=True):
    """A head that has been read."""

    scope: Mapping[str, Any]
    """Its part of the ASGI scope, but for the headers."""
    headers: list[tuple[bytes, bytes]]
    length_at: int
    """Which of them tells the length of the body."""
    kept: dict[str, Any]
    """What apps have found out about it, for the next request."""

    def headers_of(self, body_bytes: int) -> list[tuple[bytes, bytes]]:
        """Return the headers of a request with such a body."""
        headers = self.headers.copy()
        headers[self.length_at] = (b"content-length", b"%d" % body_bytes)
        return headers


class KnownHeads:
    """Those of one worker. The ones that were learnt first make room."""

    def __init__(self) -> None:
        self._heads: dict[bytes, Known] = {}
        self._seen: dict[int, None] = {}
        """Hashes of heads: of two that have the same, nothing worse comes than that one is kept too soon."""

    def get(self, head: bytes) -> Known | None:
        """Return what is known of a head as `plain_request` has it."""
        return self._heads.get(head)

    def has_come(self, head: bytes) -> bool:
        """Whether a head as `plain_request` has it has come before; now it has."""
        number = hash(head)
        if number in self._seen:
            del self._seen[number]
            return True
        if len(self._seen) >= MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        self._seen[number] = None
        return False

    def learn(self, head: bytes, scope: Mapping[str, Any]) -> None:
        """Take in a head, and the scope of a request that had it."""
        if len(head) > MOST_HEAD_BYTES:
            return
        if len(self._heads) >= MOST_HEADS:
            del self._heads[next(iter(self._heads))]
        headers = list(scope["headers"])
        length_at = [name for name, _ in headers].index(b"content-length")
        self._heads[head] = Known({name: scope[name] for name in _OF_HEAD}, headers, length_at, {})


def plain_request(data: bytes) -> tuple[bytes, int, int] | None:
    """Return the head of a request without the digits of its length, where the body begins, and how much of it is
    still to come; None for all but one request that tells its length.

    That there is just one length, and that it is the body's, is to be known by having read that head before.
    """
    end = data.find(b"\r\n\r\n")
    length = _LENGTH.search(data, 0, end + 2) if end >= 0 else None
    if length is None or (left := end + 4 + int(length[1]) - len(data)) < 0:
        return None
    digits, after = length.span(1)
    return data[:digits] + data[after : end + 4], end + 4, left
