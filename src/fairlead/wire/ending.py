"""What the end of a reply tells of it: why the model stopped, and what the provider calls the reply.

Both are looked for in bytes that may begin and break off anywhere. Quotes in a model's own text come with a backslash,
so that it cannot pass for a member.
"""

import re

import msgspec

_FINISH = b'"finish_reason"'
_FINISH_REASON = re.compile(rb'"finish_reason"\s{0,8}:\s{0,8}"([^"\\]{1,64})"')
_FIRST_MEMBER = re.compile(rb'\s{0,8}\{\s{0,8}"id"\s{0,8}:\s{0,8}"([^"\\]{1,256})"')


class _Named(msgspec.Struct):
    id: str = ""


_NAMED = msgspec.json.Decoder(_Named)


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
        return _NAMED.decode(event).id[:256]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
