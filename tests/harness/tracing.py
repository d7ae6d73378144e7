"""Traces in tests: their beginning, as the gateway makes it, and the ids of what went up."""

import functools
import random

from fairlead.telemetry.sampling import Sampler
from fairlead.telemetry.trace import begin
from fairlead.telemetry.trace_context import TraceParent, header, read_parent

CALLER = TraceParent(0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7, 1)
"""Who asks."""
FROM_CALLER = ("traceparent", header(*CALLER).decode())

begin_trace = functools.partial(begin, sampler=Sampler(), rng=random.Random(7))


def parent_sent(request):
    """Return what a simulated provider was told of the span that asks it."""
    return read_parent([value for name, value in request.headers if name == b"traceparent"])
