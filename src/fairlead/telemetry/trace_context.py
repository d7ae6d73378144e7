"""What callers say of the trace that their request belongs to: W3C Trace Context, level 2. Pure.

https://www.w3.org/TR/trace-context-2/. What is not as it says there is ignored, as it says there: a request with a
`traceparent` that cannot be read begins a trace of its own, and without one its `tracestate` means nothing.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

SAMPLED = 0x01
RANDOM_TRACE_ID = 0x02
"""The trace id is random: samplers that come later may draw lots by it."""
_KNOWN_FLAGS = SAMPLED | RANDOM_TRACE_ID
MOST_STATE_BYTES = 512
"""Section 3.3.1.5: so much has to be passed on."""
MOST_STATE_MEMBERS = 32

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MEMBER = re.compile(
    rb"([a-z0-9][a-z0-9_\-*/@]{0,255})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)


class TraceParent(NamedTuple):
    """The span that our caller is in. Neither id is 0."""

    trace_id: int
    span_id: int
    flags: int


def read_parent(values: Sequence[bytes]) -> TraceParent | None:
    """Read the request's `traceparent` headers; None if there is not exactly one, or it is none.

    Of a version that is not known yet, as much is read as all versions have in common.
    """
    if len(values) != 1:
        return None
    found = _PARENT.fullmatch(values[0].strip(b" \t"))
    if found is None or found[1] == b"ff" or (found[1] == b"00" and found[5] is not None):
        return None
    trace_id, span_id, flags = (int(found[n], 16) for n in (2, 3, 4))
    if not trace_id or not span_id:
        return None
    return TraceParent(trace_id, span_id, flags & (_KNOWN_FLAGS if found[1] == b"00" else SAMPLED))


def read_state(values: Sequence[bytes]) -> bytes:
    """Join the request's `tracestate` headers to one value; empty if there is none, or it may not be passed on."""
    members = [member for value in values for part in value.split(b",") if (member := part.strip(b" \t"))]
    state = b",".join(members)
    if len(members) > MOST_STATE_MEMBERS or len(state) > MOST_STATE_BYTES:
        return b""
    found = [_MEMBER.fullmatch(member) for member in members]
    keys = {one[1] for one in found if one is not None}
    return state if len(keys) == len(members) else b""


def header(trace_id: int, span_id: int, flags: int) -> bytes:
    """Return the value of `traceparent` for whoever is asked from within the span."""
    return b"00-%032x-%016x-%02x" % (trace_id, span_id, flags)
