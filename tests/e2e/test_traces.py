"""Traces as a collector gets them from a gateway in processes of its own."""

import itertools
import json
import random
import re
import signal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fairlead.telemetry.trace_context import TraceParent, header
from harness.collector import Collector
from harness.process import GatewayProcess, until
from harness.tracing import CALLER, parent_sent
from harness.valkey import free_port

from .caller import Caller
from .conftest import provider

KEY = "sk-e2e-traces-client-51b7"
TOKEN = "collector-e2e-token-90ce"
PROMPT = "the-words-of-the-prompt-7c1d"
ANSWER = "the-words-of-the-answer-e4a2"
REFUSAL = json.dumps({"error": {"message": f"I do not like {PROMPT}"}}).encode()
USAGE = {"prompt_tokens": 7, "completion_tokens": 3}
IN_ORDER = {"order": ["bad", "good"]}
CACHED = [("x-openrouter-cache", "true")]


class Asking(Caller):
    """A caller that is in a trace, perhaps, and gives its requests names."""

    def ask(self, model, name, *, parent=None, state=None, key=KEY, path="chat/completions", fields=(), **members):
        content = {"input": PROMPT} if path == "responses" else {"messages": [{"role": "user", "content": PROMPT}]}
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json", "x-request-id": name}
        headers |= dict(fields)
        if parent is not None:
            headers["traceparent"] = header(*parent).decode()
        if state is not None:
            headers["tracestate"] = state
        self._connection.request("POST", f"/v1/{path}", json.dumps({"model": model, **content, **members}), headers)
        reply = self.reply()
        return reply.status, reply.read()


@pytest.fixture(scope="module")
def collector():
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def bad(simulators):
    return simulators.start()


@pytest.fixture(scope="module")
def good(simulators):
    return simulators.start()


def environ(collector, bad, good, **more):
    names = [f"twin/m{n}" for n in range(20)]
    return {
        "FAIRLEAD_WORKERS": "1",
        "FAIRLEAD_LOG_FORMAT": "json",
        "FAIRLEAD_API_KEYS": KEY,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{collector.url}/",
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{TOKEN}",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=edge,team=search",
        **provider("bad", bad, models=",".join(f"{name}=bad-one" for name in names), price_prompt=1),
        **provider("good", good, models=",".join(f"{name}=good-one" for name in names), price_prompt=1),
        "FAIRLEAD_PROVIDERS__GOOD__PRICE_COMPLETION": "2",
        "FAIRLEAD_PROVIDERS__BAD__PRICE_COMPLETION": "2",
        **more,
    }


@pytest.fixture(scope="module")
def gateway(collector, bad, good, tmp_path_factory):
    env = environ(collector, bad, good)
    with GatewayProcess(tmp_path_factory.mktemp("traces"), env, secrets=[TOKEN]) as gateway:
        yield gateway


@pytest.fixture
def asking(gateway):
    with Asking(gateway, KEY) as asking:
        yield asking


_numbers = itertools.count()


@pytest.fixture
def model():
    """One that no test has asked for yet: nothing is known of who serves it."""
    return f"twin/m{next(_numbers)}"


@pytest.fixture
def parent():
    """The span of a caller, in a trace of its own."""
    return TraceParent(random.getrandbits(127) + 1, random.getrandbits(63) + 1, 1)


@pytest.fixture(autouse=True)
def _as_new(bad, good):
    bad.does(status=503, body=REFUSAL)
    good.does(text=ANSWER, usage=USAGE)
    for upstream in (bad, good):
        upstream.record.forget()


