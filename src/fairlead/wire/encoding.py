"""Reading content-encoded bodies for our own purposes; what the caller gets stays as it was sent."""

import zlib


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
