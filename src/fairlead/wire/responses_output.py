"""The output of one Response, as a chat reply tells it: whole in one message, or piece by piece in deltas.

Both go through here, so that both come to the same items. Of messages and reasoning one is open at a time, and ends
when something else begins: some clients (Codex) know no other way. Calls stay open to the end, for a provider may tell
their arguments by turns.
"""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Raw

from fairlead.wire.openrouter_shape import EMPTY, NULL, encode
from fairlead.wire.responses_call import Call, Image
from fairlead.wire.responses_item import COMPLETED, INCOMPLETE, Events, Item
from fairlead.wire.responses_message import Message, Reasoning
from fairlead.wire.responses_said import (
    CallPart,
    Detail,
    Said,
    annotations_in,
    calls_of,
    details_of,
    is_text,
    logprobs_in,
    plain,
    shown_in,
)
from fairlead.wire.responses_tools import Tool

_ANY: Final = Detail(index=Raw(b"0"))
"""Of reasoning that comes without: such as the gateway tells with it."""

_PLAIN_ID: Final = re.compile(r"[\w.:-]{1,128}", re.ASCII)


class _Begun:
    """A call that the provider has begun to tell. What it is called may come later than the rest."""

    __slots__ = ("arguments", "id", "item")

    def __init__(self) -> None:
        self.id = NULL
        self.arguments: list[Raw] = []
        self.item: Call | None = None


