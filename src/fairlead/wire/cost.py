"""What a request cost, put into the `usage` of its reply.

    with_cost(body, …)    of a whole reply
    CostSplicer           of a stream, while it passes

Both insert members behind the opening brace of the usage object and let every other byte stay as it came. Should the
provider have said what it costs, that makes way for ours: no member stands twice.

A usage object counts if it is a member of the reply or of an event itself, not of something in it (Groq repeats it in
`x_groq`). What stands before it tells: completed by `"":0}`, that is a JSON object only if the member is one of the
outermost. Text of a model cannot look like one, since quotes in a string come with a backslash.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from fairlead.catalog.pricing import Bill, Usage
from fairlead.wire.usage import usage_object_of, usage_of

MOST_USAGE_BYTES = 16_384
"""Of a usage object; those of today have 100 to 1 500. In a longer one no cost is put."""
CHECKED_BYTES = 4_096
"""Of an event before its usage, to see whether it is the event's own. Behind more than that (an image, say) it is taken
to be, rather than that megabytes are kept for such a question."""
_WHOLE_REPLY_LOOKS = 8
"""How many usage objects of a whole reply are tried, from its end. It has one, Groq's have two."""

_USAGE = b'"usage"'
_TOLD = b"prompt_token"
"""Stands in every usage object that tells tokens. Not the shortest that would do, but what is searched for fastest."""
_USAGE_OBJECT = re.compile(rb'"usage"[ \t]{0,8}:[ \t]{0,8}(?=\{)')
_MARGIN_BYTES = 32
"""At least the longest match of that and the byte before it."""

_STRING = rb'"(?:[^"\\]++|\\.)*+"'


def _container(levels: int) -> bytes:
    """A pattern of a JSON object or list. That its brackets are pairs is for others to see."""
    inside = rb'[^"{}\[\]]++|' + _STRING
    pattern = rb"[{\[](?:" + inside + rb")*+[}\]]"
    for _ in range(levels - 1):
        pattern = rb"[{\[](?:" + inside + rb"|" + pattern + rb")*+[}\]]"
    return pattern


_CONTAINER = re.compile(_container(8))
_MEMBER = re.compile(rb"\s*+(" + _STRING + rb')\s*+:(?:[^",{}\[\]]++|' + _STRING + rb"|" + _container(7) + rb")++")
_LINE_END = re.compile(rb"[\r\n]")

_OURS = frozenset((b'"cost"', b'"is_byok"', b'"cost_details"'))

BillOf = Callable[[Usage], Bill | None]
"""What some usage costs; None when nobody knows, and then nothing is said of it."""


class _AnyObject(msgspec.Struct):
    pass


_ANY_OBJECT = msgspec.json.Decoder(_AnyObject)


class Costed(NamedTuple):
    """A whole reply with its cost, the usage as the provider has told it, and the bill of that."""

    body: bytes
    usage: Usage | None = None
    bill: Bill | None = None


def with_cost(body: bytes, bill_of: BillOf) -> Costed:
    """Return a whole JSON reply with the cost in its usage."""
    told = usage_object_of(body)
    usage = usage_of(told) if told is not None else None
    bill = bill_of(usage) if usage is not None else None
    if bill is None or told is None or len(told) > MOST_USAGE_BYTES:
        return Costed(body, usage, bill)
    brace = _brace_of_reply(body, told)
    has_cost = _has_cost(told)
    if not brace or (has_cost and _CONTAINER.fullmatch(told) is None):
        return Costed(body, usage, bill)
    spliced = _spliced(told, bill, has_cost=has_cost)
    return Costed(b"".join((body[:brace], spliced, body[brace + len(told) :])), usage, bill)


def _brace_of_reply(body: bytes, told: bytes) -> int:
    """Return where the usage object begins, 0 if it is not found. Of several the last one counts, as in any parser."""
    at = body.rfind(told)
    if body.find(told) == at:  # there is no other of these bytes
        return at
    at = len(body)
    for _ in range(_WHOLE_REPLY_LOOKS):
        at = body.rfind(_USAGE, 0, at)
        if at < 0:
            break
        found = _USAGE_OBJECT.match(body, at)
        if found is not None and _is_outermost(body[:at]):
            return found.end()
    return 0


