"""The texts in a chat message: how long they are, and the message with the middles of long ones cut out.

Texts are the `content`, or the text of its parts. Lengths are in bytes, of a text as it stands in JSON without its
quotes. Raises msgspec's DecodeError, or UnicodeDecodeError, for what cannot be read.
"""

from collections.abc import Mapping

import msgspec

MARK = " […] "
"""Stands where something was cut out."""
MARK_BYTES = len(MARK.encode())

_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def text_lengths(message: bytes) -> list[int]:
    """Return the length of each text of a message."""
    content = _members(message).get("content", b"")
    if content.startswith(b'"'):
        return [len(content) - 2]
    if not content.startswith(b"["):
        return []
    texts = [_members(part).get("text", b"") for part in map(bytes, _LIST.decode(content)) if part.startswith(b"{")]
    return [len(text) - 2 for text in texts if text.startswith(b'"')]


def shortened(message: bytes, length: int) -> bytes:
    """Return a message with no more than `length` bytes and a mark left of each text; the same if none is longer."""
    if all(one <= length + MARK_BYTES for one in text_lengths(message)):
        return message
    members = _members(message)
    if members["content"].startswith(b'"'):
        return _object({**members, "content": _cut(members["content"], length)})
    parts = [_shortened_part(bytes(part), length) for part in _LIST.decode(members["content"])]
    return _object({**members, "content": b"[%b]" % b",".join(parts)})


def _shortened_part(part: bytes, length: int) -> bytes:
    if not part.startswith(b"{"):
        return part
    members = _members(part)
    if not members.get("text", b"").startswith(b'"'):
        return part
    return _object({**members, "text": _cut(members["text"], length)})


def _cut(text: bytes, length: int) -> bytes:
    """Return a JSON string with `length` bytes of it left, half of them from each end."""
    if len(text) - 2 <= length + MARK_BYTES:
        return text
    words = msgspec.json.decode(text, type=str)
    head = _beginning(words, length - length // 2)
    tail = _beginning(words[::-1], length // 2)[::-1]
    return msgspec.json.encode(f"{head}{MARK}{tail}")


def _beginning(words: str, most: int) -> str:
    """Return as much of the beginning as takes at most so many bytes in JSON."""
    words = words[:most]
    while (size := len(msgspec.json.encode(words)) - 2) > most:
        words = words[: len(words) * most // size]
    return words


def _members(text: bytes) -> dict[str, bytes]:
    return {name: bytes(value) for name, value in _MEMBERS.decode(text).items()}


def _object(members: Mapping[str, bytes]) -> bytes:
    return b"{%b}" % b",".join(b"%b:%b" % (msgspec.json.encode(name), value) for name, value in members.items())
