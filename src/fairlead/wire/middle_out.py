"""Context compression, "middle-out": what is in the middle of a conversation leaves until the rest fits.

Models attend to the beginning and the end of a prompt most. What is left out, in this order, until it fits:

1. whole messages, from the middle outwards, so that about as much stays of the beginning as of the end. What the system
   says stays, the first message with its answer, the last of the user, and the newest of all. A call of tools leaves
   together with its results; an answer does not stay without its question.
2. the middles of the longest texts that are left, but for the system's.
3. the first message with its answer.

Tools, attachments and arguments of calls are not cut: a request may stay too large.

Specification: wire-api, section 3.6. It does not say what stays in which case, nor that texts are cut last; that was
chosen so that as much as possible of what is left is as it was.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec

from fairlead.wire.request import ChatRequest
from fairlead.wire.shorten import MARK_BYTES, shortened, text_lengths
from fairlead.wire.tokens import text_bytes

PLUGIN = "context-compression"
SMALL_CONTEXT_TOKENS = 8_192
"""Models with no more than that are compressed for unless the request says otherwise."""
MOST_ANTHROPIC_MESSAGES = 1_000
"""Of a request to one of Anthropic's models."""

_SYSTEM = ("system", "developer")
_BYTES_PER_TOKEN = 4
_TRIES = 4
"""What is left is measured anew: parts of a body can count for a little more or less than they do in the whole."""
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Plugin(msgspec.Struct):
    id: str = ""
    enabled: bool | None = None


class _Message(msgspec.Struct):
    role: str = ""


_MESSAGE = msgspec.json.Decoder(_Message)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_PLUGINS = msgspec.json.Decoder(list[_Plugin] | None)
_TRANSFORMS = msgspec.json.Decoder(list[str] | None)


def wants_compression(request: ChatRequest) -> bool | None:
    """Return whether a request asks for compression, or forbids it; None if it says nothing (that can be read).

    `transforms` counts before the plugin.
    """
    for name, read in (("transforms", _of_transforms), ("plugins", _of_plugins)):
        text = request.member(name)
        if text is not None:
            try:
                said = read(text)
            except _FAULTS:
                continue
            if said is not None:
                return said
    return None


def is_wanted(request: ChatRequest, context_tokens: int | None) -> bool:
    """Whether to compress for a model with this context: as the request says, else for small ones."""
    said = wants_compression(request)
    return context_tokens is not None and context_tokens <= SMALL_CONTEXT_TOKENS if said is None else said


def _of_transforms(text: bytes) -> bool | None:
    said = _TRANSFORMS.decode(text)
    return None if said is None else "middle-out" in said


def _of_plugins(text: bytes) -> bool | None:
    said = [plugin.enabled is not False for plugin in _PLUGINS.decode(text) or () if plugin.id == PLUGIN]
    return said[-1] if said else None