def port_of(upstream):
    return int(upstream.base_url.rpartition(":")[2].partition("/")[0])


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_failover(asking, gateway, collector, bad, good, model, parent, is_stream):
    name = f"failover-{is_stream}"
    status, _ = asking.ask(model, name, parent=parent, state="acme=1", provider=IN_ORDER, stream=is_stream)
    assert status == 200
    exchange, *attempts = collector.trace(name, spans=3)
    assert (exchange.name, exchange.kind) == (f"chat {model}", "server")
    assert (int(exchange.trace_id, 16), int(exchange.parent_id, 16)) == (parent.trace_id, parent.span_id)
    told = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "good", "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3, "fairlead.cost_usd_nanos": 13_000,
        "fairlead.attempts": 2, "fairlead.failovers": 1, "http.response.status_code": 200,
    }  # fmt: skip
    assert exchange.told.items() >= told.items()
    first, second = attempts
    assert [(one.name, one.kind) for one in attempts] == [("chat bad-one", "client"), ("chat good-one", "client")]
    assert [one.parent_id for one in attempts] == [exchange.span_id] * 2
    told = {"gen_ai.provider.name": "bad", "error.type": "overload", "http.response.status_code": 503}
    assert first.told.items() >= told.items()
    assert (first.status, second.status, exchange.status) == (2, 0, 0)
    for one, upstream in zip(attempts, (bad, good), strict=True):
        [request] = upstream.requests
        assert parent_sent(request) == (parent.trace_id, int(one.span_id, 16), 1)
        assert request.header("tracestate") == "acme=1"
        assert (one.told["server.address"], one.told["server.port"]) == ("127.0.0.1", port_of(upstream))
        assert exchange.start_ns <= one.start_ns <= one.end_ns <= exchange.end_ns
    assert first.end_ns <= second.start_ns
    assert ("gen_ai.response.time_to_first_chunk" in second.told) is is_stream
    assert exchange.resource.items() >= {"service.name": "edge", "team": "search"}.items()
    assert gateway.request(name)["trace_id"] == exchange.trace_id


def test_other_endings(asking, collector, bad, model):
    """A refusal, a Response, a reply told again, and nobody who answers."""
    assert asking.ask(model, "refused", key="sk-nobodys")[0] == 401
    [span] = collector.trace("refused")
    assert (span.name, span.parent_id, span.status) == ("chat", "", 0)
    assert span.told.items() >= {"error.type": "authentication", "http.response.status_code": 401}.items()

    only_good = {"only": ["good"]}
    assert asking.ask(model, "response", path="responses", provider=only_good)[0] == 200
    exchange, attempt = collector.trace("response", spans=2)
    assert (exchange.told["fairlead.api"], attempt.parent_id) == ("responses", exchange.span_id)

    answers = []

    def is_told_again():
        answers.append(asking.ask(model, f"kept-{len(answers)}", provider=only_good, fields=CACHED))
        [span, *_] = collector.trace(f"kept-{len(answers) - 1}")
        return span if span.told["fairlead.cache"] == "hit" else None

    span = until(is_told_again)
    assert span.told.items() >= {"fairlead.attempts": 0, "fairlead.cost_usd_nanos": 0}.items()

    assert asking.ask(model, "nobody", provider={"only": ["bad"]})[0] == 503
    exchange, attempt = collector.trace("nobody", spans=2)
    assert (exchange.status, attempt.status) == (2, 2)
    assert exchange.told["error.type"] == "provider_overloaded"


def test_a_parent_that_is_not_sampled_is_obeyed(asking, gateway, collector, good, model, parent):
    unsampled = parent._replace(flags=0)
    status, _ = asking.ask(model, "unsampled", parent=unsampled, provider={"only": ["good"]})
    assert status == 200
    [request] = good.requests
    assert parent_sent(request).trace_id == parent.trace_id, "who comes after us is told of it all the same"
    assert parent_sent(request).flags == 0
    asking.ask(model, "sampled", provider={"only": ["good"]})
    collector.trace("sampled", spans=2)
    assert gateway.request("unsampled")["trace_id"] == f"{parent.trace_id:032x}"
    assert not [span for span in collector.spans if int(span.trace_id, 16) == parent.trace_id]


def test_no_content_and_no_key_leaves(asking, gateway, collector, bad, good, model):
    """In no byte of what has been sent by then, of all these tests."""
    asking.ask(model, "content-1", provider=IN_ORDER)
    asking.ask(model, "content-2", provider=IN_ORDER, stream=True)
    good.does(status=400, body=REFUSAL)
    asking.ask(model, "content-3", provider={"only": ["good"]})
    good.does(text=ANSWER, cut_after=3)
    asking.ask(model, "content-4", provider={"only": ["good"]}, stream=True)
    asking.ask(model, "content-5", key="sk-nobodys-secret")
    for number in range(1, 6):
        collector.trace(f"content-{number}")
    told = b"".join(collector.exports)
    for secret in (PROMPT, ANSWER, TOKEN, KEY, "sk-nobodys", *gateway.secrets):
        assert secret.encode() not in told
    assert all(head["authorization"] == f"Bearer {TOKEN}" for _, head in collector.heads)


