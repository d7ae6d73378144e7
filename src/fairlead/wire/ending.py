"""What the end of a reply tells of it: that it is whole, why the model stopped, what the provider calls the reply.

All are looked for in bytes that may begin and break off anywhere. Quotes in a model's own text come with a backslash,
so that it cannot pass for a member.
"""

import re

import msgspec

MOST_REASON_CHARS = 64
MOST_ID_CHARS = 256

_FINISH = b'"finish_reason"'
_FINISH_REASON = re.compile(rb'"finish_reason"\s{0,8}:\s{0,8}"([^"\\]{1,64})"')
_FIRST_MEMBER = re.compile(rb'\s{0,8}\{\s{0,8}"id"\s{0,8}:\s{0,8}"([^"\\]{1,256})"')


_DONE = (b"data: [DONE]", b"data:[DONE]")


class _Named(msgspec.Struct):
    id: str = ""


class _Choice(msgspec.Struct):
    index: int = 0
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []


class _Whole(msgspec.Struct):
    id: str = ""
    choices: list[_Choice] = []


_NAMED = msgspec.json.Decoder(_Named)
_CHUNK = msgspec.json.Decoder(_Chunk)
_WHOLE = msgspec.json.Decoder(_Whole)


def is_done(tail: bytes) -> bool:
    """Whether a stream that ends like this has said that there is no more."""
    return tail.rstrip().endswith(_DONE)


def is_whole(tail: bytes) -> bool:
    """Whether a stream of one answer that ends like this says that it is whole: by `[DONE]`, or by a finish reason.

    Some providers leave out one of them. With neither nobody can tell it from one that was cut off.
    """
    return is_done(tail) or finish_reason(tail) != ""


def ended_in(event: bytes) -> set[int]:
    """Return the numbers of the choices for which an event of a stream, whole and with LF in it, tells the reason."""
    if _FINISH_REASON.search(event) is None:  # nearly always
        return set()
    try:
        chunk = _CHUNK.decode(b"\n".join(line[5:] for line in event.split(b"\n") if line.startswith(b"data:")))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return set()
    return {choice.index for choice in chunk.choices if choice.finish_reason}


def reason_and_id(reply: bytes) -> tuple[str, str]:
    """Return `finish_reason` and `reply_id` of a whole reply, found in one go where it is made as usual."""
    try:
        whole = _WHOLE.decode(reply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return finish_reason(reply), reply_id(reply)
    reason = next((choice.finish_reason for choice in reversed(whole.choices) if choice.finish_reason), "")
    return reason[:MOST_REASON_CHARS], whole.id[:MOST_ID_CHARS]


def finish_reason(tail: bytes) -> str:
    """Return the last finish reason in a reply, or in the end of one; empty if it tells none."""
    at = tail.rfind(_FINISH)
    while at >= 0:
        if (found := _FINISH_REASON.match(tail, at)) is not None:
            return found[1].decode("utf-8", "replace")
        at = tail.rfind(_FINISH, 0, at)
    return ""


def reply_id(part: bytes) -> str:
    """Return the `id` of a whole reply, or of an event in a part of a stream; empty if it has none."""
    first, *events = part.split(b"\ndata:")
    for event in (*events, first.removeprefix(b"data:")):  # what comes first may have lost its beginning
        if found := _id(event):
            return found
    return ""


def _id(event: bytes) -> str:
    if (found := _FIRST_MEMBER.match(event)) is not None:  # where nearly all have it
        return found[1].decode("utf-8", "replace")
    try:
        return _NAMED.decode(event).id[:MOST_ID_CHARS]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
