import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.catalog.model import Endpoint, Model, Provider
from fairlead.catalog.pricing import Usage
from fairlead.telemetry.own_words import MAX_TEXT_CHARS
from fairlead.telemetry.record import STREAM_ERROR, AttemptRecord, ExchangeRecord
from fairlead.telemetry.sampling import Sampler
from fairlead.telemetry.spans import spans_of
from fairlead.telemetry.trace import begin
from fairlead.telemetry.trace_context import TraceParent, header

PARENT = TraceParent(0xABC, 0xDEF, 1)
QUOTE = "you said: my secret plan"
UNIX = 1_795_276_677.25


def trace(flags=1):
    return begin([(b"traceparent", header(PARENT.trace_id, PARENT.span_id, flags))], Sampler(), random.Random(1))


def endpoint(slug="openai", base_url="https://api.example/v1"):
    return Endpoint(
        Provider(slug, slug, base_url, api_key="sk-upstream"), Model("acme/large", "Large"), "large-v1", None
    )


def attempt(provider, verdict, status, begun_at, duration_s, message="", span_id=7):
    return AttemptRecord(
        provider, verdict, status, duration_s, message, begun_at, span_id=span_id, endpoint=endpoint(provider)
    )


def record(**members):
    members = {"trace": trace(), "ended_at": 103.0, "status": 200, "end": "ok", "asked": "large", **members}
    return ExchangeRecord("gen-1", "mine-1", UNIX, 100.0, **members)


FAILED_OVER = dict(  # noqa: C408 - as it is passed on
    model="acme/large", provider="xai", is_stream=True, first_content_at=101.25, key_hash="0123456789abcdef" * 4,
    attempts=[
        attempt("mistral", "transient", 502, 100.5, 0.25, QUOTE),
        AttemptRecord("xai", "ok", 200, 2.0, "", 100.875, 101.25, 8, endpoint("xai", "http://[::1]:8080/v1")),
    ],
    usage=Usage(1200, 300, 600, 50, 100), cost_usd_nanos=1_234_000, finish_reason="stop", upstream_id="chatcmpl-9",
    session="talk-1", router="openrouter/auto", preset="house", cache="miss", body_wait_s=0.125,
)  # fmt: skip


def test_an_exchange_with_a_failover():
    exchange, first, second = spans_of(record(**FAILED_OVER))
    assert (exchange.name, exchange.kind, exchange.error) == ("chat large", "server", None)
    assert (exchange.trace.trace_id, exchange.parent_id) == (PARENT.trace_id, PARENT.span_id)
    assert exchange.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "x_ai",
        "gen_ai.request.model": "large",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "acme/large",
        "gen_ai.response.id": "chatcmpl-9",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 1.25,
        "gen_ai.conversation.id": "talk-1",
        "gen_ai.usage.input_tokens": 1200,
        "gen_ai.usage.output_tokens": 300,
        "gen_ai.usage.cache_read.input_tokens": 600,
        "gen_ai.usage.cache_write.input_tokens": 50,
        "gen_ai.usage.reasoning.output_tokens": 100,
        "http.response.status_code": 200,
        "fairlead.generation.id": "gen-1",
        "fairlead.request.id": "mine-1",
        "fairlead.api": "chat",
        "fairlead.end": "ok",
        "fairlead.provider": "xai",
        "fairlead.router": "openrouter/auto",
        "fairlead.preset": "house",
        "fairlead.cache": "miss",
        "fairlead.key": "0123456789ab",
        "fairlead.attempts": 2,
        "fairlead.failovers": 1,
        "fairlead.body_wait_s": 0.125,
        "fairlead.cost_usd_nanos": 1_234_000,
    }
    assert [(one.name, one.kind, one.parent_id, one.span_id) for one in (first, second)] == [
        ("chat large-v1", "client", exchange.span_id, 7),
        ("chat large-v1", "client", exchange.span_id, 8),
    ]
    assert first.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "mistral_ai",
        "gen_ai.request.model": "large-v1",
        "gen_ai.request.stream": True,
        "server.address": "api.example",
        "server.port": 443,
        "http.response.status_code": 502,
        "error.type": "transient",
        "fairlead.endpoint": "mistral:acme/large",
        "fairlead.verdict": "transient",
        "fairlead.attempt": 1,
    }
    assert first.error == "", "it failed; in whose words is not told"
    assert second.error is None
    told = {"server.address": "::1", "server.port": 8080, "gen_ai.response.time_to_first_chunk": 0.375}
    assert second.attributes.items() >= told.items()
    assert "error.type" not in second.attributes


