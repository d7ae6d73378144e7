"""Reading a request's body, bounded."""

from collections.abc import Mapping

from fairlead.edge.downstream import Receive
from fairlead.errors import ApiError, ClientGone

SMALL_BYTES = 4_096
"""Smaller parts are put together as they come. Kept by themselves, parts of two bytes take sixty times their size."""


async def read_body(receive: Receive, fields: Mapping[bytes, bytes], limit_bytes: int) -> bytes:
    """Return the whole body of a request with these header `fields`.

    Raises ApiError 413 as soon as it is known to be too large (from its content-length before reading any of it), and
    ClientGone if the caller leaves before its end.
    """
    if int(fields.get(b"content-length", 0)) > limit_bytes:
        raise too_large(limit_bytes)
    parts: list[bytes] = []
    small = bytearray()
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part: bytes = message["body"]
        size += len(part)
        if size > limit_bytes:
            raise too_large(limit_bytes)
        if not message["more_body"]:
            return b"".join((*parts, small, part)) if parts or small else part
        if len(part) < SMALL_BYTES:
            small += part
            continue
        if small:
            parts.append(bytes(small))
            small.clear()
        parts.append(part)


def too_large(limit_bytes: int) -> ApiError:
    return ApiError(
        413,
        f"The request body is larger than {limit_bytes} bytes, the limit of this gateway (FAIRLEAD_MAX_BODY_BYTES)",
        error_type="payload_too_large",
        headers={"connection": "close"},
    )
