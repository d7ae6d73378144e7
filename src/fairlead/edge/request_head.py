"""What the head of an inference request says, apart from its body: read once for all requests that have the same."""

import functools
import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from fairlead.access.admit import token_of
from fairlead.access.keys import key_hash
from fairlead.edge.downstream import Scope
from fairlead.edge.responses import is_responses
from fairlead.errors import ApiError
from fairlead.relay.manner import Manner, manner_of
from fairlead.telemetry.record import AppAttribution
from fairlead.wire.router_metadata import wants_metadata

Fields = Mapping[bytes, bytes]
"""Headers by lower-case name; of repeated ones the first."""

_SAFE_ID = re.compile(rb"[A-Za-z0-9_.:/@-]{1,128}")
_TRACE_VALUE = re.compile(rb"[\x20-\x7e]{1,512}")
_KEPT = "inference"


class RequestHead(msgspec.Struct, frozen=True):
    fields: Fields
    """Without the length of the body, which differs between requests."""
    manner: Manner
    api: Literal["chat", "responses"]
    wants_metadata: bool
    token: bytes
    """The key; b"" where there is none, and `token_of` says why."""
    key_hash: str
    request_id: str
    """The caller's own, empty if there is none that can be used."""
    session: str
    app: AppAttribution | None
    """What the caller says of the program that asks; None if it says nothing."""
    trace_lines: bytes
    """Header lines that tell the provider which trace the request is part of."""


def head_of(scope: Scope) -> RequestHead:
    """Return the head of a request, as it was kept if it has come before."""
    kept = scope["extensions"].get("fairlead.head")
    if kept is None:
        return _read(scope)
    head: RequestHead | None = kept.get(_KEPT)
    if head is None:
        head = kept[_KEPT] = _read(scope)
    return head


def _read(scope: Scope) -> RequestHead:
    fields: dict[bytes, bytes] = dict(reversed(scope["headers"]))
    fields.pop(b"content-length", None)
    path, manner = scope["path"], manner_of(scope["path"])
    try:
        token = token_of(fields)
    except ApiError:  # to be raised where it can be answered
        token = b""
    given = fields.get(b"x-request-id", b"")
    return RequestHead(
        fields=fields,
        manner=manner,
        api="responses" if is_responses(path) else "chat",
        wants_metadata=manner.is_adapted and wants_metadata(fields),
        token=token,
        key_hash=key_hash(token),
        request_id=given.decode() if _SAFE_ID.fullmatch(given) is not None else "",
        session=_text(fields.get(b"x-session-id", b"")[:256]),
        app=_app(fields),
        trace_lines=_trace_lines(fields),
    )


def _app(fields: Fields) -> AppAttribution | None:
    referer = fields.get(b"http-referer") or fields.get(b"referer", b"")
    title = fields.get(b"x-openrouter-title") or fields.get(b"x-title", b"")
    agent = fields.get(b"user-agent", b"")
    if not (referer or title or agent):
        return None
    return _attribution(referer[:256], title[:256], fields.get(b"x-openrouter-categories", b"")[:256], agent[:256])


@functools.lru_cache(256)  # some programs, many requests
def _attribution(referer: bytes, title: bytes, categories: bytes, agent: bytes) -> AppAttribution:
    named = filter(None, map(str.strip, _text(categories).split(",")))
    return AppAttribution(_text(referer), _text(title), tuple(named)[:10], _text(agent))


def _trace_lines(fields: Fields) -> bytes:
    return b"".join(
        b"%b: %b\r\n" % (name, fields[name])
        for name in (b"traceparent", b"tracestate")
        if name in fields and _TRACE_VALUE.fullmatch(fields[name])
    )


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
