"""Tool calls as OpenRouter tells them: whole ones complete, parts of streamed ones numbered, nothing null in either.

Several providers send null or an empty string for what a part does not tell again, and strict clients (OpenRouter's own
and the AI SDK's provider) take a string or nothing.
"""

from msgspec import Raw

from fairlead.wire.openrouter_shape import EMPTY, MEMBERS, NULL, OBJECTS, Members, encode

_FUNCTION = Raw(b'"function"')
_NO_FUNCTION: Members = {"name": EMPTY, "arguments": EMPTY}


def whole_calls(told: Raw) -> list[Members]:
    """Return the calls of a message. Raises one of UNREADABLE for what are none."""
    calls = []
    for one in OBJECTS.decode(told):
        call = {"type": _FUNCTION, **_without(one, NULL)}
        if "function" in call:
            call["function"] = {**_NO_FUNCTION, **_function(call["function"])}
        calls.append(call)
    return calls


class CallParts:
    """The calls of one stream. Clients put the parts of a call together by its `index`; not every provider tells it."""

    __slots__ = ("_id", "begun")

    def __init__(self) -> None:
        self.begun = 0
        """How many calls there have been so far."""
        self._id: Raw | None = None

    def adapted(self, told: Raw) -> list[Members]:
        """Return the parts of calls in a delta. Raises one of UNREADABLE for what are none."""
        parts = []
        for one in OBJECTS.decode(told):
            part = _without(one, NULL)
            if part.get("id") == EMPTY:
                del part["id"]
            if part.get("id", self._id) != self._id or not self.begun:
                self._id = part.get("id")
                self.begun += 1
                part.setdefault("type", _FUNCTION)
            if "function" in part:
                part["function"] = _function(part["function"])
            parts.append({"index": self.begun - 1, **part})
        return parts


def _function(told: Raw) -> Members:
    function = _without(MEMBERS.decode(told), NULL)
    arguments = function.get("arguments", EMPTY)
    if bytes(memoryview(arguments)[:1]) == b"{":  # an object, where JSON in a string is asked for
        function["arguments"] = Raw(encode(bytes(arguments).decode()))
    return function


def _without(said: Members, value: Raw) -> Members:
    return {name: one for name, one in said.items() if one != value}
