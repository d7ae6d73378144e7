"""Spans sent to a collector by OTLP/HTTP. The one module that imports OpenTelemetry, which the extra `otel` installs.

Of the SDK there is its exporter (retries, compression and certificates by the standard variables) and what that takes.
"""

import logging
import uuid
from collections.abc import Mapping, Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

from fairlead import __version__
from fairlead.telemetry.spans import Span

_KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT}
_UNSET = Status(StatusCode.UNSET)


class Collector:
    """Who takes the spans. `endpoint` is the whole URL; `attributes` say who we are."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], attributes: Mapping[str, str]) -> None:
        self._words = _Words()
        logger = logging.getLogger("opentelemetry")
        # It repeats itself as long as a collector is away, and quotes headers that it cannot read.
        logger.handlers, logger.propagate = [self._words], False
        self._exporter = OTLPSpanExporter(endpoint, headers=dict(headers))
        instance = {"service.version": __version__, "service.instance.id": str(uuid.uuid4())}
        self._resource = Resource.create({**instance, **attributes})
        self._scope = InstrumentationScope("fairlead", __version__)

    def send(self, spans: Sequence[Span]) -> str:
        """Send `spans`, trying again for some seconds; return what went wrong, "" if nothing did."""
        self._words.reason = ""
        result = self._exporter.export([self.readable(span) for span in spans])
        return "" if result is SpanExportResult.SUCCESS else self._words.reason or "it does not take them"

    def readable(self, span: Span) -> ReadableSpan:
        """Return the span as the SDK has it."""
        trace = span.trace
        state = TraceState.from_header([trace.state.decode()]) if trace.state else None
        flags = TraceFlags(trace.flags)
        parent = None
        if span.parent_id:
            is_remote = span.parent_id == trace.parent_id
            parent = SpanContext(trace.trace_id, span.parent_id, is_remote, flags, state)
        return ReadableSpan(
            span.name,
            SpanContext(trace.trace_id, span.span_id, False, flags, state),
            parent,
            self._resource,
            span.attributes,
            kind=_KINDS[span.kind],
            status=_UNSET if span.error is None else Status(StatusCode.ERROR, span.error or None),
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=self._scope,
        )


class _Words(logging.Handler):
    """Hears what the exporter says, for the status or the sort of error in it: what else is said may be secret."""

    reason = ""

    def emit(self, record: logging.LogRecord) -> None:
        for word in record.args if isinstance(record.args, tuple) else ():
            if isinstance(word, int):
                self.reason = f"it answers {word}"
            elif isinstance(word, Exception):
                self.reason = type(word).__name__
