"""The trace that an exchange is part of, from its first byte on: ids and a few bytes, nothing of OpenTelemetry.

What becomes of it when the exchange has ended is in `spans.py`.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from fairlead.telemetry.sampling import Sampler
from fairlead.telemetry.trace_context import RANDOM_TRACE_ID, SAMPLED, header, read_parent, read_state


@dataclass(slots=True)
class Trace:
    """Of one exchange. The ids are not 0, but for `parent_id` where the trace begins here."""

    trace_id: int
    span_id: int
    """Of the exchange."""
    parent_id: int
    flags: int
    state: bytes
    """The caller's `tracestate`, "" if there is none."""
    rng: random.Random

    @property
    def is_sampled(self) -> bool:
        return bool(self.flags & SAMPLED)

    def attempt(self) -> tuple[int, bytes]:
        """Return a new span id, and the header lines by which whoever is asked belongs to it."""
        span_id = _new_id(self.rng, 64)
        lines = b"traceparent: %b\r\n" % header(self.trace_id, span_id, self.flags)
        return span_id, lines + b"tracestate: %b\r\n" % self.state if self.state else lines


def begin(headers: Iterable[tuple[bytes, bytes]], sampler: Sampler, rng: random.Random) -> Trace:
    """Return the trace of a request: its caller's, or a new one. Names of `headers` are lower case."""
    parents, states = [], []
    for name, value in headers:
        if name == b"traceparent":
            parents.append(value)
        elif name == b"tracestate":
            states.append(value)
    parent = read_parent(parents) if parents else None
    if parent is None:
        trace_id, flags = _new_id(rng, 128), RANDOM_TRACE_ID
        return Trace(trace_id, _new_id(rng, 64), 0, flags | sampler.takes(trace_id, None), b"", rng)
    is_taken = sampler.takes(parent.trace_id, parent)
    flags = parent.flags & RANDOM_TRACE_ID | is_taken
    state = read_state(states) if states else b""
    return Trace(parent.trace_id, _new_id(rng, 64), parent.span_id, flags, state, rng)


def _new_id(rng: random.Random, bits: int) -> int:
    while not (found := rng.getrandbits(bits)):
        pass
    return found