class CostSplicer:
    """Puts the cost into the usage of a stream (server-sent events of OpenAI's kind), however it is cut into chunks.

    Bytes are held back from the opening brace of a usage object until it is complete, and no others.
    """

    __slots__ = ("_bill_of", "_cut", "_held", "_is_skipping", "_line", "cost_usd_nanos", "usage")

    def __init__(self, bill_of: BillOf) -> None:
        self.usage: Usage | None = None
        """The last that was told."""
        self.cost_usd_nanos: int | None = None
        """What that costs."""
        self._bill_of = bill_of
        self._line = b""
        """A line that has not ended, without its first `_cut` bytes. Of it the last `_held` have not been passed on."""
        self._cut = 0
        self._held = 0
        self._is_skipping = False
        """Until the line ends: a usage object in it is too long."""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes and return what may go on."""
        # Nearly all chunks are whole events that tell no tokens, be it that `usage` is null or not there.
        if not self._line and data.endswith(b"\n") and data.find(_TOLD) < 0:
            return data
        return self._look(data) if not self._is_skipping else self._skip(data)

    def finish(self) -> bytes:
        """Return what is still held back when the stream has ended."""
        held = self._line[len(self._line) - self._held :]
        self._line, self._held = b"", 0
        return held

    def _look(self, data: bytes) -> bytes:
        text = self._line + data
        sent = len(self._line) - self._held
        passed = []
        brace = sent if self._held else self._next_brace(text, sent)
        while brace >= 0:
            passed.append(text[sent:brace])
            line_end = _LINE_END.search(text, brace)
            end = line_end.start() if line_end is not None else len(text)
            whole = _CONTAINER.match(text, brace, min(end, brace + MOST_USAGE_BYTES))
            if whole is not None:
                passed.append(self._with_cost(whole[0]))
                sent = whole.end()
            elif line_end is not None:  # broken, or too long
                passed.append(text[brace:end])
                sent = end
            else:
                self._is_skipping = end - brace >= MOST_USAGE_BYTES
                sent = end if self._is_skipping else brace
                self._keep_line(text, sent)
                passed.append(text[brace:sent])
                return b"".join(passed)
            brace = self._next_brace(text, sent)
        self._keep_line(text, len(text))
        passed.append(text[sent:])
        return b"".join(passed)

    def _skip(self, data: bytes) -> bytes:
        line_end = _LINE_END.search(data)
        if line_end is None:
            return data
        self._is_skipping, self._line, self._cut = False, b"", 0
        return data[: line_end.start()] + self._look(data[line_end.start() :])

    def _next_brace(self, text: bytes, sent: int) -> int:
        """Return where the next usage object of an event begins that has not been sent; -1 if there is none."""
        at = text.find(_USAGE, max(0, sent - _MARGIN_BYTES))
        while at >= 0:
            found = _USAGE_OBJECT.match(text, at)
            if found is not None and found.end() >= sent and self._is_of_event(text, at):
                return found.end()
            at = text.find(_USAGE, at + len(_USAGE))
        return -1

    def _is_of_event(self, text: bytes, at: int) -> bool:
        start = _line_start(text, at)
        if at - start + (0 if start else self._cut) > CHECKED_BYTES:
            return not text.endswith(b"\\", 0, at)
        return text.startswith(b"data:", start) and _is_outermost(text[start + len(b"data:") : at])

    def _keep_line(self, text: bytes, sent: int) -> None:
        """Keep the line that has not ended, or of a long one what will be looked at again."""
        start = _line_start(text, sent)
        cut = 0 if start else self._cut
        if cut + sent - start > CHECKED_BYTES + _MARGIN_BYTES:
            cut += sent - _MARGIN_BYTES - start
            start = sent - _MARGIN_BYTES
        self._line, self._cut, self._held = text[start:], cut, len(text) - sent

    def _with_cost(self, usage_object: bytes) -> bytes:
        usage = usage_of(usage_object) if _TOLD in usage_object else None
        if usage is None:
            return usage_object
        bill = self._bill_of(usage)
        self.usage, self.cost_usd_nanos = usage, bill.usd_nanos if bill is not None else None
        return _spliced(usage_object, bill, has_cost=_has_cost(usage_object)) if bill is not None else usage_object


def _line_start(text: bytes, at: int) -> int:
    start = text.rfind(b"\n", 0, at) + 1
    return max(start, text.rfind(b"\r", start, at) + 1)


def _is_outermost(before: bytes) -> bool:
    if before.endswith(b"\\"):  # not the quote that it begins with
        return False
    try:
        _ANY_OBJECT.decode(before + b'"":0}')
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _has_cost(usage_object: bytes) -> bool:
    """Whether there is something in it that may have to make way for ours."""
    return b'"cost' in usage_object or b'"is_byok"' in usage_object


def _spliced(usage_object: bytes, bill: Bill, *, has_cost: bool) -> bytes:
    theirs = usage_object[1:-1]
    if has_cost:
        theirs = b",".join(member[0] for member in _MEMBER.finditer(theirs) if member[1] not in _OURS)
    return b"".join((b"{", _members(bill), b"," if theirs.strip() else b"", theirs, b"}"))


def _members(bill: Bill) -> bytes:
    prompt, completion = bill.prompt_usd_nanos, bill.completion_usd_nanos
    if prompt is None or completion is None:
        return b'"cost":%b,"is_byok":false' % _usd(bill.usd_nanos)
    return (
        b'"cost":%b,"is_byok":false,"cost_details":{"upstream_inference_cost":null,"upstream_inference_prompt_cost":%b,'
        b'"upstream_inference_completions_cost":%b}'
    ) % (_usd(bill.usd_nanos), _usd(prompt), _usd(completion))


def _usd(nanos: int) -> bytes:
    """An exact decimal number: neither noise of a float nor an exponent."""
    usd, rest = divmod(nanos, 1_000_000_000)
    return (b"%d.%09d" % (usd, rest)).rstrip(b"0") if rest else b"%d" % usd
