"""The body of a chat request: decoded once and only as far as routing needs, changed only where it must be.

`ChatRequest.parse` reads the top level of the object; the values of `messages`, `tools` and whatever else is not ours
stay raw bytes that nobody looks at. `spliced` returns the client's own bytes with single members replaced or added:
big integers, key order, white space and escapes arrive upstream as they were sent.
"""

import codecs
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from fairlead.catalog.dialects import PLAIN, Dialect
from fairlead.errors import ApiError

Buffer = bytes | memoryview

MOST_CHOICES = 128
"""As OpenAI has it."""
MOST_MODELS = 32
"""In `model` and `models` together."""
MOST_NAME_CHARS = 256
"""Of a model's name."""
MOST_MODELS_BYTES = 131_072
"""Of `models`, more than so many names can take: read as a list, 10 MB of short ones took 215 MB."""
MOST_MEMBERS = 1_000
"""Of a body; a request has some dozen. Nobody has use for the rest, and 900 000 held a worker up for 1.8 s."""

ROUTING_MEMBERS = frozenset((
    "models", "route", "provider", "plugins", "transforms", "preset", "session_id", "trace", "debug", "usage",
    "stop_server_tools_when", "deferred_tools", "max_tool_calls",
))  # fmt: skip
"""Of OpenRouter's language: said to the gateway, and refused by providers as unknown."""
_LIMITS = ("max_completion_tokens", "max_tokens")
_EFFORTS = (b"none", b"minimal", b"low", b"medium", b"high", b"xhigh", b"max")

_ENCODER = msgspec.json.Encoder()
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
# Possessive: without it a name of 8 MB took 600 MB to match.
_MEMBER_NAME = re.compile(rb'[ \t\n\r]*[{,][ \t\n\r]*"((?:[^"\\]++|\\.)*+)"[ \t\n\r]*:[ \t\n\r]*')
_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_OBJECT_END = re.compile(rb"[ \t\n\r]*\}[ \t\n\r]*\Z")


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class RoutingFields(msgspec.Struct):
    """The members that routing reads. Types are checked here; everything else is the provider's business."""

    model: str | None = None
    models: list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None


class Debug(msgspec.Struct):
    """Wire-api, section 4.4."""

    echo_upstream_body: bool | None = None


class Reasoning(msgspec.Struct):
    """OpenRouter's way to ask for it: wire-api, section 3.5."""

    effort: str | None = None
    max_tokens: int | None = None
    enabled: bool | None = None
    exclude: bool | None = None


NO_REASONING = Reasoning()
_OPTIONS = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_ROUTING = msgspec.json.Decoder(RoutingFields)
_ROUTING_NAMES = RoutingFields.__struct_fields__


