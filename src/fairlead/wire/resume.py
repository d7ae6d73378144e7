"""Verified resume: a stream that has broken off is asked for again, and goes on where the caller's text ends.

What is asked again begins anew. Its text is swallowed as long as it is, character by character, what the caller has
already; the first that is new is passed on, and from there on everything as it comes. At the first difference there is
no going on: the two are different answers, and the caller's text is always the beginning of one that a provider gave.

Text is what a caller would put together: content, refusal, reasoning, names and arguments of calls, each by itself. One
of them may only go on where all others have been caught up with. What a provider numbers by chance (ids of the reply
and of its calls) need not be the same: the caller keeps the first.
"""

from typing import Final

import msgspec
from msgspec import Raw

from fairlead.wire.event_frames import EventFrames, fields_of
from fairlead.wire.openrouter_shape import MEMBERS, NOTHING, NULL, OBJECTS, UNREADABLE, Members, encode

_TEXTS: Final = {"content": "content", "refusal": "refusal", "reasoning": "reasoning", "reasoning_content": "reasoning"}
"""Members of a delta that are text. Both names of reasoning are one text, told twice by some."""
_SAID_ELSEWHERE: Final = frozenset(("role", "reasoning_details", "annotations"))
"""Without text of their own: swallowed with it."""
_TEXT = msgspec.json.Decoder(str)

Place = tuple[str, int]
"""Which text: its name, and of which call."""


class NotResumable(Exception):
    """What the caller has been given cannot be compared with another reply."""


class Resumption:
    """Follows a stream that was asked for again, given what of the broken one has been passed on.

    Raises NotResumable for what is no single answer of text and calls, or has told its end already.
    """

    __slots__ = ("_frames", "_left", "has_diverged", "is_caught_up", "text_bytes")

    def __init__(self, had: bytes) -> None:
        self.has_diverged = False
        """It is another answer: nothing more is passed on."""
        self.is_caught_up = False
        self._frames = EventFrames()
        self._left = _texts_of(had)
        """What the caller has and the new stream has not come to yet."""
        self.text_bytes = sum(map(len, self._left.values()))

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the new stream and return what the caller does not have, by whole events."""
        said = b"".join([self._event(event) for event in self._frames.feed(data)])
        self.has_diverged = self.has_diverged or self._frames.is_too_long
        return said

    def _event(self, event: bytes) -> bytes:
        if self.is_caught_up:
            return event + b"\n\n"
        return b"" if self.has_diverged else self._follow(event)

    def _follow(self, event: bytes) -> bytes:
        passed = []
        for payload in fields_of(event)[1]:
            try:
                told = self._payload(payload)
            except (*UNREADABLE, NotResumable):
                told = None
            if told is None:
                self.has_diverged = True
                break
            passed.append(told)
        return b"".join(passed)

    def _payload(self, payload: bytes) -> bytes | None:
        """Return what is new in a chunk; None if it cannot be the same answer."""
        if payload.strip() == b"[DONE]":
            return None  # shorter than what the caller has
        members = MEMBERS.decode(payload)
        if members.get("error", NULL) != NULL:
            return None
        choices = OBJECTS.decode(members.get("choices", NOTHING))
        if not choices:
            return b"" if members.get("usage", NULL) == NULL else None
        choice = _only(choices)
        texts, rest = _parts(choice)
        new: dict[Place, str] = {}
        for place, text in texts:
            left = self._left.get(place, "")
            if not text.startswith(left[: len(text)]):
                return None
            if left and len(text) > len(left) and place[0] == "name":
                return None  # a name that comes in parts: some clients take each for a whole one
            self._left[place] = left[len(text) :]
            if len(text) > len(left):
                new[place] = text[len(left) :]
        is_behind = any(self._left.values())
        has_ended = choice.get("finish_reason", NULL) != NULL
        if is_behind:
            return None if new or has_ended else b""
        self.is_caught_up = True
        if not new and not has_ended:
            return b""
        choice["delta"] = Raw(encode(_delta(new, rest)))
        members["choices"] = Raw(encode([choice]))
        return b"data: %b\n\n" % encode(members)


def _texts_of(had: bytes) -> dict[Place, str]:
    found: dict[Place, list[str]] = {}
    try:
        for event in EventFrames().feed(had):
            for payload in fields_of(event)[1]:
                members = MEMBERS.decode(payload)
                choices = OBJECTS.decode(members.get("choices", NOTHING))
                if members.get("error", NULL) != NULL or members.get("usage", NULL) != NULL:
                    raise NotResumable("it has told its end")
                if not choices:
                    continue
                choice = _only(choices)
                if choice.get("finish_reason", NULL) != NULL:
                    raise NotResumable("it has told its end")
                for place, text in _parts(choice)[0]:
                    found.setdefault(place, []).append(text)
    except UNREADABLE:
        raise NotResumable("it is not text") from None
    return {place: "".join(texts) for place, texts in found.items()}


def _only(choices: list[Members]) -> Members:
    if len(choices) > 1 or choices[0].get("index", Raw(b"0")) != Raw(b"0"):
        raise NotResumable("it has several answers")
    return choices[0]


def _parts(choice: Members) -> tuple[list[tuple[Place, str]], Members]:
    """Return the texts of a chunk's delta, and its calls as far as they are no text, by index."""
    delta = MEMBERS.decode(choice.get("delta") or Raw(b"{}"))
    texts: dict[Place, str] = {}
    calls: Members = {}
    for name, value in delta.items():
        if name in _SAID_ELSEWHERE or value in (NULL, NOTHING):
            continue
        if name in _TEXTS:
            texts[_TEXTS[name], 0] = _TEXT.decode(value)
        elif name == "tool_calls":
            for call in OBJECTS.decode(value):
                number = msgspec.json.decode(call.get("index", Raw(b"0")), type=int)
                function = MEMBERS.decode(call.get("function") or Raw(b"{}"))
                for part in ("name", "arguments"):
                    if function.get(part, NULL) != NULL:
                        texts[part, number] = texts.get((part, number), "") + _TEXT.decode(function[part])
                calls[str(number)] = call
        else:
            raise NotResumable(f"it has {name}")
    return list(texts.items()), calls


def _delta(new: dict[Place, str], calls: Members) -> Members:
    """Return the delta that says what is new. A call of which the caller has a part is not begun again."""
    delta: Members = {name: text for (name, _), text in new.items() if name not in ("name", "arguments")}
    told = []
    for number in sorted({number for name, number in new if name in ("name", "arguments")}):
        call = dict(calls[str(number)])
        function = {part: new[part, number] for part in ("name", "arguments") if (part, number) in new}
        if "name" not in function:
            call = {"index": number}
        told.append({**call, "function": function})
    if told:
        delta["tool_calls"] = told
    return delta
