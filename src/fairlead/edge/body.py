"""Reading a request's body, bounded."""

from fairlead.edge.downstream import Headers, Receive
from fairlead.errors import ApiError, ClientGone


async def read_body(receive: Receive, headers: Headers, limit_bytes: int) -> bytes:
    """Return the whole body.

    Raises ApiError 413 as soon as it is known to be too large (from its content-length before reading any of it), and
    ClientGone if the caller leaves before its end.
    """
    for name, value in headers:
        if name == b"content-length" and int(value) > limit_bytes:
            raise too_large(limit_bytes)
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if message["type"] == "http.disconnect":
            raise ClientGone
        return body
    parts, size = [body], len(body)
    while True:
        if size > limit_bytes:
            raise too_large(limit_bytes)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message["body"])
        size += len(parts[-1])
        if not message["more_body"]:
            break
    if size > limit_bytes:
        raise too_large(limit_bytes)
    return b"".join(parts)


def too_large(limit_bytes: int) -> ApiError:
    return ApiError(
        413,
        f"The request body is larger than {limit_bytes} bytes, the limit of this gateway (FAIRLEAD_MAX_BODY_BYTES)",
        error_type="payload_too_large",
        headers={"connection": "close"},
    )