class ChatRequest:
    """One chat completion request as it came in."""

    __slots__ = ("_members", "fields", "is_plain", "is_stream", "max_output_tokens", "model", "models", "raw")

    def __init__(
        self, raw: bytes, members: dict[str, msgspec.Raw], fields: RoutingFields, models: tuple[str, ...]
    ) -> None:
        self.raw = raw
        self.fields = fields
        self.model = models[0]
        self.models = models
        """What may answer, in the order of preference: `model`, then `models`."""
        self.is_stream = fields.stream is True
        self.max_output_tokens = fields.max_completion_tokens or fields.max_tokens
        """What the caller allows the reply to cost, or None."""
        self._members = members
        self.is_plain = ROUTING_MEMBERS.isdisjoint(members)
        """Whether nothing in it is said to the gateway alone."""

    @classmethod
    def parse(cls, raw: bytes) -> "ChatRequest":
        """Decode the top level of `raw`. Raises ApiError 400 that names what is wrong."""
        try:
            members = _MEMBERS.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _unreadable(raw, error) from None
        _check_size(members)
        parts = [b'"%s":%b' % (name.encode(), members[name]) for name in _ROUTING_NAMES if name in members]
        try:
            fields = _ROUTING.decode(b"{%b}" % b",".join(parts))
        except msgspec.DecodeError as error:
            raise _wrong_field(str(error)) from None
        except (UnicodeDecodeError, RecursionError) as error:
            raise _unreadable(raw, error) from None
        models = _models(fields)
        if fields.max_tokens is not None or fields.max_completion_tokens is not None:
            _check_limit(fields)
        if "messages" not in members:
            hint = " ('input' belongs to the Responses API: POST responses)" if "input" in members else ""
            raise ApiError(400, f"'messages' is required: a list of chat messages{hint}", param="messages")
        if memoryview(members["messages"])[0] != ord("["):
            raise ApiError(400, "'messages' must be a list of chat messages", param="messages")
        return cls(raw, members, fields, models)

    def let_go(self) -> None:
        """Forget the body and its members: nobody will be sent it any more."""
        self.raw, self._members = b"", {}

    @property
    def choices(self) -> int:
        """How many replies are asked for at once. What is no number, the provider may refuse."""
        try:
            count = msgspec.json.decode(self._members["n"], type=int)
        except (KeyError, msgspec.DecodeError):
            return 1
        return min(max(count, 1), MOST_CHOICES)

    def named(self, name: str) -> str:
        """Return a member that is a string, cut at 256 characters; empty if there is none, or of another type."""
        member = self._members.get(name)
        if member is None or memoryview(member)[0] != ord('"'):
            return ""
        try:
            return str(msgspec.json.decode(member))[:256]
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ""

    @property
    def names(self) -> Iterable[str]:
        """The names of its members."""
        return self._members

    def member(self, name: str) -> bytes | None:
        """Return a member as it was sent (JSON), None if there is none."""
        found = self._members.get(name)
        return None if found is None else bytes(found)

    def has(self, name: str) -> bool:
        """Whether a member is there, and neither null nor an empty list."""
        found = self._members.get(name)
        if found is None:
            return False
        start = bytes(memoryview(found)[:16])
        return start != b"null" and (len(start) == 16 or start.translate(None, b" \t\r\n") != b"[]")

    def upstream_edits(
        self,
        model_json: bytes,
        *,
        wants_usage: bool,
        dialect: Dialect = PLAIN,
        dropped: frozenset[str] = ROUTING_MEMBERS,
    ) -> dict[str, bytes | None]:
        """Return what must differ upstream: JSON by name, None for a member that has to go.

        The model's name; if `wants_usage`, a stream that ends with usage; the limit on the reply's length by the name
        that the `dialect` has for it; without what the endpoint does not understand (`dropped`).
        """
        members = self._members
        edits: dict[str, bytes | None] = {"model": model_json}
        for name in dropped.intersection(members):
            edits[name] = None
        if self.max_output_tokens is not None:
            self._limit_by_name(edits, dialect.output_limit)
        if not dialect.has_reasoning and "reasoning" in members:
            edits["reasoning"] = None
            if not self.has("reasoning_effort") and "reasoning_effort" not in dropped and (effort := self._effort()):
                edits["reasoning_effort"] = b'"%b"' % effort
        if wants_usage and self.is_stream:
            options = self.fields.stream_options
            if options is None or options.include_usage is not True:
                try:
                    edits["stream_options"] = _with_usage(self._members.get("stream_options"))
                except (UnicodeDecodeError, RecursionError) as error:  # in members that `parse` had no need to look at
                    raise _unreadable(self.raw, error) from None
        return edits

    def _limit_by_name(self, edits: dict[str, bytes | None], name: str | None) -> None:
        """Let the limit on the reply stand there once, as it counts here (`max_output_tokens`), and by this name."""
        there = [one for one in _LIMITS if one in self._members]
        if there == [name]:
            return
        counts = [one for one in _LIMITS if getattr(self.fields, one) is not None]
        if not counts or (name is None and len(counts) == 1):
            return
        name = name or counts[0]
        for one in _LIMITS:
            if one in self._members:
                edits[one] = None
        edits[name] = bytes(self._members[counts[0]])

    @property
    def wants_echo(self) -> bool:
        """Whether the caller wants to see what its provider was sent. Raises ApiError 400 for what cannot be read."""
        if self.is_plain or not self.has("debug"):
            return False
        try:
            return msgspec.json.decode(self._members["debug"], type=Debug).echo_upstream_body is True
        except msgspec.DecodeError as error:
            raise _wrong_field(str(error).replace("`$", "`$.debug")) from None
        except (UnicodeDecodeError, RecursionError) as error:  # it may be called from deeper down than `parse` was
            raise _unreadable(self.raw, error) from None

    @property
    def hides_reasoning(self) -> bool:
        """Whether the caller does not want to read what the model thinks (wire-api, section 3.5)."""
        return self.member("include_reasoning") == b"false" or self._reasoning().exclude is True

    def _reasoning(self) -> Reasoning:
        """Return the `reasoning` object; one that says nothing, if there is none that can be read."""
        if "reasoning" not in self._members:
            return NO_REASONING
        try:
            return msgspec.json.decode(self._members["reasoning"], type=Reasoning | None) or NO_REASONING
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return NO_REASONING

    def _effort(self) -> bytes:
        """Return what the `reasoning` object says in a word, b"" if it says nothing that can be."""
        said = self._reasoning()
        if (effort := (said.effort or "").encode()) in _EFFORTS:
            return effort
        return b"medium" if said.enabled or said.max_tokens else b"none" if said.enabled is False else b""

    def spliced(self, edits: Mapping[str, bytes | None]) -> list[Buffer]:
        """Return the body in parts, with the members of `edits` (name → JSON) replaced, or added at the end.

        A value of None takes its member out.

        The decoder has told the names and values, so the walk only finds each of them where the last one ended: its
        cost depends on the number of members, not on what is in them (but for comparing the bytes, 0.1 ms for 4 MB).
        Raises ApiError 400 for a body that names a member twice, since then no one can know which one counts.
        """
        raw, members = self.raw, self._members
        # Members, their quotes, colons, commas and braces: a body of just that length has nothing else in it, no white
        # space, no escape in a name, no name twice. So most clients write it, and then lengths tell all places.
        is_compact = sum(map(len, members)) + sum(map(len, members.values())) + 4 * len(members) + 1 == len(raw)
        view = memoryview(raw)
        parts: list[Buffer] = []
        kept_from, position, missing, is_begun = 0, 0, dict(edits), False
        for name, member in members.items():
            start = position + len(name) + 4 if is_compact else _value_start(raw, position, name, memoryview(member))
            before, position = position, start + len(member)
            if name in missing:
                new = missing.pop(name)
                if new is None:
                    if is_begun:
                        parts.append(view[kept_from:before])
                    kept_from = position
                    continue
                if not is_begun and kept_from:
                    parts.append(b"{")
                    kept_from = raw.index(b'"', kept_from)
                parts += (view[kept_from:start], new)
                kept_from = position
            elif not is_begun and kept_from:  # the comma was that of a member that has gone
                parts.append(b"{")
                kept_from = raw.index(b'"', kept_from)
            is_begun = True
        if not is_compact and _OBJECT_END.match(raw, position) is None:
            raise _repeated(_MEMBER_NAME.match(raw, position))
        if any(new is not None for new in missing.values()):
            added = (b",%b:%b" % (_ENCODER.encode(name), new) for name, new in missing.items() if new is not None)
            parts += (view[kept_from:position], *added)
            kept_from = position
        parts.append(view[kept_from:])
        return parts


