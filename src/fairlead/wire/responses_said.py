"""What a message of a chat reply, or a delta of one, says of what a Response tells.

Providers have what they like in a reply: what is not of the shape that it should have says nothing.
"""

from typing import Final, TypeVar

import msgspec
from msgspec import Raw

from fairlead.wire.openrouter_shape import EMPTY, MEMBERS, NULL, OBJECTS, UNREADABLE, Members, encode
from fairlead.wire.responses_read import first_byte


class Said(msgspec.Struct):
    """A message of a chat reply, or a delta of one."""

    content: Raw = NULL
    refusal: Raw = NULL
    reasoning: Raw = NULL
    reasoning_details: Raw = NULL
    annotations: Raw = NULL
    images: Raw = NULL
    tool_calls: Raw = NULL

    def size(self) -> int:
        """Return how many bytes of JSON say that."""
        told = (
            self.content, self.refusal, self.reasoning, self.reasoning_details, self.annotations, self.images,
            self.tool_calls,
        )  # fmt: skip
        return sum([len(memoryview(one)) for one in told if one not in (NULL, EMPTY)])


class Detail(msgspec.Struct):
    """Of reasoning: wire-api, section 3.5."""

    type: str = ""
    text: Raw = NULL
    summary: Raw = NULL
    data: Raw = NULL
    signature: Raw = NULL
    format: Raw = NULL
    id: Raw = NULL
    index: Raw = NULL

    def pieces(self) -> list[tuple[str, Raw]]:
        """Return what it tells, and which kind of thing that is, in the order in which an item has them."""
        if self.type == "reasoning.text":
            found = [("text", self.text), ("signature", self.signature)]
        elif self.type == "reasoning.summary":
            found = [("summary", self.summary)]
        elif self.type == "reasoning.encrypted":
            found = [("encrypted", self.data)]
        else:
            return []
        return [(kind, value) for kind, value in found if is_text(value)]


class _Function(msgspec.Struct):
    name: Raw = NULL
    arguments: Raw = NULL


class CallPart(msgspec.Struct):
    index: Raw = NULL
    id: Raw = NULL
    function: _Function | None = None
    extra_content: Raw = NULL


class _Logprobs(msgspec.Struct):
    content: Raw = NULL


class _Url(msgspec.Struct):
    url: str = ""


class Shown(msgspec.Struct):
    """An image, or another part of content."""

    type: str = ""
    text: Raw = NULL
    image_url: _Url | None = None


_DETAILS: Final = msgspec.json.Decoder(list[Detail])
_CALLS: Final = msgspec.json.Decoder(list[CallPart])
_SHOWN: Final = msgspec.json.Decoder(list[Shown])
_LOGPROBS: Final = msgspec.json.Decoder(_Logprobs | None)
_TEXT: Final = msgspec.json.Decoder(str)
_NO_PLACE: Final[Members] = {"title": "", "start_index": 0, "end_index": 0}


def is_text(told: Raw) -> bool:
    """Whether it is a string that says something."""
    return told is not NULL and told != EMPTY and first_byte(told) == b'"'


def plain(text: Raw) -> str:
    """Return what a JSON string says; empty for what is none."""
    return _TEXT.decode(text) if is_text(text) else ""


def details_of(told: Raw) -> list[Detail]:
    return _decoded(_DETAILS, told)


def calls_of(told: Raw) -> list[CallPart]:
    return _decoded(_CALLS, told)


def shown_in(told: Raw) -> list[Shown]:
    return _decoded(_SHOWN, told)


def logprobs_in(told: Raw) -> bytes:
    """Return the log probabilities of a choice (JSON), between commas."""
    try:
        found = _LOGPROBS.decode(told)
    except UNREADABLE:
        return b""
    return b"" if found is None or first_byte(found.content) != b"[" else bytes(found.content)[1:-1].strip()


def annotations_in(told: Raw) -> list[bytes]:
    """Return annotations (JSON) as the Responses API has them, without those that it has no word for."""
    return [found for one in _decoded(OBJECTS, told) if (found := _annotation(one)) is not None]


def _annotation(told: Members) -> bytes | None:
    try:
        kind = _TEXT.decode(told["type"])
        inside = MEMBERS.decode(told[kind]) if kind in told else told
    except (KeyError, *UNREADABLE):
        return None
    known = {name: value for name, value in inside.items() if value != NULL and name != "type"}
    if kind == "url_citation" and is_text(known.get("url", NULL)):
        return encode({"type": kind, **_NO_PLACE, **known})
    if kind == "file" and is_text(known.get("hash", NULL)):
        return encode(
            {"type": "file_citation", "file_id": known["hash"], "filename": known.get("name", ""), "index": 0}
        )
    return None


_Decoded = TypeVar("_Decoded")


def _decoded(decoder: "msgspec.json.Decoder[list[_Decoded]]", told: Raw) -> list[_Decoded]:
    try:
        return decoder.decode(told)
    except UNREADABLE:
        return []
