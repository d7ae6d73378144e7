import random
from dataclasses import replace

from fairlead.telemetry.sampling import Sampler
from fairlead.telemetry.trace import begin
from fairlead.telemetry.trace_context import read_parent

PARENT = (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
STATE = (b"tracestate", b"acme=1")


class Rigged(random.Random):
    """Draws what it is told."""

    draws = ()

    def getrandbits(self, k):
        return self.draws.pop(0)


def begun(*headers, sampler=None, rng=None):
    return begin(headers, sampler or Sampler(), rng or random.Random(1))


def test_a_callers_trace_goes_on():
    trace = begun(PARENT, (b"x-other", b"1"), STATE)
    assert (trace.trace_id, trace.parent_id) == (0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7)
    assert (trace.flags, trace.state, trace.is_sampled) == (1, b"acme=1", True)
    assert trace.span_id not in (0, trace.parent_id)


def test_without_one_a_trace_begins():
    trace, other = begun(STATE, rng=(rng := random.Random(2))), begun(rng=rng)
    assert (trace.parent_id, trace.state) == (0, b""), "a state without a parent means nothing"
    assert (trace.flags, trace.is_sampled) == (3, True)
    assert len({trace.trace_id, trace.span_id, other.trace_id, other.span_id}) == 4


def test_one_that_cannot_be_read_is_none():
    trace = begun((b"traceparent", b"00-1-2-3"), STATE)
    assert (trace.parent_id, trace.state) == (0, b"")
    assert begun(PARENT, PARENT).parent_id == 0


def test_the_parents_word_counts():
    unsampled = (b"traceparent", PARENT[1][:-1] + b"0")
    assert not begun(unsampled).is_sampled
    assert begun(unsampled, sampler=Sampler("always_on")).is_sampled
    assert not begun(PARENT, sampler=Sampler("always_off")).is_sampled
    assert not begun(sampler=Sampler("parentbased_traceidratio", 0.0)).is_sampled


def test_whoever_is_asked_belongs_to_the_attempt():
    trace = begun(PARENT, STATE)
    span_id, lines = trace.attempt()
    name, _, value = lines.split(b"\r\n")[0].partition(b": ")
    assert (name, read_parent([value])) == (b"traceparent", (trace.trace_id, span_id, 1))
    assert lines.endswith(b"\r\ntracestate: acme=1\r\n")
    other_id, _ = trace.attempt()
    assert len({span_id, other_id, trace.span_id}) == 3


def test_without_a_state_none_is_sent():
    assert replace(begun(PARENT, STATE), state=b"").attempt()[1].count(b"\r\n") == 1


def test_no_id_is_zero():
    rng = Rigged()
    rng.draws = [0, 5, 0, 0, 6]
    trace = begun(rng=rng)
    assert (trace.trace_id, trace.span_id) == (5, 6)
