"""A reply before it is put on the wire."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from fairlead.demo import shapes

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"


@dataclass(slots=True)
class Reply:
    """What is answered; `performance` decides how and when."""

    status: int
    content_type: str
    pieces: Iterable[bytes]
    """The events of a stream; the whole body in one or more pieces otherwise."""
    length: int
    """Bytes of all pieces."""
    is_stream: bool = False
    words: int = 0
    """What it takes a provider time to generate."""
    headers: list[tuple[str, str]] = field(default_factory=list)


def reply_of(body: bytes, *, status: int = 200, content_type: str = JSON) -> Reply:
    """A reply of one piece."""
    return Reply(status, content_type, (body,), len(body))


def error(status: int, message: str, *, code: str | None = None, param: str | None = None) -> Reply:
    """A reply that refuses."""
    return reply_of(shapes.error_body(status, message, code=code, param=param), status=status)
