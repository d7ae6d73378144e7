import random
import sys

import pytest
from structlog.testing import CapturingLogger

from fairlead.config import load
from fairlead.errors import ConfigError
from fairlead.telemetry import metrics, outbox
from fairlead.telemetry.exposition import totals
from fairlead.telemetry.meter import Meter
from fairlead.telemetry.outbox import AT_ONCE
from fairlead.telemetry.record import ExchangeRecord
from fairlead.telemetry.sampling import Sampler
from fairlead.telemetry.slots import Slots
from fairlead.traces import QUIET_S, SWITCH_S, TURN_S, Traces, check_traces, endpoint_of, traces_of
from harness.collector import Collector
from harness.command import fairlead
from harness.process import SOURCE, until
from harness.tracing import FROM_CALLER

pytestmark = pytest.mark.anyio

ENDPOINT, TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


@pytest.fixture(autouse=True)
def _switch_interval():
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def configure(tmp_path):
    return lambda **environ: load(environ, cwd=tmp_path, is_terminal=False, cpu_count=1).settings


class Worker:
    """Traces with what they tell: `taken` spans, `log` calls, and counters. `fault` is what sending ends with."""

    def __init__(self, sampler=None):
        self.taken = []
        self.fault = ""
        self.slots, self.log = Slots(), CapturingLogger()
        meter = Meter(self.slots, lambda _: True)
        self.traces = Traces(sampler or Sampler(), self._send, meter, self.log, random.Random(1))

    def _send(self, spans):
        self.taken += [span.attributes["fairlead.generation.id"] for span in spans]
        return self.fault

    def keep(self, count=1, headers=()):
        for n in range(count):
            self.traces.keep(ExchangeRecord(f"gen-{n}", "r", 1.0, 2.0, trace=self.traces.begin(headers)))

    def counted(self):
        found = totals(self.slots.read())
        return tuple(found[one.name].get((), [0])[0] for one in (metrics.TRACES_SENT, metrics.TRACES_DROPPED))

    def turn_until(self, counted, now=200.0):
        until(lambda: self.traces.turn(now) or self.counted() == counted)


async def test_what_is_kept_is_sent_at_a_turn():
    worker = Worker()
    worker.keep(2)
    worker.turn_until((2, 0))
    assert worker.taken == ["gen-0", "gen-1"]
    assert worker.log.calls == []
    await worker.traces.close()


async def test_a_little_waits_for_more():
    worker = Worker()
    worker.keep()
    worker.turn_until((1, 0), now=200.0)
    worker.keep()
    worker.traces.turn(200.0 + 0.9 * TURN_S)
    assert len(worker.traces._kept) == 1
    worker.keep(AT_ONCE - 1)
    worker.turn_until((1 + AT_ONCE, 0), now=200.0 + 0.9 * TURN_S)
    worker.keep()
    worker.turn_until((2 + AT_ONCE, 0), now=202.0 + TURN_S)
    await worker.traces.close()


async def test_what_is_not_sampled_is_not_kept():
    worker = Worker(Sampler("always_off"))
    worker.keep()
    worker.traces.keep(ExchangeRecord("gen-9", "r", 1.0, 2.0))
    worker.traces.turn(200.0)
    await worker.traces.close()
    assert (worker.taken, worker.counted()) == ([], (0, 0))


def logged(worker):
    return [(call.method_name, call.kwargs) for call in worker.log.calls]


async def test_a_failure_is_told_once_and_so_is_its_end():
    worker = Worker()
    worker.fault = "it answers 401"
    for n in range(3):
        worker.keep()
        worker.turn_until((0, n + 1), now=200.0 + 2 * n)
    worker.fault = ""
    worker.keep()
    worker.turn_until((1, 3), now=206.0)
    worker.traces.turn(204.0 + 0.9 * QUIET_S)
    assert logged(worker) == [("warning", {"why": "it answers 401"})]
    worker.traces.turn(206.0 + QUIET_S)
    worker.traces.turn(207.0 + QUIET_S)
    assert logged(worker)[1:] == [("info", {"dropped": 3})]
    await worker.traces.close()


