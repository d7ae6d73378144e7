"""Items of a Response's output that have parts with text: messages (text, refusals), and reasoning.

Reasoning has summaries, text, a signature and what is encrypted, in this order. Providers tell it in details of these
kinds; what would break the order belongs to another item, so that all of it can go back as it came.
"""

from typing import Final

from msgspec import Raw

from fairlead.wire.openrouter_shape import NULL
from fairlead.wire.responses_item import Events, Item

_UNKNOWN: Final = Raw(b'"unknown"')
_TEXT: Final = b"output_text"
_REFUSAL: Final = b"refusal"
_SUMMARY: Final = b"summary_text"
_THOUGHT: Final = b"reasoning_text"
_ADDED: Final = {
    _TEXT: b"response.output_text.delta",
    _REFUSAL: b"response.refusal.delta",
    _SUMMARY: b"response.reasoning_summary_text.delta",
    _THOUGHT: b"response.reasoning_text.delta",
}
_BEGUN: Final = {
    _TEXT: b"response.content_part.added",
    _REFUSAL: b"response.content_part.added",
    _SUMMARY: b"response.reasoning_summary_part.added",
    _THOUGHT: b"response.content_part.added",
}
_DONE: Final = {kind: added.removesuffix(b"delta") + b"done" for kind, added in _ADDED.items()}


class _Part:
    """Of a message or reasoning: its text so far, and what goes with it."""

    __slots__ = ("after", "annotations", "before", "kind", "logprobs", "pieces", "where")

    def __init__(self, kind: bytes, place: int, of_item: bytes) -> None:
        self.kind = kind
        self.where = b'"%b":%d' % (b"summary_index" if kind == _SUMMARY else b"content_index", place)
        self.pieces: list[bytes] = []
        self.annotations: list[bytes] = []
        self.logprobs: list[bytes] = []
        # Around number and text of an event that adds to it: the same each time.
        self.before = b'event: %b\ndata: {"type":"%b","sequence_number":' % (_ADDED[kind], _ADDED[kind])
        self.after = b",%b,%b}\n\n" % (of_item, self.where)

    @property
    def text(self) -> bytes:
        return b'"%b"' % b"".join(self.pieces)

    @property
    def log(self) -> bytes:
        return b"[%b]" % b",".join(self.logprobs)

    def json(self) -> bytes:
        if self.kind == _TEXT:
            return b'{"type":"output_text","text":%b,"annotations":[%b],"logprobs":%b}' % (
                self.text,
                b",".join(self.annotations),
                self.log,
            )
        return b'{"type":"%b","%b":%b}' % (self.kind, b"refusal" if self.kind == _REFUSAL else b"text", self.text)


class _Parts(Item):
    """An item with parts, of which the last one may be open. Texts are JSON strings."""

    __slots__ = ("_open", "_summaries", "parts")

    def __init__(self, events: Events, item_id: str, place: int) -> None:
        super().__init__(events, item_id, place)
        self.parts: list[_Part] = []
        self._open: _Part | None = None
        self._summaries = 0

    def _add(self, part: _Part, text: bytes, logprobs: bytes = b"") -> bytes:
        """The hot path: what a model says comes through here, token by token."""
        part.pieces.append(text[1:-1])
        if logprobs:
            part.logprobs.append(logprobs)
        events = self._events
        number = events.number
        events.number = number + 1
        if part.kind is _TEXT:
            return b'%b%d,"delta":%b,"logprobs":[%b]%b' % (part.before, number, text, logprobs, part.after)
        return b'%b%d,"delta":%b%b' % (part.before, number, text, part.after)

    def _begin_part(self, kind: bytes) -> tuple[bytes, _Part]:
        said = self._end()
        place = self._summaries if kind == _SUMMARY else len(self.parts) - self._summaries
        self._summaries += kind == _SUMMARY
        part = self._open = _Part(kind, place, b'"item_id":"%b","output_index":%d' % (self.id, self.place))
        self.parts.append(part)
        return said + self._within(_BEGUN[kind], b'%b,"part":%b' % (part.where, part.json())), part

    def _end(self) -> bytes:
        part, self._open = self._open, None
        if part is None:
            return b""
        text = b'%b,"%b":%b' % (part.where, b"refusal" if part.kind == _REFUSAL else b"text", part.text)
        if part.kind == _TEXT:
            text += b',"logprobs":' + part.log
        whole = b'%b,"part":%b' % (part.where, part.json())
        return self._within(_DONE[part.kind], text) + self._within(_BEGUN[part.kind].replace(b"added", b"done"), whole)


