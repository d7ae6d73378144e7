"""Items of a Response's output that a model does rather than says: calls of tools, and pictures."""

from typing import Final

import msgspec
from msgspec import Raw

from fairlead.wire.openrouter_shape import UNREADABLE, encode
from fairlead.wire.responses_item import COMPLETED, IN_PROGRESS, Events, Item
from fairlead.wire.responses_tools import Tool


class _Input(msgspec.Struct):
    input: str


_INPUT: Final = msgspec.json.Decoder(_Input)


class Call(Item):
    """`tool` is what the caller knows the function as, if that is not a function of the same name.

    A custom tool's input is told at the end, and in one piece: it stands inside the arguments, as JSON in a string.
    """

    __slots__ = ("_arguments", "_call_id", "_input", "_name", "_tool", "extra")

    def __init__(self, events: Events, item_id: str, place: int, call_id: Raw, name: Raw, tool: Tool | None) -> None:
        super().__init__(events, item_id, place)
        self._call_id = call_id
        self._name = name if tool is None else Raw(encode(tool.name))
        self._tool = tool
        self._arguments: list[bytes] = []
        self._input = b'""'
        self.extra: Raw | None = None
        """`extra_content`, where Google signs what the model thought before the call."""

    @property
    def _is_custom(self) -> bool:
        return self._tool is not None and self._tool.kind == "custom"

    def json(self, status: bytes) -> bytes:
        more = b""
        if self._tool is not None and self._tool.namespace:
            more += b',"namespace":' + encode(self._tool.namespace)
        if self.extra is not None:
            more += b',"extra_content":' + bytes(self.extra)
        kind, name = (b"custom_tool_call", b"input") if self._is_custom else (b"function_call", b"arguments")
        return b'{"id":"%b","type":"%b","status":"%b","call_id":%b,"name":%b,"%b":%b%b}' % (
            self.id,
            kind,
            status,
            bytes(self._call_id),
            bytes(self._name),
            name,
            self._told(),
            more,
        )

    def argue(self, arguments: Raw) -> bytes:
        self._arguments.append(bytes(arguments)[1:-1])
        if self._is_custom:
            return b""
        return self._within(b"response.function_call_arguments.delta", b'"delta":%b' % bytes(arguments))

    def _told(self) -> bytes:
        return self._input if self._is_custom else b'"%b"' % b"".join(self._arguments)

    def _end(self) -> bytes:
        arguments = b'"%b"' % b"".join(self._arguments)
        if not self._is_custom:
            members = b'"name":%b,"arguments":%b' % (bytes(self._name), arguments)
            return self._within(b"response.function_call_arguments.done", members)
        self._input = told = _input_in(arguments)
        said = self._within(b"response.custom_tool_call_input.delta", b'"delta":%b' % told) if told != b'""' else b""
        return said + self._within(b"response.custom_tool_call_input.done", b'"input":%b' % told)


def _input_in(arguments: bytes) -> bytes:
    """Return a custom tool's input (JSON) out of arguments (JSON in a JSON string)."""
    try:
        return encode(_INPUT.decode(msgspec.json.decode(arguments, type=str)).input)
    except UNREADABLE:  # cut short, or not as it was asked for
        return arguments


class Image(Item):
    """`url` is a data URL, or an address."""

    __slots__ = ("_format", "_result")

    def __init__(self, events: Events, item_id: str, place: int, url: str) -> None:
        super().__init__(events, item_id, place)
        head, _, data = url.partition(";base64,")
        self._format = head.removeprefix("data:image/") if data and head.startswith("data:image/") else ""
        self._result = encode(data if self._format else url)

    def json(self, status: bytes) -> bytes:
        result = b"null" if status == IN_PROGRESS else self._result
        form = b',"output_format":%b' % encode(self._format) if self._format else b""
        return b'{"id":"%b","type":"image_generation_call","status":"%b","result":%b%b}' % (
            self.id,
            IN_PROGRESS if status == IN_PROGRESS else COMPLETED,
            result,
            form,
        )

    def _end(self) -> bytes:
        return self._events.event(
            b"response.image_generation_call.completed", b'"item_id":"%b","output_index":%d' % (self.id, self.place)
        )