def _value_start(raw: bytes, position: int, name: str, value: memoryview) -> int:
    """Return where `value` starts, whose member `name` is the next one after `position`.

    The decoder keeps the last value of a repeated name at the place of the first. Such a value is found here by not
    standing where it should: comparing lengths would not do, since the walk could then come to rest inside a value.
    """
    plain = b'%b"%b":' % (b"," if position else b"{", name.encode())
    start = position + len(plain)
    if raw.startswith(plain, position) and raw.startswith(value, start):  # four times as fast as the pattern
        return start
    found = _MEMBER_NAME.match(raw, position)
    if found is None or _text(found[1]) != name or not raw.startswith(value, found.end()):
        raise _repeated(found)
    return found.end()


def body_bytes(parts: Sequence[Buffer]) -> int:
    """Length of a body in parts."""
    return sum(map(len, parts))


def _text(name: bytes) -> str:
    return str(msgspec.json.decode(b'"%b"' % name)) if b"\\" in name else name.decode()


def _check_size(members: Mapping[str, msgspec.Raw]) -> None:
    if len(members) > MOST_MEMBERS:
        raise ApiError(400, f"The request body has more than {MOST_MEMBERS} members: send fewer")
    if "models" in members and len(memoryview(members["models"])) > MOST_MODELS_BYTES:
        text = f"'models' is longer than {MOST_MODELS_BYTES} bytes: name at most {MOST_MODELS} models"
        raise ApiError(400, text, param="models")


