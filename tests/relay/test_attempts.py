"""Failover before the first content, and what the caller is told when nobody answers."""

import asyncio
import json

import pytest

from fairlead import clock
from fairlead.catalog.model import Timeouts
from fairlead.demo.script import Script
from fairlead.health.outcome import Verdict
from fairlead.health.record import Change, Record, State, Why
from harness.gateway import MODEL, gateway
from harness.http import ask, chat_body, request_bytes
from harness.tracing import CALLER, FROM_CALLER, begin_trace, parent_sent

pytestmark = pytest.mark.anyio

HASTY = Timeouts(connect_s=2, first_byte_s=0.15, idle_s=0.5, total_s=10)

GO_ELSEWHERE = {
    "refused": (Script(refuse=True), Verdict.TRANSIENT),
    "reset": (Script(reset_on_accept=True), Verdict.TRANSIENT),
    "silent": (Script(hang=True), Verdict.TIMEOUT),
    "head, then silent": (Script(head_then_hang=True), Verdict.TIMEOUT),
    "500": (Script(status=500), Verdict.TRANSIENT),
    "502": (Script(status=502), Verdict.TRANSIENT),
    "503": (Script(status=503), Verdict.OVERLOAD),
    "504": (Script(status=504), Verdict.TIMEOUT),
    "529": (Script(status=529), Verdict.OVERLOAD),
    "429": (Script(status=429, retry_after="2"), Verdict.LIMIT),
    "our key": (Script(status=401), Verdict.AUTH),
    "our account": (Script(status=402), Verdict.QUOTA),
    "no such model there": (Script(status=404), Verdict.MISSING),
    "garbage": (Script(garbage=b"\x00\x01 not http\r\n\r\n"), Verdict.PROTOCOL),
    "a web page": (Script(html=True), Verdict.PROTOCOL),
    "empty": (Script(empty=True), Verdict.PROTOCOL),
    "closed at once": (Script(body=b"", close_delimited=True), Verdict.PROTOCOL),
}


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("name", GO_ELSEWHERE)
async def test_a_failure_before_content_is_invisible(name, is_stream):
    script, verdict = GO_ELSEWHERE[name]
    async with gateway(script, Script(text="second"), timeouts=HASTY) as served:
        answer = await ask(served, chat_body(stream=is_stream))
        assert answer.status == 200
        assert b"second" in answer.body
        assert answer.headers["x-fairlead-provider"] == "sim1"
        assert answer.headers["x-fairlead-attempts"] == "2"
        [record] = served.records
        assert [attempt.verdict for attempt in record.attempts] == [verdict, Verdict.OK]
        assert served.board.of("sim0:acme/large").in_flight == 0
        assert served.board.of("sim1:acme/large").in_flight == 0


async def test_a_provider_is_not_blamed_for_the_connections_that_we_do_not_open():
    """All that a worker may have there are in use: another is asked, and when there is none the caller may wait."""
    impatient = Timeouts(connect_s=0.02, first_byte_s=5, idle_s=5, total_s=10)
    async with gateway(Script(stall_after=2), timeouts=impatient, max_connections=1) as served:
        [first], endpoint = served.simulators, served.board.of("sim0:acme/large")
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request_bytes(chat_body(stream=True)))
        await reader.readuntil(b"data: ")
        for _ in range(6):  # one more than failures in a row may be
            answer = await ask(served, chat_body())
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            error = json.loads(answer.body)["error"]
            assert error["metadata"]["error_type"] == "provider_overloaded"
            assert "Sim 0 has as many requests as it may be sent at once" in error["message"]
        assert [record.attempts[0].verdict for record in served.records] == [Verdict.FULL] * 6
        assert not endpoint.is_out(clock.monotonic())
        assert first.record.seen == 1
        first.script = Script(text="room again")
        writer.close()
        await first.wait_for(lambda it: it.record.in_flight == 0)
        answer = await ask(served, chat_body())
        assert (answer.status, b"room again" in answer.body) == (200, True)


