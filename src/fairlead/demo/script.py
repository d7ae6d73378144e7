"""What a simulated provider shall do with one request: a `Script`, and the one parser of its two written forms.

JSON, for the command line and `PUT /demo/script`:   {"status": 429, "retry_after": "2"}
Header, for `x-demo-script`:                         status=429; retry_after=2      (a bare name means true)

A value of the header form is read as JSON when it is JSON and as a string when it is not; a header that starts with
`{` is the JSON form. Bytes are written as a string (sent as UTF-8) or as {"base64": "…"}.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

import orjson

from fairlead.demo import values
from fairlead.demo.values import Pairs

_OF_THE_WORDS: Final = frozenset({"text", "tokens", "usage"})


@dataclass(frozen=True, slots=True)
class Script:
    """One request's fate. The fields compose; those left alone change nothing.

    A *piece* is one event of a stream (the role delta is the first) or, where a reply is no stream, 16 bytes of it.
    """

    # The connection
    refuse: bool = False
    """Connections are refused: the listening socket is closed. Only as a server's default script."""
    reset_on_accept: bool = False
    """The connection is reset as soon as it is accepted. As a default or in the queue, where it is used up by it."""

    # When
    hang: bool = False
    """The request is read and never answered."""
    head_then_hang: bool = False
    first_byte_delay_s: float | None = None
    """Before the head. Unset: what the personality draws."""
    slow_headers: float | None = None
    """Each byte of the head alone, this many seconds after the one before."""
    first_token_delay_s: float | None = None
    """Between the head and the first piece."""
    token_delay_s: float | None = None
    """Between pieces. Unset: what the personality draws."""
    stall_after: int | None = None
    """So many pieces, then silence on an open connection."""

    # What
    status: int | None = None
    """From 300 on the body is an error in OpenAI's shape."""
    retry_after: str | None = None
    """Seconds or an HTTP date."""
    headers: Pairs = ()
    """Added to the head; a name that we send too replaces ours."""
    body: bytes | None = None
    """Sent instead of the body, as it is."""
    text: str | None = None
    """The exact text of the answer, whatever `tokens` and the request's limit say."""
    tokens: int | None = None
    """How many words the answer has."""
    usage: Mapping[str, object] | None = None
    """Put in where usage is told."""
    html: bool = False
    """A web page, as a captive portal or a load balancer would answer."""
    empty: bool = False
    """No body at all."""
    garbage: bytes | None = None
    """These bytes instead of an HTTP reply, then the connection closes."""
    flood_bytes: int | None = None
    """A well-formed answer of this many bytes, as fast as the peer reads."""
    endless: Literal["event", "comments", "text", "body"] | None = None
    """What is sent for ever, as fast as the peer reads: of a stream an event after the answer's words, comments before
    any, or pieces of text; or in place of a stream JSON. A reply that is no stream has an endless body, of any."""
    encoding: Literal["gzip", "br"] | None = None
    """Compresses a reply that is no stream, asked for or not."""

    # Streams that are wrong
    error_in_stream: int | None = None
    """So many events, then an error event, then a proper end without `[DONE]`."""
    malformed_event: int | None = None
    """The event of this index is not JSON."""
    missing_finish: bool = False
    missing_done: bool = False

    # Framing
    informational: int = 0
    """So many 103 replies at once, before the wait for the real head."""
    close_delimited: bool = False
    """Neither length nor chunks: the end of the connection is the end of the body, and the head says so."""
    truncate_length: int | None = None
    """`content-length` promises this many bytes more than come; then the connection closes."""
    chunk_bytes: int | None = None
    """The body in HTTP chunks of this size and the wire in writes of this size, aligned with neither events nor
    each other."""
    trailers: Pairs = ()
    """Sent after the last chunk."""
    cut_after: int | None = None
    """So many pieces, then the connection ends as `cut` says."""
    cut: Literal["close", "reset"] = "close"
    cut_inside: Literal["chunk", "event", "utf8"] | None = None
    """After those pieces a part of the next: of its HTTP chunk; of the event, in a whole chunk; of a character."""
    keepalive_close: bool = False
    """After the whole reply the connection closes, though nothing in the head announced it."""

    touches_wire: bool = field(init=False, compare=False, repr=False, default=False)
    """Whether more is scripted than the words of the answer; derived."""

    def __post_init__(self) -> None:
        if self.cut_after is None and (self.cut_inside or self.cut != "close"):
            raise ValueError("cut and cut_inside need cut_after")
        scripted = (known.name for known in fields(self) if getattr(self, known.name) != known.default)
        object.__setattr__(self, "touches_wire", not _OF_THE_WORDS.issuperset(scripted))


PLAIN: Final = Script()
"""Nothing is wrong."""

_READERS: Final[Mapping[str, Callable[[object], object]]] = {
    **dict.fromkeys(
        (
            "refuse",
            "reset_on_accept",
            "hang",
            "head_then_hang",
            "html",
            "empty",
            "missing_finish",
            "missing_done",
            "close_delimited",
            "keepalive_close",
        ),
        values.flag,
    ),
    **dict.fromkeys(("first_byte_delay_s", "slow_headers", "first_token_delay_s", "token_delay_s"), values.seconds),
    **dict.fromkeys(("stall_after", "tokens", "error_in_stream", "malformed_event", "cut_after"), values.whole(0)),
    "status": values.whole(200, 999),
    "retry_after": values.header_value,
    **dict.fromkeys(("headers", "trailers"), values.pairs),
    **dict.fromkeys(("body", "garbage"), values.raw_bytes),
    "text": values.text,
    "usage": values.members,
    "flood_bytes": values.whole(1024),
    "endless": values.one_of("event", "comments", "text", "body"),
    "encoding": values.encoding,
    "informational": values.whole(0, 100),
    **dict.fromkeys(("truncate_length", "chunk_bytes"), values.whole(1)),
    "cut": values.one_of("close", "reset"),
    "cut_inside": values.one_of("chunk", "event", "utf8"),
}
"""How each field is written; a test holds it to the fields of `Script`."""


def script_of(members: object) -> Script:
    """The script that decoded JSON describes; `ValueError` names the field that is unknown or wrong."""
    if not isinstance(members, dict):
        raise ValueError("a script is an object")
    if unknown := sorted(set(members) - set(_READERS)):
        raise ValueError(f"unknown field {unknown[0]!r}; known are {', '.join(sorted(_READERS))}")
    read: dict[str, Any] = {}
    for name, value in members.items():
        try:
            read[name] = _READERS[name](value)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None
    return Script(**read) if read else PLAIN


def parse_script(written: str) -> Script:
    """The script written in either form; `ValueError` says what is wrong with it."""
    if written.lstrip().startswith("{"):
        return script_of(_json(written))
    members: dict[str, object] = {}
    for item in filter(None, (part.strip() for part in written.split(";"))):
        name, equals, value = (side.strip() for side in item.partition("="))
        if name in members:
            raise ValueError(f"{name} is given twice")
        members[name] = _json_or_text(value) if equals else True
    return script_of(members)


def _json(written: str) -> object:
    try:
        return orjson.loads(written)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"a script is JSON: {error}") from None


def _json_or_text(value: str) -> object:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