# Collectors that are out of order


def sample(gateway, name):
    with Caller(gateway, KEY) as caller:
        text = caller.get("/metrics").body.decode()
    return sum(
        one.value for family in text_string_to_metric_families(text) for one in family.samples if one.name == name
    )


def test_a_collector_that_refuses_is_told_of_once(bad, good, new_gateway):
    with Collector() as collector:
        collector.status = 401
        gateway = new_gateway(environ(collector, bad, good), secrets=[TOKEN]).start()
        with Asking(gateway, KEY) as asking:
            for n in range(3):
                before = sample(gateway, "fairlead_traces_dropped_total")
                assert asking.ask("twin/m0", f"refused-{n}", provider={"only": ["good"]})[0] == 200
                until(lambda before=before: sample(gateway, "fairlead_traces_dropped_total") == before + 1)
            assert json.loads(gateway.expect("traces are dropped"))["why"] == "it answers 401"
            collector.status = 200
            asking.ask("twin/m0", "taken", provider={"only": ["good"]})
            assert json.loads(gateway.expect("traces are delivered again"))["dropped"] == 3
            assert sample(gateway, "fairlead_traces_sent_total") == 1
            assert len([line for line in gateway.lines if "traces are dropped" in line]) == 1
        gateway.check_secrets()


@pytest.mark.parametrize("fate", ["away", "hangs"])
def test_a_collector_that_does_not_answer_costs_nobody_anything(bad, good, new_gateway, fate):
    """Requests are served, and the gateway ends when it is told to, with what it could not send."""
    with Collector() as collector:
        collector.hangs = True
        env = environ(collector, bad, good)
        if fate == "away":
            env["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{free_port()}"
        gateway = new_gateway(env, secrets=[TOKEN]).start()
        with Asking(gateway, KEY) as asking:
            answers = [asking.ask("twin/m0", f"r-{n}", provider={"only": ["good"]})[0] for n in range(50)]
            if fate == "hangs":
                collector.wait_for(lambda: collector.exports)
                answers += [asking.ask("twin/m0", f"s-{n}", provider={"only": ["good"]})[0] for n in range(50)]
            assert set(answers) == {200}
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0
    gateway.check_secrets()


def test_what_is_there_at_the_end_is_sent(bad, good, new_gateway):
    with Collector() as collector:
        gateway = new_gateway(environ(collector, bad, good)).start()
        with Asking(gateway, KEY) as asking:
            for n in range(5):
                asking.ask("twin/m0", f"last-{n}", provider={"only": ["good"]})
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0
        assert {one.told.get("fairlead.request.id") for one in collector.spans} >= {f"last-{n}" for n in range(5)}


def has_loaded_it(gateway):
    """By the library with which OpenTelemetry writes; the rest of it is Python."""
    return [bool(re.search(r"/google/_upb/", Path(f"/proc/{pid}/maps").read_text())) for pid in gateway.workers()]


def test_it_is_off_unless_an_endpoint_is_set(gateway, collector, bad, good, new_gateway):
    """Nothing of OpenTelemetry is loaded, and what callers say of their trace goes up as it is."""
    assert has_loaded_it(gateway) == [True]
    env = {name: value for name, value in environ(collector, bad, good).items() if not name.startswith("OTEL_")}
    gateway = new_gateway(env | {"OTEL_TRACES_SAMPLER": "always_on"}).start()
    assert has_loaded_it(gateway) == [False]
    with Asking(gateway, KEY) as asking:
        asking.ask("twin/m0", "off", parent=CALLER, provider={"only": ["good"]})
    [request] = good.requests
    assert parent_sent(request) == CALLER
    assert "trace_id" not in gateway.request("off")
