"""Replies that can be told again: the same content under another id, and nothing used.

    whole_template(body)      of a whole reply
    StreamTemplate            of a stream, event by event
    told_again(template, …)   the reply

A template is the reply with a character for each place where the new id or date belongs. They are control characters,
which JSON does not hold and its decoder refuses. So all the reading is done once, when a reply is kept.

`usage` keeps its shape, with 0 for each number in it, cost and durations included. `openrouter_metadata` and a stream's
comments go. Everything else stays byte by byte, but for white space around the outermost members.

Only what is complete becomes a template. A reply that has choices tells why the model stopped, and neither that nor
anything else in it speaks of an error; it is not enough that a stream ends with `[DONE]`.
"""

import codecs
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

_ID, _CREATED = b"\x00", b"\x01"

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODER = msgspec.json.Encoder()
_FINISH_REASON = re.compile(rb'"finish_reason"\s{0,8}:\s{0,8}"([^"\\]{1,64})"')
_DONE = b"[DONE]"
_DONE_EVENT = b"data: [DONE]\n\n"


class NotRepeatable(ValueError):
    """The reply is not complete, tells of an error, or is not what it should be."""


@dataclass(frozen=True, slots=True)
class Template:
    text: bytes
    finish_reason: str
    """Empty where there is none to tell, as of embeddings."""


def told_again(template: bytes, generation_id: str, created: int) -> bytes:
    """Return the reply, as of `created` (Unix seconds)."""
    return template.replace(_ID, b'"%b"' % generation_id.encode()).replace(_CREATED, b"%d" % created)


def whole_template(body: bytes) -> Template:
    """Raises NotRepeatable."""
    members = _members(body)
    reason = _reason(body)
    if "choices" in members and not reason:
        raise NotRepeatable("it does not tell why it ended")
    return Template(_anew(members), reason)


def events_of(stream: bytes) -> Iterator[bytes]:
    """Return the events of a whole stream, each without the empty line behind it; its lines end with LF."""
    lines = stream.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return filter(None, lines.split(b"\n\n"))


class StreamTemplate:
    """Takes the events of `events_of` one after the other."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._reason = ""
        self._is_over = False

    def add(self, event: bytes) -> None:
        """Raises NotRepeatable."""
        if self._is_over:  # no client reads on behind [DONE]
            return
        others, data = [], []
        for line in event.split(b"\n"):
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif line and not line.startswith(b":"):
                others.append(line)
        if not data:
            return
        text = b"\n".join(data)
        if text.strip() == _DONE:
            self._is_over = True
            return
        if len(data) > 1:
            text = _on_one_line(text)
        self._reason = _reason(text) or self._reason
        self._parts.append(b"\n".join((*others, b"data: %b\n\n" % _anew(_members(text)))))

    def built(self) -> Template:
        """Return the template of all of it. Raises NotRepeatable."""
        if not self._reason:
            raise NotRepeatable("it does not tell why it ended")
        return Template(b"".join((*self._parts, _DONE_EVENT)), self._reason)


def _members(text: bytes) -> Mapping[str, msgspec.Raw]:
    try:
        return _MEMBERS.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotRepeatable(f"it is no JSON object: {error}") from None


def _on_one_line(text: bytes) -> bytes:
    try:
        return msgspec.json.format(text, indent=-1)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotRepeatable(f"it is no JSON: {error}") from None


def _reason(text: bytes) -> str:
    """Return the last finish reason told; raise NotRepeatable if one is an error."""
    reasons = [bytes(found) for found in _FINISH_REASON.findall(text)]
    if b"error" in reasons:
        raise NotRepeatable("it ended in an error")
    return reasons[-1].decode("utf-8", "replace") if reasons else ""


def _anew(members: Mapping[str, msgspec.Raw]) -> bytes:
    """Return a reply or an event with places for what is new."""
    parts = []
    for name, member in members.items():
        value = bytes(member)
        change = _CHANGES.get(name)
        if change is not None and (value := change(value)) == b"":
            continue
        parts.append(b"%b:%b" % (_ENCODER.encode(name), value))
    return b"{%b}" % b",".join(parts)


def _new_id(value: bytes) -> bytes:
    return _ID if value.startswith(b'"') else value


def _new_created(value: bytes) -> bytes:
    return value if value == b"null" else _CREATED


def _no_error(value: bytes) -> bytes:
    if value != b"null":
        raise NotRepeatable("it tells of an error")
    return value


def _unused(value: bytes) -> bytes:
    return _ENCODER.encode(_zeroed(_read(value)))


def _unused_within(value: bytes) -> bytes:
    """Groq tells its usage once more inside a member of its own."""
    found = _read(value)
    if not isinstance(found, dict) or "usage" not in found:
        return value
    return _ENCODER.encode({**found, "usage": _zeroed(found["usage"])})


def _nothing(_: bytes) -> bytes:
    return b""


def _read(value: bytes) -> object:
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotRepeatable(f"its usage cannot be read: {error}") from None


def _zeroed(value: object) -> object:
    if isinstance(value, dict):
        return {name: _zeroed(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_zeroed(member) for member in value]
    return 0 if isinstance(value, int | float) and not isinstance(value, bool) else value


_CHANGES: Mapping[str, Callable[[bytes], bytes]] = {
    "id": _new_id,
    "created": _new_created,
    "usage": _unused,
    "x_groq": _unused_within,
    "openrouter_metadata": _nothing,
    "error": _no_error,
}
"""By the name of a member of a reply, or of an event: what it says when it is told again; b"" for nothing."""