def quarter(size: int) -> int:
    """Tokens of so many bytes, roughly."""
    return -(-size // _BYTES_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class Compressed:
    """A body of a chat request, and how much of it is gone."""

    raw: bytes
    messages: int = 0
    """Left out."""
    text_bytes: int = 0
    """Cut out of the messages that are left."""
    fits: bool = True


@dataclass(frozen=True, slots=True)
class _Unit:
    """A message; or one that calls tools, with their results."""

    place: int
    role: str
    messages: tuple[bytes, ...]
    size: int
    is_pinned: bool = False


def compress(
    request: ChatRequest,
    most_tokens: int,
    tokens: Callable[[int], int] = quarter,
    most_messages: int | None = None,
) -> Compressed:
    """Return the body of `request`, made to fit. One that fits is returned as it is, the same object.

    `most_tokens`: of the whole body, tools included. `tokens`: how many so many bytes are, as `text_bytes` counts them;
    it must not fall. `most_messages`: beyond it half of them are taken from each end. Messages that cannot be read are
    left as they are.
    """
    size = text_bytes(request.raw)
    does_fit = tokens(size) <= most_tokens
    if does_fit and most_messages is None:
        return Compressed(request.raw)
    try:
        messages = [bytes(message) for message in _LIST.decode(request.member("messages") or b"[]")]
        if does_fit and len(messages) <= (most_messages or 0):
            return Compressed(request.raw)
        most = bisect_right(range(2 * size + 1), most_tokens, key=tokens) - 1
        return _compressed(request, messages, size, most, most_messages or len(messages))
    except _FAULTS:
        return Compressed(request.raw, fits=does_fit)


def _compressed(
    request: ChatRequest, messages: Sequence[bytes], size: int, most: int, most_messages: int
) -> Compressed:
    units = _units(messages)
    room = most - size + _size(units)
    units = _without_middle(units, most_messages, lambda unit: len(unit.messages))
    over, tries = 1, 0
    raw, kept = request.raw, units
    while over > 0 and tries < _TRIES:
        kept = _fitted(units, room)
        left = [message for unit in kept for message in unit.messages]
        raw = b"".join(request.spliced({"messages": b"[%b]" % b",".join(left)}))
        over, tries = text_bytes(raw) - most, tries + 1
        room -= max(over, 0)
    places = {unit.place for unit in kept}
    cut = _size(unit for unit in units if unit.place in places) - _size(kept)
    gone = len(messages) - sum(len(unit.messages) for unit in kept)
    return Compressed(raw, gone, cut, over <= 0)


def _fitted(units: list[_Unit], most: int) -> list[_Unit]:
    kept = _without_middle(units, most, lambda unit: unit.size)
    if _size(kept) <= most:
        return kept
    shortened = _shortened(kept, most)
    return shortened if _size(shortened) <= most else _shortened(_without_first(kept), most)


def _size_of(messages: Iterable[bytes]) -> int:
    return sum(text_bytes(message) + 1 for message in messages)  # and a comma


def _size(units: Iterable[_Unit]) -> int:
    return sum(unit.size for unit in units)


def _units(messages: Sequence[bytes]) -> list[_Unit]:
    found: list[tuple[str, list[bytes]]] = []
    for message in messages:
        role = _MESSAGE.decode(message).role
        if role in ("tool", "function") and found and found[-1][0] not in _SYSTEM:
            found[-1][1].append(message)
        else:
            found.append((role, [message]))
    units = [_Unit(place, role, tuple(some), _size_of(some)) for place, (role, some) in enumerate(found)]
    pinned = _pinned(units)
    return [replace(unit, is_pinned=unit.place in pinned) for unit in units]


def _pinned(units: Sequence[_Unit]) -> set[int]:
    """The places of what stays as long as it can."""
    spoken = [unit for unit in units if unit.role not in _SYSTEM]
    pinned = {unit.place for unit in units} - {unit.place for unit in spoken}
    pinned |= {unit.place for unit in spoken[:1] + spoken[-1:]}
    if len(spoken) > 1 and spoken[1].role == "assistant":
        pinned.add(spoken[1].place)
    pinned |= {unit.place for unit in [unit for unit in spoken if unit.role == "user"][-1:]}
    return pinned


def _without_middle(units: list[_Unit], most: int, weight: Callable[[_Unit], int]) -> list[_Unit]:
    """Return the units without as many from the middle as have to go."""
    if sum(map(weight, units)) <= most:
        return units
    parts = _parts(units)
    room = most - sum(weight(unit) for unit in units if unit.is_pinned)
    head = tail = 0  # what has been taken from either end
    start, end = 0, len(parts)
    is_open = [True, True]
    while start < end and any(is_open):
        from_end = is_open[1] and (tail <= head or not is_open[0])
        part = parts[end - 1 if from_end else start]
        more = sum(weight(unit) for unit in part if not unit.is_pinned)
        if more and head + tail + more > room:
            is_open[from_end] = False
        elif from_end:
            end, tail = end - 1, tail + more
        else:
            start, head = start + 1, head + more
    begun = _beginning(parts[start], room - head - tail, weight) if start < end else []
    gone = {unit.place for part in parts[start:end] for unit in part if not unit.is_pinned}
    gone -= {unit.place for unit in begun}
    return [unit for unit in units if unit.place not in gone]


def _parts(units: Sequence[_Unit]) -> list[list[_Unit]]:
    """Return the units in the parts that leave as a whole: a question with all that was said to it.

    Of the first question and the last one, which stay, every unit is a part of its own. The system has no part in it.
    """
    parts: list[list[_Unit]] = []
    before = ""
    for unit in units:
        if unit.role in _SYSTEM:
            continue
        if not parts or (unit.role == "user" != before):
            parts.append([])
        parts[-1].append(unit)
        before = unit.role
    return [
        some for part in parts for some in ([[unit] for unit in part] if any(one.is_pinned for one in part) else [part])
    ]


def _beginning(part: Sequence[_Unit], room: int, weight: Callable[[_Unit], int]) -> list[_Unit]:
    """Return as much of a part as there is room for, if that is more than the question."""
    found: list[_Unit] = []
    for unit in part:
        room -= weight(unit)
        if room < 0:
            break
        found.append(unit)
    return found if found and found[-1].role != "user" else []


def _without_first(units: Sequence[_Unit]) -> list[_Unit]:
    """Return the units without the first message and its answer, unless one of them is the last of its kind."""
    spoken = [unit for unit in units if unit.role not in _SYSTEM]
    users = [unit.place for unit in spoken if unit.role == "user"]
    needed = {*users[-1:], *(unit.place for unit in spoken[-1:])}
    first = {unit.place for unit in spoken[:2] if unit.is_pinned} - needed
    return [unit for unit in units if unit.place not in first]


def _shortened(units: Sequence[_Unit], most: int) -> list[_Unit]:
    """Return the units with the longest texts cut to one length, the greatest with which all is at most `most`.

    Should none be short enough, nothing is left of the texts.
    """
    excess = _size(units) - most
    lengths = [
        length
        for unit in units
        if unit.role not in _SYSTEM
        for message in unit.messages
        for length in text_lengths(message)
    ]
    if excess <= 0 or not lengths:
        return list(units)

    def missing(length: int) -> int:
        return excess - sum(one - length - MARK_BYTES for one in lengths if one > length + MARK_BYTES)

    length = max(bisect_right(range(max(lengths) + 1), 0, key=missing) - 1, 0)
    return [unit if unit.role in _SYSTEM else _shortened_unit(unit, length) for unit in units]


def _shortened_unit(unit: _Unit, length: int) -> _Unit:
    messages = tuple(shortened(message, length) for message in unit.messages)
    return unit if messages == unit.messages else replace(unit, messages=messages, size=_size_of(messages))