class Output:
    __slots__ = ("_calls", "_events", "_open", "_response_id", "_told_ids", "_tools", "items")

    def __init__(self, response_id: str, tools: Mapping[str, Tool], events: Events) -> None:
        self.items: list[Item] = []
        self._response_id = response_id
        self._tools = tools
        """Those that the caller knows by another name or in another shape than chat does, by chat's name."""
        self._events = events
        self._open: Message | Reasoning | None = None
        self._calls: dict[bytes, _Begun] = {}
        self._told_ids: set[str] = set()
        """Of reasoning and of calls, as the provider has told them: a client counts on each to be there once."""

    def take(self, said: Said, logprobs: Raw = NULL) -> bytes:
        """Return the events of what has been said."""
        told = b""
        if said.reasoning_details is not NULL or said.reasoning is not NULL:
            told = self._reason(said)
        if said.content != NULL:
            told += self._content(said.content, logprobs)
        if said.refusal is not NULL and is_text(said.refusal):
            begun, message = self._message()
            told += begun + message.refuse(bytes(said.refusal))
        if said.annotations is not NULL:
            told += self._annotate(said.annotations)
        if said.images is not NULL:
            told += self._show(said.images)
        if said.tool_calls is not NULL:
            told += self._call(said.tool_calls)
        return told

    def end(self, *, is_cut_short: bool) -> bytes:
        """Return the events that end all that is open. Cut short is what came last."""
        told = b"".join([self._announce(call, EMPTY) for call in self._calls.values()])
        for item in self.items:
            if not item.final:
                told += item.close(INCOMPLETE if is_cut_short and item is self.items[-1] else COMPLETED)
        return told

    def json(self) -> bytes:
        """Return the items, between commas. What has not ended is incomplete."""
        return b",".join([item.final or item.json(INCOMPLETE) for item in self.items])

    def text(self) -> bytes:
        """Return all text of all messages, as a JSON string."""
        return b'"%b"' % b"".join([item.text for item in self.items if isinstance(item, Message)])

    def _begin(self, item: Item) -> bytes:
        before, self._open = self._open, item if isinstance(item, Message | Reasoning) else None
        self.items.append(item)
        return (b"" if before is None else before.close(COMPLETED)) + item.begin()

    def _id(self, kind: str) -> str:
        return f"{kind}_{self._response_id}_{len(self.items)}"

    def _message(self) -> tuple[bytes, Message]:
        """Return the message that is open, or one that these events begin."""
        if isinstance(self._open, Message):
            return b"", self._open
        message = Message(self._events, self._id("msg"), len(self.items))
        return self._begin(message), message

    def _content(self, content: Raw, logprobs: Raw) -> bytes:
        text = bytes(content)
        if not text.startswith(b'"'):
            return self._show(content)
        if len(text) == 2:
            return b""
        begun, message = self._message()
        return begun + message.say(text, logprobs_in(logprobs) if logprobs != NULL else b"")

    def _reason(self, said: Said) -> bytes:
        pieces = [(detail, *piece) for detail in details_of(said.reasoning_details) for piece in detail.pieces()]
        if is_text(said.reasoning) and not any(kind in ("summary", "text") for _, kind, _ in pieces):
            pieces.insert(0, (_ANY, "text", said.reasoning))
        return b"".join([self._think(*piece) for piece in pieces])

    def _think(self, detail: Detail, kind: str, value: Raw) -> bytes:
        item, told = self._open, b""
        if not (isinstance(item, Reasoning) and item.fits(kind, detail.index, detail.id)):
            item = Reasoning(self._events, self._reasoning_id(detail), len(self.items), detail.id)
            told = self._begin(item)
        item.note_format(detail.format)
        if kind == "signature":
            item.sign(value)
        elif kind == "encrypted":
            item.encrypt(value)
        else:
            add = item.summarise if kind == "summary" else item.think
            told += add(bytes(value), detail.index)
        return told

    def _reasoning_id(self, detail: Detail) -> str:
        """The provider's, which it may want to see again; or one of ours."""
        told = plain(detail.id)
        if _PLAIN_ID.fullmatch(told) and told not in self._told_ids:
            self._told_ids.add(told)
            return told
        return self._id("rs")

    def _annotate(self, annotations: Raw) -> bytes:
        told = b""
        for annotation in annotations_in(annotations):
            begun, message = self._message()
            told += begun + message.annotate(annotation)
        return told

    def _show(self, parts: Raw) -> bytes:
        told = b""
        for part in shown_in(parts):
            if part.image_url is not None:
                image = Image(self._events, self._id("ig"), len(self.items), part.image_url.url)
                told += self._begin(image) + image.close(COMPLETED)
            elif part.type == "text" and is_text(part.text):
                begun, message = self._message()
                told += begun + message.say(bytes(part.text), b"")
        return told

    def _call(self, parts: Raw) -> bytes:
        told = b""
        for place, part in enumerate(calls_of(parts)):
            key = b"%d" % place if part.index == NULL else bytes(part.index)
            begun = self._calls.get(key)
            if begun is None or _is_another(begun, part):
                told += b"" if begun is None else self._announce(begun, EMPTY)
                self._calls[key] = begun = _Begun()
            told += self._go_on(begun, part)
        return told

    def _go_on(self, begun: _Begun, part: CallPart) -> bytes:
        told = b""
        if begun.item is None and is_text(part.id):
            begun.id = part.id
        if (function := part.function) is not None:
            if is_text(function.name):
                told = self._announce(begun, function.name)
            if is_text(function.arguments):
                if begun.item is not None:
                    told += begun.item.argue(function.arguments)
                else:
                    begun.arguments.append(function.arguments)
        if part.extra_content != NULL and begun.item is not None:
            begun.item.extra = part.extra_content
        return told

    def _announce(self, begun: _Begun, name: Raw) -> bytes:
        if begun.item is not None:
            return b""
        call_id = begun.id
        if not (told := plain(call_id)) or told in self._told_ids:
            call_id = Raw(encode(self._id("call")))
        self._told_ids.add(told)
        tool = self._tools.get(plain(name)) if self._tools else None
        begun.item = item = Call(self._events, self._id("fc"), len(self.items), call_id, name, tool)
        return self._begin(item) + b"".join([item.argue(one) for one in begun.arguments])


def _is_another(begun: _Begun, part: CallPart) -> bool:
    """Whether a part begins another call by a number that is taken: some providers number all of them 0."""
    is_named = part.function is not None and is_text(part.function.name)
    return is_named and is_text(part.id) and begun.id not in (NULL, part.id)
