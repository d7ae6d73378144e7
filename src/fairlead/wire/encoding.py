"""Reading content-encoded bodies for our own purposes; what the caller gets stays as it was sent."""

import zlib

_LOOK_BYTES = 65_536


def decoded(body: bytes, encoding: bytes, limit_bytes: int) -> bytes | None:
    """Return `body` without its content-encoding, at most `limit_bytes` of it; None if it cannot be read.

    gzip and deflate are read. Others (br, zstd) are never asked for: a provider that sends them all the same is passed
    on, but its reply cannot be read along.
    """
    encoding = encoding.strip().lower()
    if encoding in (b"", b"identity"):
        return body[:limit_bytes]
    if encoding not in (b"gzip", b"x-gzip", b"deflate"):
        return None
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(body, limit_bytes)
    except zlib.error:
        return None


def is_broken(body: bytes, encoding: bytes) -> bool:
    """Whether nobody can read a whole body; False where only we cannot. A reader holds 64 KiB of it at a time."""
    encoding = encoding.strip().lower()
    if encoding not in (b"gzip", b"x-gzip", b"deflate"):
        return False
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        while body and not unpacker.eof:
            if not unpacker.decompress(body, _LOOK_BYTES) and not unpacker.unconsumed_tail:
                break
            body = unpacker.unconsumed_tail
        unpacker.flush(_LOOK_BYTES)
    except zlib.error:
        # Some call the bare deflate of RFC 1951 so too, and there is no telling that from garbage.
        return encoding != b"deflate"
    return not unpacker.eof