def test_times_are_those_of_the_clock_on_the_wall():
    exchange, first, second = spans_of(record(**FAILED_OVER))
    start_ns = round(UNIX * 1e9)
    assert (exchange.start_ns, exchange.end_ns) == (start_ns, start_ns + 3_000_000_000)
    assert (first.start_ns, first.end_ns) == (start_ns + 500_000_000, start_ns + 750_000_000)
    assert (second.start_ns, second.end_ns) == (start_ns + 875_000_000, start_ns + 2_875_000_000)


def test_what_is_not_sampled_is_not_told():
    assert spans_of(record(**FAILED_OVER, trace=None)) == []
    assert spans_of(record(**FAILED_OVER, trace=trace(flags=0))) == []


def test_a_refusal():
    """That is the caller's fault, so the span of the server is none of an error."""
    [span] = spans_of(record(status=401, end="error", error="Unknown API key", error_type="authentication", asked=""))
    assert (span.name, span.error) == ("chat", None)
    assert span.attributes.items() >= {
        "gen_ai.provider.name": "fairlead",
        "http.response.status_code": 401,
        "error.type": "authentication",
        "fairlead.end": "error",
        "fairlead.attempts": 0,
    }.items()  # fmt: skip
    assert not {"gen_ai.request.model", "gen_ai.response.model", "gen_ai.usage.input_tokens"} & span.attributes.keys()


def test_when_nobody_could_answer():
    late = "connect time limit of 5 s ran out"
    failed = record(
        status=503, end="error", error="No provider could answer", error_type="provider_overloaded", model="acme/large",
        attempts=[attempt("acme", "timeout", 0, 100.0, 2.0, late), attempt("bolt", "overload", 503, 102.0, 0.5, QUOTE)],
    )  # fmt: skip
    exchange, first, second = spans_of(failed)
    assert (exchange.error, first.error, second.error) == ("No provider could answer", late, "")
    assert exchange.attributes["gen_ai.provider.name"] == "bolt", "who was asked last"
    assert exchange.attributes["error.type"] == "provider_overloaded"
    assert "gen_ai.response.model" not in exchange.attributes
    assert "http.response.status_code" not in first.attributes


def test_a_stream_that_broke_off():
    told = f"{STREAM_ERROR}: {QUOTE}"
    cut = record(
        end="cut", error=told, provider="acme", is_stream=True, attempts=[attempt("acme", "cut", 200, 100.0, 2.0, told)]
    )
    exchange, broken = spans_of(cut)
    assert (exchange.attributes["error.type"], exchange.error) == ("cut", STREAM_ERROR)
    assert (broken.attributes["error.type"], broken.error) == ("cut", "")


@pytest.mark.parametrize("verdict", ["gone", "outrun"])
def test_what_is_nobodys_failure_is_none(verdict):
    gone = record(status=499, end="gone", attempts=[attempt("acme", verdict, 0, 100.0, 0.5, "left")])
    exchange, left = spans_of(gone)
    assert (exchange.error, exchange.attributes["error.type"]) == (None, "gone")
    assert (left.error, left.attributes["fairlead.verdict"]) == (None, verdict)
    assert "error.type" not in left.attributes


def test_a_reply_that_is_told_again():
    [span] = spans_of(record(cache="hit", usage=Usage(), cost_usd_nanos=0, model="acme/large", provider="acme"))
    told = {"fairlead.cache": "hit", "fairlead.cost_usd_nanos": 0, "gen_ai.usage.input_tokens": 0}
    assert span.attributes.items() >= told.items()


def test_usage_that_is_reckoned_says_so():
    [span] = spans_of(record(usage=Usage(10, 5), is_estimated=True))
    assert span.attributes["fairlead.usage.is_estimated"] is True
    assert "fairlead.cost_usd_nanos" not in span.attributes, "nobody knows the price"


def test_attempts_from_before_traces_were_on_are_left_out():
    assert len(spans_of(record(attempts=[attempt("acme", "ok", 200, 100.0, 1.0, span_id=0)]))) == 1


texts = st.text(max_size=600)


@given(asked=texts, session=texts, upstream_id=texts, error=texts, status=st.integers(0, 599), end=st.text(max_size=9))
def test_whatever_was_recorded_makes_spans_that_can_be_sent(asked, session, upstream_id, error, status, end):
    for span in spans_of(
        record(asked=asked, session=session, upstream_id=upstream_id, error=error, status=status, end=end)
    ):
        assert len(span.name) <= MAX_TEXT_CHARS + len("chat …")
        assert span.start_ns <= span.end_ns
        for value in span.attributes.values():
            assert isinstance(value, str | int | float | tuple)
            assert not isinstance(value, str) or len(value) <= MAX_TEXT_CHARS + 1
