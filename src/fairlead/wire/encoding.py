"""Reading content-encoded bodies: they are not asked for, but some providers send them all the same."""

import zlib
from typing import Final

_GZIP: Final = (b"gzip", b"x-gzip")
_DEFLATE: Final = b"deflate"
_ANY_HEADER: Final = zlib.MAX_WBITS | 32
"""gzip's or zlib's, whichever is there."""


def encoding_of(header: bytes) -> bytes:
    """Return the content-encoding that a header tells, empty if that is none."""
    encoding = header.strip().lower()
    return b"" if encoding == b"identity" else encoding


def decoded(body: bytes, encoding: bytes, limit_bytes: int) -> bytes | None:
    """Return `body` without its content-encoding, at most `limit_bytes` of it; None if it cannot be read.

    gzip and deflate are read. Others (br, zstd) would each need a package.
    """
    encoding = encoding_of(encoding)
    if not encoding:
        return body[:limit_bytes]
    if encoding not in (*_GZIP, _DEFLATE):
        return None
    try:
        return zlib.decompressobj(wbits=_ANY_HEADER).decompress(body, limit_bytes)
    except zlib.error:
        return None


class Unpacker:
    """Undoes the encoding of one body, however it is cut into pieces; of it no more is held than was fed last."""

    __slots__ = ("_begin", "_rest", "_zlib")

    def __init__(self, *, may_be_bare: bool) -> None:
        self._zlib = zlib.decompressobj(wbits=_ANY_HEADER)
        self._rest = b""
        self._begin: bytes | None = b"" if may_be_bare else None
        """What has been read without a result. Some call the bare deflate of RFC 1951 so too, which has no header."""

    @classmethod
    def of(cls, encoding: bytes) -> "Unpacker | None":
        """Return one for an encoding as `encoding_of` has it; None if we cannot undo that."""
        return cls(may_be_bare=encoding == _DEFLATE) if encoding in (*_GZIP, _DEFLATE) else None

    @property
    def is_at_end(self) -> bool:
        """Whether all that was fed has been taken, and is complete."""
        return self._zlib.eof and not self._rest

    def feed(self, data: bytes) -> None:
        """Add the next bytes, once `take` has nothing more to give."""
        self._rest += data

    def take(self, most_bytes: int) -> bytes:
        """Return the next of what was fed, no more than `most_bytes` of it; b"" if more is needed.

        Raises zlib.error for what cannot be read.
        """
        while True:
            if self._zlib.eof:
                if not self._rest:
                    return b""
                self._zlib = zlib.decompressobj(wbits=_ANY_HEADER)  # RFC 1952, 2.2: members, one behind the other
            data = self._unpack(most_bytes)
            self._rest = self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail
            if data or not self._zlib.eof:
                return data

    def _unpack(self, most_bytes: int) -> bytes:
        packed = self._rest
        try:
            data = self._zlib.decompress(packed, most_bytes)
        except zlib.error:
            if self._begin is None:
                raise
            self._zlib = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
            packed, self._begin = self._begin + packed, None
            return self._zlib.decompress(packed, most_bytes)
        if self._begin is not None:
            self._begin = None if data else self._begin + packed
        return data
