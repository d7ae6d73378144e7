"""The document and its page, served. Without a key: nothing in them is about this gateway but its version.

GET /openapi.json   the document
GET /docs           the page, and below it what it is made of

Each is made when somebody asks for it first, which takes some 10 ms, and kept as long as the worker lives.
"""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairlead.openapi.document import document
from fairlead.openapi.page import page

_SAFE = {
    "content-security-policy": "default-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def document_routes() -> list[Route]:
    """Return the routes."""
    return [
        Route("/openapi.json", _served(lambda: orjson.dumps(document()), "application/json"), methods=["GET"]),
        Route("/docs", _served(lambda: page(document()), "text/html"), methods=["GET"]),
        Route("/docs/docs.css", _served(lambda: _read("docs.css"), "text/css"), methods=["GET"]),
        Route("/docs/docs.js", _served(lambda: _read("docs.js"), "text/javascript"), methods=["GET"]),
    ]


def _served(make: Callable[[], bytes], media_type: str) -> Callable[[Request], Response]:
    """Return the handler of something that is made once. Starlette runs it in a thread."""

    @functools.cache
    def made() -> tuple[bytes, str]:
        body = make()
        return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'

    def show(request: Request) -> Response:
        body, etag = made()
        headers = {**_SAFE, "etag": etag, "cache-control": "no-cache"}
        if is_known(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers=headers)
        return Response(body, 200, headers, media_type)

    return show


def is_known(given: str, etag: str) -> bool:
    """Whether `If-None-Match` names the etag (RFC 9110, 13.1.2)."""
    return given.strip() == "*" or etag in (one.strip().removeprefix("W/") for one in given.split(","))


def _read(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()