async def test_another_is_asked_where_a_provider_has_no_connection_left():
    impatient = Timeouts(connect_s=0.02, first_byte_s=5, idle_s=5, total_s=10)
    async with gateway(Script(stall_after=2), Script(text="second"), timeouts=impatient, max_connections=1) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(request_bytes(chat_body(stream=True)))
        await reader.readuntil(b"data: ")
        answer = await ask(served, chat_body())
        assert (answer.status, b"second" in answer.body) == (200, True)
        assert [attempt.verdict for attempt in served.records[0].attempts] == [Verdict.FULL, Verdict.OK]
        writer.close()


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_fault_of_the_request_is_told_in_the_providers_words(status):
    error = (
        b'{"error":{"message":"temperature must be below 2","type":"invalid","param":"temperature","code":"bad_value"}}'
    )
    async with gateway(Script(status=status, body=error), Script()) as served:
        answer = await ask(served, chat_body())
        assert answer.status == status
        told = answer.json["error"]
        assert (told["message"], told["param"], told["code"]) == ("temperature must be below 2", "temperature", status)
        kind = {413: "payload_too_large", 422: "unprocessable"}.get(status, "invalid_request")
        assert told["metadata"] == {"error_type": kind, "provider_name": "Sim 0", "provider_code": "bad_value"}
        assert answer.headers["x-should-retry"] == "false"
        assert not served.simulators[1].requests
        assert served.failures_in_row("sim0:acme/large") == 0


async def test_limits_everywhere_are_429_with_the_soonest_retry_after():
    async with gateway(Script(status=429, retry_after="7"), Script(status=429, retry_after="3")) as served:
        answer = await ask(served, chat_body())
        assert answer.status == 429
        assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("3", "3000")
        assert answer.json["error"]["metadata"]["error_type"] == "rate_limit_exceeded"
        assert [one["status"] for one in answer.json["error"]["metadata"]["previous_errors"]] == [429, 429]
        availability = answer.json["error"]["availability"]
        assert (availability["code"], availability["retryable"], availability["retry_after"]) == (
            "capacity_exhausted", True, 3
        )  # fmt: skip
        assert availability["requested_models"] == [MODEL]


async def test_a_model_that_nobody_has_any_more():
    error = b'{"error":{"message":"The model does not exist","code":"model_not_found"}}'
    async with gateway(Script(status=404, body=error)) as served:
        answer = await ask(served, chat_body())
        availability = answer.json["error"]["availability"]
        assert (answer.status, availability["code"]) == (404, "model_unavailable_upstream")
        assert availability["retryable"] is False


async def test_a_content_refusal_is_told_as_one():
    error = b'{"error":{"message":"Your request was flagged","code":"content_policy_violation"}}'
    async with gateway(Script(status=400, body=error), Script()) as served:
        answer = await ask(served, chat_body())
        assert (answer.status, answer.json["error"]["metadata"]["error_type"]) == (400, "content_policy_violation")


FLAGGED = b'{"error":{"message":"Your request was flagged","code":"content_policy_violation"}}'
REFUSALS = {
    "400": Script(status=400, body=FLAGGED),
    "403": Script(status=403, body=FLAGGED),
    "at once in the stream": Script(
        body=b"data: " + FLAGGED + b"\n\n", headers=(("content-type", "text/event-stream"),)
    ),
}


@pytest.mark.parametrize("how", REFUSALS)
class TestAContentFilter:
    async def test_is_not_routed_around(self, how):
        async with gateway(REFUSALS[how], Script(text="here")) as served:
            answer = await ask(served, chat_body(stream=True))
            assert answer.status in (400, 403)
            assert answer.json["error"]["metadata"]["error_type"] == "content_policy_violation"
            assert "flagged" in answer.json["error"]["message"]
            assert [one.verdict for one in served.records[0].attempts] == [Verdict.FILTERED]

    async def test_unless_that_is_wanted_and_it_takes_nothing_from_the_retry_budget(self, how):
        async with gateway(REFUSALS[how], Script(text="here"), evades_filters=True) as served:
            served.relay.budget.tokens = served.relay.budget.per_second = served.relay.budget.per_request = 0.0
            answer = await ask(served, chat_body(stream=True))
            assert (answer.status, b"here" in answer.body) == (200, True)
            assert [one.verdict for one in served.records[0].attempts] == [Verdict.FILTERED, Verdict.OK]
            assert served.failures_in_row("sim0:acme/large") == 0

    async def test_where_all_refuse_the_first_is_told(self, how):
        async with gateway(REFUSALS[how], Script(status=500), evades_filters=True) as served:
            answer = await ask(served, chat_body(stream=True))
            assert answer.status in (400, 403)
            assert "flagged" in answer.json["error"]["message"]
            assert [one.verdict for one in served.records[0].attempts] == [Verdict.FILTERED, Verdict.TRANSIENT]