class Message(_Parts):
    __slots__ = ()

    def json(self, status: bytes) -> bytes:
        return b'{"id":"%b","type":"message","status":"%b","role":"assistant","content":[%b]}' % (
            self.id,
            status,
            b",".join([part.json() for part in self.parts]),
        )

    @property
    def text(self) -> bytes:
        """All its text, as a JSON string without quotes."""
        return b"".join([piece for part in self.parts if part.kind == _TEXT for piece in part.pieces])

    def say(self, text: bytes, logprobs: bytes) -> bytes:
        part = self._open
        if part is not None and part.kind is _TEXT:
            return self._add(part, text, logprobs)
        begun, part = self._begin_part(_TEXT)
        return begun + self._add(part, text, logprobs)

    def refuse(self, text: bytes) -> bytes:
        part = self._open
        if part is not None and part.kind is _REFUSAL:
            return self._add(part, text)
        begun, part = self._begin_part(_REFUSAL)
        return begun + self._add(part, text)

    def annotate(self, annotation: bytes) -> bytes:
        said, part = b"", self._open
        if part is None or part.kind != _TEXT:
            said, part = self._begin_part(_TEXT)
        part.annotations.append(annotation)
        number = len(part.annotations) - 1
        members = b'%b,"annotation_index":%d,"annotation":%b' % (part.where, number, annotation)
        return said + self._within(b"response.output_text.annotation.added", members)


class Reasoning(_Parts):
    """`key` and `told_id` (JSON) tell which of its details the provider means; the second it may tell once."""

    __slots__ = ("_key", "_marks", "_told_id")

    def __init__(self, events: Events, item_id: str, place: int, told_id: Raw) -> None:
        super().__init__(events, item_id, place)
        self._told_id = told_id
        self._key = NULL
        self._marks: dict[str, Raw] = {}

    def json(self, status: bytes) -> bytes:
        summary = b",".join([part.json() for part in self.parts if part.kind == _SUMMARY])
        content = b",".join([part.json() for part in self.parts if part.kind == _THOUGHT])
        told = b'{"id":"%b","type":"reasoning","status":"%b","summary":[%b]' % (self.id, status, summary)
        if content:
            told += b',"content":[%b]' % content
        for name in ("encrypted_content", "signature", "format"):
            if (value := self._marks.get(name)) is not None:
                told += b',"%b":%b' % (name.encode(), bytes(value))
        return told + b"}"

    def fits(self, kind: str, key: Raw, told_id: Raw) -> bool:
        """Whether a piece of this kind (summary, text, signature, encrypted) can come next in here."""
        if "encrypted_content" in self._marks or told_id not in (NULL, self._told_id):
            return False
        if kind == "encrypted":
            return True
        if "signature" in self._marks:
            return False
        has_text = bool(self.parts) and self.parts[-1].kind == _THOUGHT
        return not has_text if kind == "summary" else not has_text or key == self._key

    def summarise(self, text: bytes, key: Raw) -> bytes:
        return self._think(_SUMMARY, text, key)

    def think(self, text: bytes, key: Raw) -> bytes:
        return self._think(_THOUGHT, text, key)

    def sign(self, signature: Raw) -> None:
        self._marks["signature"] = signature

    def encrypt(self, data: Raw) -> None:
        self._marks["encrypted_content"] = data

    def note_format(self, told: Raw) -> None:
        if told not in (NULL, _UNKNOWN):
            self._marks["format"] = told

    def _think(self, kind: bytes, text: bytes, key: Raw) -> bytes:
        part = self._open
        if part is not None and part.kind is kind and key == self._key:
            return self._add(part, text)
        self._key = key
        begun, part = self._begin_part(kind)
        return begun + self._add(part, text)
