"""Which conversation a request belongs to: what all of its turns have in common (wire-api, section 7.6).

What the caller calls it (`session_id`, in the body or else in the head; else `prompt_cache_key`), or how it began: its
instructions and what was said first. Those are looked for without decoding the messages; whatever the bytes are,
nothing here raises.
"""

import re
import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

MemberOf = Callable[[str], bytes | None]
"""Returns a member of the body as it was sent (JSON), None if there is none: `ChatRequest.member`."""

_ROLE: Final = re.compile(rb'"role"[ \t\r\n]{0,8}:[ \t\r\n]{0,8}"(\w{1,16})"')
_CONTENT: Final = re.compile(
    rb'(?s)[ \t\r\n]{0,8},[ \t\r\n]{0,8}"content"[ \t\r\n]{0,8}:[ \t\r\n]{0,8}"(?:[^"\\]++|\\.)*+"'
)

MOST_TRIES: Final = 16
_IDENTITY_BYTES: Final = 4_096
"""Of either part of a conversation's beginning; more would tell no more."""


class Conversation(NamedTuple):
    """`number` is not 0; `is_session`: the caller has said that it is one, by `session_id`."""

    number: int
    is_session: bool


NO_CONVERSATION = Conversation(0, False)


def conversation_of(member: MemberOf, session: bytes = b"") -> Conversation:
    """Return the conversation of a chat request; `session` is what it calls it (in body or head), b"" if nothing."""
    if session:
        return Conversation(zlib.crc32(session) or 1, True)
    named = member("prompt_cache_key")
    if named and named not in (b"null", b'""'):
        return Conversation(zlib.crc32(named) or 1, False)
    messages = member("messages") or b"[]"
    return Conversation(number_of(messages, *opening(messages)), False)


def opening(messages: bytes) -> tuple[int, int]:
    """Return where the first message begins that is not the system's, and where it ends."""
    at = messages.find(b'"role"')
    is_role_first = at >= 0 and not messages[: min(at, 64)].strip(b"[{ \t\r\n")
    begin = 0
    for _ in range(MOST_TRIES):
        role = _ROLE.match(messages, at) if at >= 0 else None
        if role is None:
            break
        if is_role_first:
            begin = at
        if role[1] not in (b"system", b"developer"):
            return begin, text_end(messages, role.end(), begin + _IDENTITY_BYTES) if is_role_first else role.end()
        begin, at = role.end(), messages.find(b'"role"', role.end())
    return 0, len(messages)


def number_of(messages: bytes, begin: int, end: int) -> int:
    """Of the instructions and of what is said first, which stay as they are as long as a conversation goes on."""
    said = messages[begin : min(end, begin + _IDENTITY_BYTES)].rstrip(b'[]{}," \t\r\n')
    return zlib.crc32(said, zlib.crc32(messages[: min(begin, _IDENTITY_BYTES)])) or 1


def text_end(messages: bytes, at: int, most: int) -> int:
    """Return where a message ends whose role ends at `at`: with its text, or about where the next begins."""
    following = messages.find(b'"role"', at)
    if following < 0:
        return len(messages)
    # SDKs write what they have received with the role last: the next role may stand behind another message's text.
    text = _CONTENT.match(messages, at, min(following, most))
    return text.end() if text else min(following, most)
