"""What a trace costs: where requests run, on the loop when they have ended, and in the thread that sends."""

import functools
import random
from collections.abc import Callable, Sequence

from bench.micro.timing import Case
from fairlead.catalog.model import Endpoint, Model, Provider
from fairlead.catalog.pricing import Usage
from fairlead.telemetry.record import AttemptRecord, ExchangeRecord
from fairlead.telemetry.sampling import Sampler
from fairlead.telemetry.spans import spans_of
from fairlead.telemetry.trace import Trace, begin

_BATCH = 64
_HEADERS = [
    (b"host", b"gateway"), (b"authorization", b"Bearer sk-0123456789abcdef"), (b"content-type", b"application/json"),
    (b"user-agent", b"OpenAI/Python 3.51.0"), (b"accept", b"application/json"), (b"content-length", b"1024"),
]  # fmt: skip
_PARENT = (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
_ENDPOINT = Endpoint(Provider("acme", "Acme", "https://api.acme.example/v1"), Model("acme/large", "Large"), "l-1", None)


def _record(trace: Trace | None, attempts: int) -> ExchangeRecord:
    record = ExchangeRecord("gen-1", "r-1", 1.8e9, 10.0, asked="acme/large", model="acme/large", provider="acme")
    record.is_stream, record.status, record.end, record.finish_reason = True, 200, "ok", "stop"
    record.first_content_at, record.ended_at, record.trace = 10.4, 12.0, trace
    record.usage, record.cost_usd_nanos = Usage(1200, 300, cached_tokens=600, reasoning_tokens=100), 1_234_000
    for n in range(attempts):
        verdict, status = ("ok", 200) if n == attempts - 1 else ("transient", 502)
        record.attempts.append(AttemptRecord("acme", verdict, status, 0.5, begun_at=10.0, span_id=n + 1))
        record.attempts[-1].endpoint = _ENDPOINT
    return record


def _when_off(record: ExchangeRecord, begin_trace: Callable[[], Trace] | None) -> None:
    """What a request does about traces while they are off: as edge, relay and settlement ask."""
    if begin_trace is not None:
        record.trace = begin_trace()
    if record.trace is None:
        pass
    if record.trace is not None:
        record.trace.attempt()
    if begin_trace is not None:
        begin_trace()


def _sending(record: ExchangeRecord) -> Sequence[Case]:
    try:
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

        from fairlead.telemetry.otlp import Collector
    except ModuleNotFoundError:  # without the extra
        return []
    collector = Collector("http://127.0.0.1:9", {}, {})

    def encode() -> None:
        spans = [span for _ in range(_BATCH) for span in spans_of(record)]
        encode_spans([collector.readable(span) for span in spans]).SerializePartialToString()

    return [Case("thread: a failover as bytes, of 64 together", encode, _BATCH)]


def cases() -> Sequence[Case]:
    """What to time."""
    rng = random.Random(1)
    new = functools.partial(begin, _HEADERS, Sampler(), rng)
    joined = functools.partial(begin, [*_HEADERS, _PARENT, (b"tracestate", b"acme=1")], Sampler(), rng)
    trace, off = joined(), _record(None, 1)
    kept: list[ExchangeRecord] = []
    failed_over = _record(trace, 2)

    def keep() -> None:
        if failed_over.trace is not None and failed_over.trace.is_sampled:
            kept.append(failed_over)
        if len(kept) == _BATCH:
            kept.clear()

    return [
        Case("request, traces off", lambda: _when_off(off, None)),
        Case("request: a trace begins", new),
        Case("request: a caller's trace goes on", joined),
        Case("request: an attempt is named", trace.attempt),
        Case("request: its record is kept", keep),
        Case("thread: spans of one attempt", lambda: spans_of(_record(trace, 1))),
        Case("thread: spans of a failover", lambda: spans_of(failed_over)),
        *_sending(failed_over),
    ]