async def test_a_limit_among_other_failures_is_no_limit():
    async with gateway(Script(status=500), Script(status=429)) as served:
        assert (await ask(served, chat_body())).status == 503


async def test_the_operators_credentials_are_not_the_callers_business():
    error = b'{"error":{"message":"Incorrect API key provided: up-0","code":"invalid_api_key"}}'
    async with gateway(Script(status=401, body=error)) as served:
        answer = await ask(served, chat_body())
        assert answer.status == 502
        assert b"up-0" not in answer.body
        assert b"API key" not in answer.body


async def test_addresses_of_providers_are_not_the_callers_business():
    async with gateway(Script(refuse=True)) as served:
        answer = await ask(served, chat_body())
        assert answer.status == 502
        assert str(served.simulators[0].port).encode() not in answer.body
        assert b"127.0.0.1" not in answer.body


async def test_no_more_attempts_than_allowed():
    scripts = [Script(status=503)] * 3 + [Script()]
    async with gateway(*scripts, max_attempts=3) as served:
        assert (await ask(served, chat_body())).status == 503
        assert [len(simulator.requests) for simulator in served.simulators] == [1, 1, 1, 0]


async def test_an_ejected_endpoint_is_not_asked_while_another_is_fit():
    async with gateway(Script(status=500)) as served:  # alone, it is asked until it is ejected
        for _ in range(5):
            assert (await ask(served, chat_body())).status == 502
        ejected = served.board.of("sim0:acme/large")
        await served.until(lambda: ejected.state is State.EJECTED)
        async with gateway(Script(status=500), Script()) as other:
            other.board.of(ejected.id).record = ejected.record
            for _ in range(8):
                assert (await ask(other, chat_body())).status == 200
            assert not other.simulators[0].requests


async def test_one_failure_turns_the_traffic_away():
    async with gateway(Script(status=500), Script()) as served:
        for _ in range(8):
            assert (await ask(served, chat_body())).status == 200
        assert len(served.simulators[0].requests) == 1


async def test_comments_are_signs_of_life_and_promise_nothing():
    thinking = Script(body=b": thinking\n\n", headers=(("content-type", "text/event-stream"),), truncate_length=6)
    async with gateway(thinking, Script(text="second")) as served:
        answer = await ask(served, chat_body(stream=True))
        assert b"second" in answer.body
        assert b"thinking" not in answer.body


async def test_an_empty_retry_budget_lets_the_first_error_out():
    async with gateway(Script(status=500), Script()) as served:
        served.relay.budget.tokens, served.relay.budget.per_second = 0.0, 0.0
        answer = await ask(served, chat_body())
        assert answer.status == 502
        assert not served.simulators[1].requests
        assert "the retry budget is spent" in served.records[0].attempts[0].message


async def test_a_request_that_another_endpoint_may_take_costs_no_retry_budget():
    error = b'{"error":{"message":"maximum context length is 10 tokens","code":"context_length_exceeded"}}'
    async with gateway(Script(status=400, body=error), Script()) as served:
        served.relay.budget.tokens, served.relay.budget.per_second = 0.0, 0.0
        assert (await ask(served, chat_body())).status == 200


async def found_stuck(served):
    """Ask, and once the first endpoint is waited for let the fleet find it stuck; return the answer."""
    stuck = served.board.of("sim0:acme/large")
    stuck.record = Record(born=1.0, at=1.0)
    asking = asyncio.ensure_future(ask(served, chat_body(stream=True)))  # noqa: TID251 - a test's own task
    await served.simulators[0].wait_for(lambda sim: sim.record.seen == 1)
    if served.simulators[0].script.head_then_hang:
        await served.simulators[0].wait_for(lambda sim: sim.record.bytes_sent > 0)
        for _ in range(5):  # turns of the loop, in which the gateway reads what the provider has written
            await asyncio.sleep(0)
    stuck.estimate.usual_s = 0.0
    served.board.hear(Change(MODEL, stuck.id, "ejected", 1.0, Why.SLOW, 7), clock.monotonic())
    return await asking


