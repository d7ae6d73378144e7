"""A collector of traces: a server on loopback that takes OTLP/HTTP and keeps what it is sent."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from harness.process import PATIENCE_S


class Collector:
    """Use `with`. `status` is what it answers; while `hangs` is set it does not, until the block ends."""

    def __init__(self):
        self.status = 200
        self.hangs = False
        self.exports = []
        """The bodies as they came, those not answered well included."""
        self.heads = []
        """(path, headers by lower-case name) of each."""
        self._taken = []
        self._changed = threading.Condition()
        self._is_over = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                collector._take(self)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    def _take(self, handler):
        body = handler.rfile.read(int(handler.headers["content-length"]))
        if handler.headers["content-encoding"] == "gzip":
            body = gzip.decompress(body)
        with self._changed:
            self.exports.append(body)
            self.heads.append((handler.path, {name.lower(): value for name, value in handler.headers.items()}))
            if self.status == 200 and not self.hangs:
                self._taken.append(body)
            self._changed.notify_all()
        if self.hangs:
            self._is_over.wait(PATIENCE_S)
            return
        handler.send_response(self.status)
        handler.send_header("content-length", "0")
        handler.end_headers()

    @property
    def spans(self):
        """What it has taken so far, in order, each with `resource`, `told` (its attributes) and ids as text."""
        return [span for body in self._taken for span in spans_in(body)]

    def wait_for(self, condition):
        """Return what `condition()` does once that is true, looked at whenever something comes."""
        with self._changed:
            met = self._changed.wait_for(condition, PATIENCE_S)
            assert met, f"it never came true; {len(self.exports)} exports, {len(self.spans)} spans"
            return met

    def trace(self, request_id, spans=1):
        """Return the spans of the trace of a request, the request's own first, when so many have come."""

        def found():
            mine = [one for one in self.spans if one.told.get("fairlead.request.id") == request_id]
            all_of_it = [one for one in self.spans if mine and one.trace_id == mine[0].trace_id]
            return sorted(all_of_it, key=lambda one: one.start_ns) if len(all_of_it) >= spans else None

        return self.wait_for(found)


class Told:
    """A span as it was sent."""

    def __init__(self, span, resource, scope):
        self.resource, self.scope = resource, scope
        self.name, self.kind = span.name, span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower()
        self.trace_id, self.span_id, self.parent_id = (
            one.hex() for one in (span.trace_id, span.span_id, span.parent_span_id)
        )
        self.state, self.flags = span.trace_state, span.flags
        self.start_ns, self.end_ns = span.start_time_unix_nano, span.end_time_unix_nano
        self.status, self.message = span.status.code, span.status.message
        self.told = attributes_of(span)


def attributes_of(message):
    return {pair.key: _value(pair.value) for pair in message.attributes}


def _value(value):
    kind = value.WhichOneof("value")
    return [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)


def spans_in(body):
    """Decode one export."""
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Told(span, attributes_of(resource.resource), scope.scope)
