"""The beginning of a stream of server-sent events: whether it has content yet.

Comments are signs of life; chunks that only name the role, or hold nothing at all (Azure's first one), are the frame
of a reply. With either the caller has been given nothing that another endpoint could not give as well.
"""

import re

import msgspec

HELD_FRAMES = 64
HELD_BYTES = 262_144
"""Beyond either it counts as content: nobody begins a reply like that."""

_COMMENTS = re.compile(rb"(?:(?::[^\r\n]*)?(?:\r\n|\r|\n))*+(?::[^\r\n]*)?")
_BORDER = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINE = re.compile(rb"\r\n|\r|\n")
_FIELDS = (b":", b"data:", b"event:", b"id:", b"retry:")
_NOTHING = frozenset((b"null", b'""', b"[]", b"{}"))
_FRAME = frozenset(("role",))
_NULL = msgspec.Raw(b"null")


class _Choice(msgspec.Struct):
    delta: dict[str, msgspec.Raw] | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL


_CHUNK = msgspec.json.Decoder(_Chunk)


def is_only_frame(data: bytes) -> bool:
    """Whether the beginning of a stream holds no content: nothing but comments, empty lines and empty chunks.

    What is no stream of chat chunks counts as content, and so does an error, or the end.
    """
    if data[:1] in (b":", b"\r", b"\n", b"") and _COMMENTS.fullmatch(data) is not None:
        return True
    if len(data) > HELD_BYTES or not _may_go_on(data):
        return False
    start = 0
    for number, border in enumerate(_BORDER.finditer(data)):
        if number == HELD_FRAMES or not _is_empty(data[start : border.start()]):
            return False
        start = border.end()
    return _may_go_on(data[start:])


def first_error(data: bytes) -> bytes | None:
    """Return the JSON of an error that a reply (a stream, or one in a piece) begins with, before any content."""
    if data.lstrip()[:9] == b'{"error":':
        return data
    if b'"error"' not in data or not data.lstrip(b"\r\n").startswith(_FIELDS):
        return None
    start = 0
    for border in _BORDER.finditer(data, 0, HELD_BYTES):
        event = data[start : border.start()]
        if not _is_empty(event):
            told = _data(event)
            chunk = _decoded(told)
            return told if chunk is not None and chunk.error != _NULL else None
        start = border.end()
    return None


def last_error(data: bytes) -> bytes | None:
    """Return the JSON of an error event in the end of a stream: a provider that fails after content says so there.

    In what a model writes quotes come with a backslash, so that most streams are not looked into.
    """
    if b'"error"' not in data:
        return None
    for event in reversed(_BORDER.split(data)):
        told = _data(event)
        chunk = _decoded(told)
        if chunk is not None and (chunk.error != _NULL or any(one.finish_reason == "error" for one in chunk.choices)):
            return told
    return None


def _data(event: bytes) -> bytes:
    return b"\n".join(line[5:] for line in _LINE.split(event) if line.startswith(b"data:")).strip()


def _decoded(told: bytes) -> _Chunk | None:
    try:
        return _CHUNK.decode(told)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _is_empty(event: bytes) -> bool:
    """Whether an event has no content. One with a line that is none of a stream's is no event."""
    if not all(line.startswith(_FIELDS) for line in _LINE.split(event) if line):
        return False
    told = _data(event)
    if not told:
        return True
    chunk = _decoded(told)
    if chunk is None or chunk.usage != _NULL or chunk.error != _NULL:
        return False
    return all(
        choice.finish_reason is None
        and all(name in _FRAME or bytes(value) in _NOTHING for name, value in (choice.delta or {}).items())
        for choice in chunk.choices
    )


def _may_go_on(rest: bytes) -> bool:
    """Whether a part of an event, with empty lines before it, may still turn out to be empty."""
    rest = rest.lstrip(b"\r\n")
    return not rest or any(rest.startswith(field[: len(rest)]) for field in _FIELDS)