async def test_more_than_can_be_sent_is_told_once(monkeypatch):
    monkeypatch.setattr(outbox, "MOST_WAITING", 2)
    worker = Worker()
    for n in range(2):
        worker.keep(5)
        worker.turn_until((2 * n + 2, 3 * n + 3), now=200.0 + 2 * n)
    [(level, said)] = logged(worker)
    assert level == "warning"
    assert "OTEL_TRACES_SAMPLER" in said["why"]
    worker.traces.turn(300.0)
    assert logged(worker)[1:] == [("info", {"dropped": 6})]
    await worker.traces.close()


async def test_the_end_sends_what_is_kept():
    worker = Worker()
    worker.keep(3)
    await worker.traces.close()
    assert (len(worker.taken), worker.counted()) == (3, (3, 0))


async def test_the_loop_does_not_wait_long_for_the_thread():
    worker = Worker()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
    await worker.traces.close()


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, None),
        ({ENDPOINT: "http://c:4318"}, "http://c:4318/v1/traces"),
        ({ENDPOINT: "https://c/otlp/"}, "https://c/otlp/v1/traces"),
        ({TRACES_ENDPOINT: "http://c/t", ENDPOINT: "http://other"}, "http://c/t"),
        ({ENDPOINT: "http://c:4318", "OTEL_SDK_DISABLED": "true"}, None),
        ({"OTEL_TRACES_SAMPLER": "always_on", "OTEL_SERVICE_NAME": "edge"}, None),
    ],
)
def test_where_they_go(configure, environ, url):
    assert endpoint_of(configure(**environ)) == url


def test_without_an_endpoint_there_are_none(configure):
    assert traces_of(configure(), Meter(Slots(), lambda _: True), CapturingLogger(), random.Random()) is None


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({}, "fairlead"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=edge,team=search"}, "edge"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=edge,team=search", "OTEL_SERVICE_NAME": "mine"}, "mine"),
    ],
)
async def test_they_are_sent_as_it_was_set(configure, more, name):
    with Collector() as collector:
        more |= {"OTEL_EXPORTER_OTLP_HEADERS": "a=1,b=2", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "b=3"}
        settings = configure(**{TRACES_ENDPOINT: f"{collector.url}/mine", "OTEL_TRACES_SAMPLER": "always_on", **more})
        traces = traces_of(settings, Meter(Slots(), lambda _: True), CapturingLogger(), random.Random(1))
        unsampled = (b"traceparent", FROM_CALLER[1][:-1].encode() + b"0")
        traces.keep(ExchangeRecord("gen-1", "r", 1.0, 2.0, trace=traces.begin([unsampled])))
        await traces.close()
        [span] = collector.spans
        assert span.resource["service.name"] == name
        [(path, headers)] = collector.heads
        assert (path, headers["b"], headers.get("a")) == ("/mine", "3", None)


def test_what_can_be_sent_is_accepted(configure):
    check_traces(configure())
    check_traces(configure(**{ENDPOINT: "http://c"}))
    check_traces(configure(OTEL_EXPORTER_OTLP_PROTOCOL="grpc"))


@pytest.mark.parametrize("protocol", ["grpc", "http/json"])
def test_another_protocol_is_refused_with_the_remedy(configure, protocol):
    with pytest.raises(ConfigError, match=f'OTEL_EXPORTER_OTLP_PROTOCOL="{protocol}".*http/protobuf only; set it so'):
        check_traces(configure(**{ENDPOINT: "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}))


@pytest.mark.parametrize("variable", [ENDPOINT, TRACES_ENDPOINT])
def test_without_the_extra_the_start_is_refused_with_the_remedy(tmp_path, variable):
    """As in an environment in which nothing of OpenTelemetry is installed: a package without parts hides it."""
    empty = tmp_path / "hides" / "opentelemetry"
    empty.mkdir(parents=True)
    (empty / "__init__.py").touch()
    path = {"PYTHONPATH": f"{empty.parent}:{SOURCE}"}
    refused = fairlead(tmp_path, "check", **path, **{variable: "http://127.0.0.1:4318"})
    assert refused.returncode == 2
    assert f"{variable} is set, and what sends traces is not installed: pip install 'fairlead[otel]'" in refused.stderr
    assert fairlead(tmp_path, "check", **path).returncode == 0