@pytest.mark.parametrize("fate", [{"hang": True}, {"head_then_hang": True}], ids=str)
async def test_who_waits_at_an_endpoint_that_is_found_to_be_stuck_goes_elsewhere(fate):
    async with gateway(Script(**fate), Script(text="second")) as served:
        assert b"second" in (await found_stuck(served)).body
        [record] = served.records
        assert [attempt.verdict for attempt in record.attempts] == [Verdict.EVACUATED, Verdict.OK]
        assert served.failures_in_row("sim0:acme/large") == 0


async def test_leaving_a_stuck_endpoint_is_paid_for_once():
    async with gateway(Script(hang=True), Script(text="second")) as served:
        served.relay.budget.tokens, served.relay.budget.per_request, served.relay.budget.per_second = 1.0, 0.0, 0.0
        assert (await found_stuck(served)).status == 200


async def test_who_cannot_pay_for_leaving_goes_on_waiting():
    async with gateway(Script(first_byte_delay_s=0.1, text="first"), Script(text="second")) as served:
        served.relay.budget.tokens, served.relay.budget.per_request, served.relay.budget.per_second = 0.5, 0.0, 0.0
        assert b"first" in (await found_stuck(served)).body


async def test_when_none_is_fit_they_are_asked_all_the_same():
    async with gateway(Script(status=500)) as served:
        for _ in range(6):
            assert (await ask(served, chat_body())).status == 502
        served.simulators[0].script = Script(text="back")
        answer = await ask(served, chat_body())
        assert answer.json["choices"][0]["message"]["content"] == "back"


async def test_a_compressed_error_is_read():
    async with gateway(Script(status=400, encoding="gzip")) as served:
        answer = await ask(served, chat_body(), headers=[("accept-encoding", "gzip")])
        assert answer.status == 400
        assert "told to answer 400" in answer.json["error"]["message"]


async def test_an_endless_error_is_cut_short():
    async with gateway(Script(status=500, body=b"x" * 5_000_000), Script(text="second")) as served:
        assert (await ask(served, chat_body())).status == 200
        await served.simulators[0].wait_for(lambda sim: sim.aborted == 1)


async def test_a_whole_reply_that_ended_with_an_error_is_asked_for_elsewhere():
    """Nothing of it has been passed on, and what it says is a part."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "Once"}, "finish_reason": "error"}
    broken = Script(body=json.dumps({"id": "x", "choices": [choice], "usage": {"prompt_tokens": 1}}).encode())
    async with gateway(broken, Script(text="Once upon")) as served:
        answer = await ask(served, chat_body())
        assert answer.json["choices"][0]["message"]["content"] == "Once upon"
        assert [attempt.verdict for attempt in served.records[0].attempts] == [Verdict.TRANSIENT, Verdict.OK]
        assert served.failures_in_row("sim0:acme/large") == 1


class TestTraces:
    async def test_each_attempt_is_a_span_that_its_provider_is_told_of(self):
        headers = [FROM_CALLER, ("tracestate", "acme=1")]
        async with gateway(Script(status=503), Script(), begin_trace=begin_trace) as served:
            await ask(served, chat_body(), headers=headers)
            [record] = served.records
            first, second = record.attempts
            for attempt, simulator in zip(record.attempts, served.simulators, strict=True):
                [received] = simulator.requests
                assert parent_sent(received) == (CALLER.trace_id, attempt.span_id, 1)
                assert received.header("tracestate") == "acme=1"
            assert len({first.span_id, second.span_id, record.trace.span_id, CALLER.span_id}) == 4
            assert [one.endpoint.id for one in record.attempts] == ["sim0:acme/large", "sim1:acme/large"]

    async def test_when_its_content_began_is_known_of_the_one_that_had_some(self):
        async with gateway(Script(status=503), Script()) as served:
            await ask(served, chat_body(stream=True))
            [record] = served.records
            assert [one.first_content_at for one in record.attempts] == [0.0, record.first_content_at]

    async def test_without_traces_none_is_made_up(self):
        async with gateway(Script()) as served:
            await ask(served, chat_body())
            [record] = served.records
            assert (record.trace, record.attempts[0].span_id, record.attempts[0].endpoint) == (None, 0, None)
            assert parent_sent(served.simulators[0].requests[0]) is None
