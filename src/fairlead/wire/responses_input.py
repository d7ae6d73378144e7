"""The input of a Responses request as the messages of a chat.

What an assistant does in a turn stands in several items there and in one message here: its reasoning, what it says, and
the functions that it calls. They are put together as long as nothing else comes between; a message of the assistant's
right after another begins a new one, unless functions have been called, whose results have to follow at once in chat.

Reasoning goes back as `reasoning`, and if it is more than plain text (signed, encrypted, a summary), which its provider
wants to see again unchanged, as `reasoning_details` too. The developer's instructions become the system's: that role
every provider knows.
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Raw

from fairlead.errors import ApiError
from fairlead.wire.openrouter_shape import ASSISTANT, EMPTY, NULL, Members, encode
from fairlead.wire.responses_parts import content_of, joined, texts_of
from fairlead.wire.responses_read import first_byte, given, needed, objects_of, string, text_of, wrong
from fairlead.wire.responses_tools import chat_name

OUR_REASONING: Final = "rs_gen-"
"""What the ids begin with that we make for reasoning which its provider has given none."""

_SYSTEM: Final = Raw(b'"system"')
_ROLES: Final[Mapping[str, Raw]] = {"system": _SYSTEM, "developer": _SYSTEM, "user": Raw(b'"user"')}
_EMPTY_LINE: Final = Raw(b'"\\n\\n"')


def messages_of(told: Raw, instructions: Raw | None) -> bytes:
    """Return the messages (JSON) for the member `input`. Raises ApiError 400 for what cannot be translated."""
    chat = _Chat()
    if instructions is not None:
        chat.messages.append({"role": _SYSTEM, "content": string(instructions, "instructions")})
    if first_byte(told) == b'"':
        chat.messages.append({"role": _ROLES["user"], "content": told})
    else:
        for index, item in enumerate(objects_of(told, "input")):
            chat.add(item, f"input[{index}]")
        chat.end_turn()
    return encode(chat.messages)


class _Turn:
    """What the assistant does before anybody else does anything."""

    __slots__ = ("calls", "details", "images", "refusals", "texts", "thoughts")

    def __init__(self) -> None:
        self.texts: list[Raw] = []
        self.refusals: list[Raw] = []
        self.thoughts: list[Raw] = []
        self.details: list[Members] = []
        self.images: list[Members] = []
        self.calls: list[Members] = []

    @property
    def has_spoken(self) -> bool:
        return bool(self.texts or self.refusals or self.images)

    def message(self) -> Members:
        message: Members = {"role": ASSISTANT, "content": _paragraphs(self.texts) if self.texts else NULL}
        if self.refusals:
            message["refusal"] = joined(self.refusals)
        if self.thoughts:
            message["reasoning"] = _paragraphs(self.thoughts)
        if any(detail["type"] != "reasoning.text" or "signature" in detail for detail in self.details):
            message["reasoning_details"] = [{**detail, "index": index} for index, detail in enumerate(self.details)]
        if self.images:
            message["images"] = self.images
        if self.calls:
            message["tool_calls"] = self.calls
        return message


class _Chat:
    __slots__ = ("_turn", "messages")

    def __init__(self) -> None:
        self.messages: list[Members] = []
        self._turn = _Turn()

    def add(self, item: Members, where: str) -> None:
        found = given(item, "type")
        if found is None and given(item, "role") is None:
            raise ApiError(400, f"'{where}' has neither a type nor a role: send an item, or a message", param=where)
        kind = "message" if found is None else text_of(found, f"{where}.type")
        add = _ITEMS.get(kind)
        if add is not None:
            add(self, item, where)
        elif not kind.startswith(_SAY_NOTHING):
            told = f"items of type {kind[:100]!r} cannot be used here: take messages, reasoning, calls and their output"
            raise wrong(f"{where}.type", _REFUSED.get(kind, told))

    def end_turn(self) -> None:
        """What has only been thought belongs to no message, and goes."""
        if self._turn.has_spoken or self._turn.calls:
            self.messages.append(self._turn.message())
        self._turn = _Turn()

    def _message(self, item: Members, where: str) -> None:
        role = text_of(needed(item, "role", where), f"{where}.role")
        content, inside = needed(item, "content", where), f"{where}.content"
        if role == "assistant":
            if self._turn.has_spoken and not self._turn.calls:
                self.end_turn()
            texts, refusals = texts_of(content, inside)
            if texts or not refusals:
                self._turn.texts.append(joined(texts))
            self._turn.refusals += refusals
        elif role in _ROLES:
            self.end_turn()
            self.messages.append({"role": _ROLES[role], "content": content_of(content, inside)})
        else:
            hint = " (results of tools are items of type 'function_call_output')" if role == "tool" else ""
            text = f"it must be 'user', 'assistant', 'system' or 'developer', not {role[:100]!r}{hint}"
            raise wrong(f"{where}.role", text)

    def _reasoning(self, item: Members, where: str) -> None:
        if self._turn.has_spoken and not self._turn.calls:
            self.end_turn()
        shared = {"format": item["format"]} if given(item, "format") is not None else {}
        named = given(item, "id")
        if named is not None and not text_of(named, f"{where}.id").startswith(OUR_REASONING):
            shared["id"] = named
        summary, content = _texts(item, "summary", where), _texts(item, "content", where)
        details: list[Members] = [{"type": "reasoning.summary", "summary": text, **shared} for text in summary]
        details += [{"type": "reasoning.text", "text": text, **shared} for text in content]
        if (signature := given(item, "signature")) is not None:
            if not content:
                details.append({"type": "reasoning.text", **shared})
            details[-1]["signature"] = string(signature, f"{where}.signature")
        if (data := given(item, "encrypted_content")) not in (None, EMPTY):
            data = string(needed(item, "encrypted_content", where), f"{where}.encrypted_content")
            details.append({"type": "reasoning.encrypted", "data": data, **shared})
        self._turn.details += details
        if content or summary:
            self._turn.thoughts.append(joined(content) if content else _paragraphs(summary))

    def _function_call(self, item: Members, where: str) -> None:
        self._call(item, where, string(needed(item, "arguments", where), f"{where}.arguments"))

    def _custom_call(self, item: Members, where: str) -> None:
        given_input = string(needed(item, "input", where), f"{where}.input")
        self._call(item, where, Raw(encode(f'{{"input":{bytes(given_input).decode()}}}')))

    def _call(self, item: Members, where: str, arguments: Raw) -> None:
        namespace = given(item, "namespace")
        name = text_of(needed(item, "name", where), f"{where}.name")
        flat = chat_name(name, "" if namespace is None else text_of(namespace, f"{where}.namespace"))
        call_id = string(needed(item, "call_id", where), f"{where}.call_id")
        function = {"name": flat, "arguments": arguments}
        self._turn.calls.append({"id": call_id, "type": "function", "function": function})

    def _result(self, item: Members, where: str) -> None:
        self.end_turn()
        call_id = string(needed(item, "call_id", where), f"{where}.call_id")
        output = content_of(needed(item, "output", where), f"{where}.output")
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": output})

    def _image(self, item: Members, where: str) -> None:
        if (found := given(item, "result")) is None:
            return
        picture = text_of(found, f"{where}.result")
        if not picture.startswith(("data:", "http:", "https:")):
            kind = given(item, "output_format")
            name = "png" if kind is None else text_of(kind, f"{where}.output_format")[:20]
            picture = f"data:image/{name};base64,{picture}"
        self._turn.images.append({"type": "image_url", "image_url": {"url": picture}})


def _paragraphs(texts: list[Raw]) -> Raw:
    return joined([one for text in texts for one in (_EMPTY_LINE, text)][1:])


def _texts(item: Members, name: str, where: str) -> list[Raw]:
    """Return the texts of a reasoning item's summary or content."""
    found = given(item, name)
    if found is None:
        return []
    inside = f"{where}.{name}"
    parts = enumerate(objects_of(found, inside))
    return [string(needed(part, "text", f"{inside}[{at}]"), f"{inside}[{at}].text") for at, part in parts]


_ITEMS: Final[Mapping[str, Callable[[_Chat, Members, str], None]]] = {
    "message": _Chat._message,
    "reasoning": _Chat._reasoning,
    "function_call": _Chat._function_call,
    "function_call_output": _Chat._result,
    "custom_tool_call": _Chat._custom_call,
    "custom_tool_call_output": _Chat._result,
    "image_generation_call": _Chat._image,
}
_SAY_NOTHING: Final = ("web_search_call", "openrouter:")
"""Items of tools that the gateway or a provider has run: what they have found stands in the answer that follows."""
_REFUSED: Final[Mapping[str, str]] = {
    "item_reference": "items are not kept here, so none can be referred to: send the item itself",
    "compaction": "it can be read by its maker only: send the items that it stands for",
}
