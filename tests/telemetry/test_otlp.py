import logging

import pytest

from fairlead import __version__
from fairlead.telemetry.otlp import Collector as Sender
from fairlead.telemetry.record import AttemptRecord, ExchangeRecord
from fairlead.telemetry.spans import spans_of
from harness.collector import Collector
from harness.tracing import CALLER, FROM_CALLER, begin_trace
from harness.valkey import free_port

UNIX = 1_795_276_677.25
SECRET = "sk-collector-0123456789"


@pytest.fixture
def collector():
    with Collector() as collector:
        yield collector


@pytest.fixture
def send(collector):
    return Sender(f"{collector.url}/v1/traces", {"authorization": f"Bearer {SECRET}"}, {"service.name": "edge"}).send


@pytest.fixture
def heard():
    """What reaches the root logger, as our log has a handler there."""
    heard = []
    handler = logging.Handler()
    handler.emit = heard.append
    logging.getLogger().addHandler(handler)
    yield heard
    logging.getLogger().removeHandler(handler)


def spans(*headers, **members):
    trace = begin_trace([(name.encode(), value.encode()) for name, value in headers])
    failed = AttemptRecord("acme", "timeout", 0, 0.5, "late", 100.0, span_id=7)
    members = {"asked": "m", "status": 503, "end": "error", "error": "No provider", "ended_at": 101.0, **members}
    return spans_of(ExchangeRecord("gen-1", "r", UNIX, 100.0, trace=trace, attempts=[failed], **members))


def test_a_trace_arrives_as_it_is(collector, send):
    sent = spans(FROM_CALLER, ("tracestate", "acme=1,b=2"), is_stream=True, finish_reason="stop")
    assert send(sent) == ""
    exchange, attempt = collector.spans
    assert (exchange.name, exchange.kind, attempt.kind) == ("chat m", "server", "client")
    assert int(exchange.trace_id, 16) == int(attempt.trace_id, 16) == CALLER.trace_id
    assert (int(exchange.parent_id, 16), attempt.parent_id) == (CALLER.span_id, exchange.span_id)
    assert (exchange.flags, attempt.flags) == (0x300, 0x100), "whose parent is remote"
    assert exchange.state == attempt.state == "acme=1,b=2"
    assert (exchange.start_ns, exchange.end_ns) == (round(UNIX * 1e9), round(UNIX * 1e9) + 10**9)
    assert (exchange.status, exchange.message, attempt.status, attempt.message) == (2, "No provider", 2, "late")
    assert exchange.told["gen_ai.response.finish_reasons"] == ["stop"]
    assert exchange.told["gen_ai.request.stream"] is True
    assert exchange.told["fairlead.attempts"] == 1
    assert (exchange.scope.name, exchange.scope.version) == ("fairlead", __version__)


def test_a_trace_that_begins_here_has_no_parent(collector, send):
    send(spans(status=200, end="ok"))
    exchange, _ = collector.spans
    assert (exchange.parent_id, exchange.status, exchange.message) == ("", 0, "")


def test_who_says_it(collector, send):
    send(spans())
    [(path, headers)] = collector.heads
    assert (path, headers["authorization"]) == ("/v1/traces", f"Bearer {SECRET}")
    assert headers["content-type"] == "application/x-protobuf"
    resource = collector.spans[0].resource
    assert (resource["service.name"], resource["service.version"]) == ("edge", __version__)
    assert resource["service.instance.id"]


@pytest.mark.parametrize("status", [400, 401, 404])
def test_who_refuses_is_told_by_the_status(collector, send, status, heard):
    collector.status = status
    assert send(spans()) == f"it answers {status}"
    collector.status = 200
    assert send(spans()) == ""
    assert not heard, "the exporter's own words are not for the log"


def test_who_is_away_is_told_without_its_address(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    sender = Sender(f"http://me:{SECRET}@127.0.0.1:{free_port()}/v1/traces", {}, {})
    assert sender.send(spans()) == "ConnectionError"


def test_headers_that_cannot_be_read_are_not_quoted(monkeypatch, collector, heard, capfd):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"Bearer {SECRET}")
    assert Sender(f"{collector.url}/v1/traces", {}, {}).send(spans()) == ""
    assert (heard, *capfd.readouterr()) == ([], "", "")