def _models(fields: RoutingFields) -> tuple[str, ...]:
    """Return all that may answer. Raises ApiError 400 when there is nothing, or too much."""
    if fields.model and not fields.models:
        named: tuple[str, ...] = (fields.model,)
    else:
        named = tuple(dict.fromkeys(filter(None, (fields.model, *(fields.models or ())))))
    if not named:
        raise ApiError(400, "'model' is required: name a model, for example one of GET /v1/models", param="model")
    if len(named) > MOST_MODELS:
        raise ApiError(400, f"'models' names more than {MOST_MODELS} models: name fewer", param="models")
    for name in named:
        if len(name) > MOST_NAME_CHARS:
            text = f"{name[:50]}… is not a valid model ID: it has more than {MOST_NAME_CHARS} characters"
            raise ApiError(400, text, param="model")
    return named


def _check_limit(fields: RoutingFields) -> None:
    for name in _LIMITS:
        limit = getattr(fields, name)
        if limit is not None and limit < 1:
            raise ApiError(400, f"'{name}' is wrong: it must be 1 or more, not {limit}", param=name)


def _with_usage(options: msgspec.Raw | None) -> bytes:
    if options is None:
        return b'{"include_usage":true}'
    members = _OPTIONS.decode(options) or {}
    return msgspec.json.encode({**members, "include_usage": True})


def _unreadable(raw: bytes, error: Exception) -> ApiError:
    if not raw.strip():
        return ApiError(400, "The request body is empty: send a JSON object")
    if raw.startswith(_BYTE_ORDER_MARKS):
        return ApiError(400, "The request body starts with a byte order mark: send UTF-8 without one")
    if isinstance(error, UnicodeDecodeError):
        return ApiError(400, f"The request body is not valid UTF-8: {error.reason}")
    if isinstance(error, RecursionError):
        return ApiError(400, "The request body is nested too deeply")
    if isinstance(error, msgspec.ValidationError):
        return ApiError(400, "The request body must be a JSON object")
    return ApiError(400, f"The request body is not valid JSON: {error}")


_FIELD_ERROR = re.compile(r"^(?P<what>.*?)(?: - at `\$\.(?P<path>[\w.]+)`)?$")


_WRONG_TYPE = re.compile(r"Expected `(.+?)`, got `(.+?)`")
_JSON_TYPES: Mapping[str, str] = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
}


def _wrong_field(message: str) -> ApiError:
    found = _FIELD_ERROR.match(message)
    path = found["path"] if found else None
    what = found["what"] if found else message
    if types := _WRONG_TYPE.fullmatch(what):
        expected = " or ".join(_JSON_TYPES.get(name, name) for name in types[1].split(" | "))
        what = f"it must be {expected}, not {_JSON_TYPES.get(types[2], types[2])}"
    return ApiError(400, f"'{path}' is wrong: {what}" if path else f"The request body is wrong: {what}", param=path)


def _repeated(found: re.Match[bytes] | None) -> ApiError:
    name = _text(found[1])[:100] if found else None
    which = "a member" if name is None else f"{name!r}"
    return ApiError(400, f"The request body names {which} more than once: send each member once", param=name)
