"""Which request heads are refused, and in what words. Pure: values in, a value or an `ApiError` out.

llhttp without leniencies refuses most of what smuggles requests. Here is what it lets pass: a `Host` that is missing
or no host, a transfer coding other than a single `chunked`, any coding from HTTP/1.0, versions that are neither 1.0 nor
1.1, upgrades, and targets that name another host.
"""

import re
import urllib.parse

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from fairlead.edge.limits import Limits
from fairlead.errors import ApiError
from fairlead.wire.errors import error_body

MAX_TARGET_BYTES = 16_384
"""No route of ours needs longer targets; nginx draws the line at 8 KiB."""

MAX_PIPELINED = 16
"""Requests read ahead of the one being answered. httptools cannot stop inside a read, and one read holds thousands."""

_HOST = re.compile(rb"(?:[\w.~%!$&'()*+,;=-]+|\[[\da-fA-F:.]+\])?(?::\d*)?", re.ASCII)
"""RFC 3986 `host [":" port]`; an empty value is valid (RFC 9112 §3.2)."""

_TLS_HANDSHAKE = 0x16


def check_host(value: bytes, earlier: bytes | None) -> None:
    """Refuse a second Host field, and one that is not a host with an optional port."""
    if earlier is not None:
        raise ApiError(400, "The request has more than one Host field.")
    if _HOST.fullmatch(value) is None:
        raise ApiError(400, "The Host field is not a host with an optional port.")


def check_transfer_encoding(value: bytes) -> None:
    """Refuse every transfer coding but a single `chunked`. A second field is refused by llhttp."""
    if value.strip().lower() != b"chunked":
        raise ApiError(400, "The only transfer coding this server reads is a single 'chunked'.")


def check_version(version: str, host: bytes | None, headers: list[tuple[bytes, bytes]]) -> None:
    """Refuse versions other than 1.0 and 1.1, and what each of them does not allow."""
    if version not in ("1.0", "1.1"):
        raise ApiError(400, f"This server speaks HTTP/1.1, not HTTP/{version}.")
    if version == "1.1" and host is None:
        raise ApiError(400, "The request has no Host field.")
    if version == "1.0" and any(name == b"transfer-encoding" for name, _ in headers):
        raise ApiError(400, "HTTP/1.0 knows no transfer coding.")


def check_size(target: bytes, headers: list[tuple[bytes, bytes]], limits: Limits) -> None:
    """Refuse more fields or bytes than `limits` allow. A field counts with its colon, space and line end."""
    size = len(target) + sum(len(name) + len(value) + 4 for name, value in headers)
    if len(headers) > limits.max_headers or size > limits.max_header_bytes:
        raise too_large(limits)


def origin_form(target: bytes, method: bytes, host: bytes | None) -> bytes:
    """Reduce `http://host/path` to `/path`, if it names the host of the Host field, and let `OPTIONS *` pass."""
    if target == b"*" and method == b"OPTIONS":
        return target
    scheme, _, rest = target.partition(b"://")
    authority = re.split(rb"[/?]", rest, maxsplit=1)[0]
    if scheme.lower() not in (b"http", b"https") or not authority:
        raise ApiError(400, "The request target must be a path.")
    if host is not None and authority.lower() != host.lower():
        raise ApiError(400, "The request target and the Host field name different hosts.")
    origin = rest[len(authority) :]
    return origin if origin.startswith(b"/") else b"/" + origin


def split_target(target: bytes) -> tuple[str, bytes, bytes]:
    """Return path, raw path and query; the path is percent-decoded, the others are as sent."""
    if b"#" in target:
        raise ApiError(400, "The request target has a fragment, which is for the client only.")
    raw_path, _, query = target.partition(b"?")
    path = raw_path.decode("ascii")  # llhttp lets nothing else pass
    return (urllib.parse.unquote(path) if "%" in path else path), raw_path, query


def reply(refusal: ApiError, default_headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return the whole reply that carries `refusal` and closes the connection."""
    body = error_body(refusal)
    lines = [STATUS_LINE[refusal.status]]
    lines += [b"%b: %b\r\n" % header for header in default_headers]
    lines.append(b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body))
    return b"".join([*lines, body])


def parser_refusal(error: httptools.HttpParserError, data: bytes | memoryview) -> ApiError:
    """Say in one sentence what was wrong with `data`; an error that is a bug of ours is raised again."""
    cause = error.__context__  # what a callback raised, if one did
    if isinstance(cause, ApiError):
        return cause
    if cause is not None:
        raise error
    if data[0] == _TLS_HANDSHAKE:
        return ApiError(400, "This port speaks plain HTTP, and the client began a TLS handshake.")
    reason = str(error)
    if "PRI/Upgrade" in reason:
        return ApiError(400, "This server speaks HTTP/1.1, and the client began with HTTP/2.")
    return ApiError(400, f"The request is not valid HTTP/1.1: {reason}.")


def no_upgrade(method: bytes) -> ApiError:
    """Return the refusal of CONNECT, or of a request with Upgrade."""
    if method == b"CONNECT":
        return ApiError(400, "This server is not a forward proxy: it does not serve CONNECT.")
    return ApiError(400, "This server speaks HTTP/1.1 only: send the request without Upgrade (no h2c, no WebSocket).")


def long_target() -> ApiError:
    """Return the refusal of a target over `MAX_TARGET_BYTES`."""
    return ApiError(414, f"The request target is longer than {MAX_TARGET_BYTES} bytes.")


def too_large(limits: Limits) -> ApiError:
    """Return the refusal of a head over the limits."""
    return ApiError(
        431,
        f"The head of the request is larger than {limits.max_header_bytes} bytes or {limits.max_headers} fields, the "
        "limits of this gateway (FAIRLEAD_MAX_HEADER_BYTES, FAIRLEAD_MAX_HEADERS).",
    )


def too_many() -> ApiError:
    """Return the refusal of requests sent too far in advance."""
    return ApiError(400, "Too much was sent ahead of the responses to earlier requests.")


def too_slow(part: str, seconds: float) -> ApiError:
    """Return the refusal of a head or body (`part`) that did not arrive in time."""
    return ApiError(408, f"The {part} of the request did not arrive within {seconds:g} s.", error_type="timeout")
