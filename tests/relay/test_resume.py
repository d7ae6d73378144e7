"""Streams that break off and are asked for again: what the caller reads, and what is on record."""

import json

import pytest

from fairlead.catalog.model import Price
from fairlead.demo.script import Script
from fairlead.health.outcome import Verdict
from fairlead.relay.exchange import RelayLimits
from harness.gateway import gateway
from harness.http import ask, chat_body
from harness.tracing import begin_trace, parent_sent

pytestmark = pytest.mark.anyio

PATHS = ["/v1/chat/completions", "/api/v1/chat/completions"]
TEXT = "one two three four five six seven eight"
BROKEN = Script(text=TEXT, cut_after=4)
WHOLE = Script(text=TEXT)


def serve(*scripts, resume_tokens=100, **options):
    return gateway(*scripts, resume_tokens=resume_tokens, **options)


async def read(served, path=PATHS[0], **members):
    """Return the text and the last word of a stream, with temperature 0 unless that is said otherwise."""
    members = {"temperature": 0, **members}
    answer = await ask(served, chat_body(stream=True, **members), path=path)
    told = [json.loads(line[6:]) for line in answer.body.split(b"\n") if line.startswith(b"data: {")]
    choices = [choice for event in told for choice in event["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    [reason] = {choice["finish_reason"] for choice in choices} - {None}
    return text, reason


def verdicts(served):
    return [attempt.verdict for attempt in served.records[-1].attempts]


@pytest.mark.parametrize("path", PATHS)
class TestTheSameAnswer:
    @pytest.mark.parametrize("wish", [{"temperature": 0.0}, {"seed": 7, "temperature": 1}])
    async def test_it_goes_on_elsewhere(self, path, wish):
        async with serve(BROKEN, WHOLE) as served:
            assert await read(served, path, **wish) == (TEXT, "stop")
            record = served.records[-1]
            assert (record.end, record.provider, verdicts(served)) == ("ok", "sim1", [Verdict.CUT, Verdict.OK])
            assert served.failures_in_row("sim0:acme/large") == 1
            assert served.failures_in_row("sim1:acme/large") == 0

    async def test_in_other_pieces_too(self, path):
        async with serve(BROKEN, Script(text=TEXT, chunk_bytes=7)) as served:
            assert await read(served, path) == (TEXT, "stop")

    async def test_at_the_same_endpoint_where_there_is_no_other(self, path):
        async with serve(WHOLE) as served:
            served.simulators[0].queue.append(BROKEN)
            assert await read(served, path) == (TEXT, "stop")
            assert verdicts(served) == [Verdict.CUT, Verdict.OK]

    async def test_it_is_charged_once_at_the_price_of_who_completes_it(self, path):
        async with serve(BROKEN, WHOLE, price=Price(1_000_000, 2_000_000)) as served:
            await read(served, path)
            resumed = served.records[-1]
            served.simulators[0].script = WHOLE
            await read(served, path)
            assert resumed.cost_usd_nanos == served.records[-1].cost_usd_nanos > 0
            assert not resumed.is_estimated


@pytest.mark.parametrize("path", PATHS)
async def test_half_an_event_is_a_hindrance_only_where_it_has_been_passed_on(path):
    async with serve(Script(text=TEXT, cut_after=4, cut_inside="event"), WHOLE) as served:
        if path == PATHS[1]:
            assert await read(served, path) == (TEXT, "stop")
        else:
            assert not (await ask(served, chat_body(stream=True, temperature=0))).is_whole
            assert not served.simulators[1].requests


@pytest.mark.parametrize("path", PATHS)
class TestNothingIsMadeUp:
    async def test_another_answer_ends_with_the_error(self, path):
        async with serve(BROKEN, Script(text="one two four")) as served:
            text, reason = await read(served, path)
            assert reason == "error"
            assert text
            assert TEXT.startswith(text)
            assert (served.records[-1].end, verdicts(served)) == ("cut", [Verdict.CUT, Verdict.DIVERGED])
            assert served.failures_in_row("sim1:acme/large") == 0
            assert served.board.of("sim1:acme/large").in_flight == 0

    async def test_one_that_breaks_off_again_ends_with_the_error(self, path):
        async with serve(BROKEN, Script(text=TEXT, cut_after=6)) as served:
            text, reason = await read(served, path)
            assert (TEXT.startswith(text), reason) == (True, "error")
            assert verdicts(served) == [Verdict.CUT, Verdict.CUT]

    async def test_where_nobody_answers_it_ends_with_the_error(self, path):
        async with serve(BROKEN, Script(status=500)) as served:
            text, reason = await read(served, path)
            assert (TEXT.startswith(text), reason) == (True, "error")
            assert verdicts(served) == [Verdict.CUT, Verdict.TRANSIENT]
            assert served.records[-1].end == "cut"


@pytest.mark.parametrize(
    ("tokens", "wish"),
    [(0, {}), (1, {}), (100, {"temperature": 0.5}), (100, {"temperature": None}), (100, {"n": 2})],
    ids=str,
)
async def test_only_where_it_is_wanted_and_can_be_expected(tokens, wish):
    async with serve(BROKEN, WHOLE, resume_tokens=tokens) as served:
        _, reason = await read(served, **wish)
        assert reason == "error"
        assert not served.simulators[1].requests


async def test_what_is_asked_again_is_a_span_of_the_same_trace():
    async with serve(BROKEN, WHOLE, begin_trace=begin_trace) as served:
        await read(served)
        [record] = served.records
        sent = [parent_sent(simulator.requests[0]) for simulator in served.simulators]
        assert sent == [(record.trace.trace_id, attempt.span_id, 3) for attempt in record.attempts]


async def test_a_spent_retry_budget_forbids_it():
    async with serve(BROKEN, WHOLE) as served:
        served.relay.budget.tokens = served.relay.budget.per_second = 0.0
        served.relay.budget.per_request = 0.0
        assert (await read(served))[1] == "error"
        assert not served.simulators[1].requests


@pytest.mark.parametrize(
    ("key", "provider", "others", "is_resumed"),
    [
        (None, None, 0, False),
        (None, 100, 0, True),
        (None, 0, 100, False),
        (None, 1, 100, False),
        (100, 0, 0, True),
        (0, 100, 100, False),
        (1, 100, 100, False),
    ],
)
async def test_the_keys_setting_goes_before_the_providers_and_that_before_the_gateways(
    key, provider, others, is_resumed
):
    own = {"key": {"resume_tokens": key}, "provider": {"resume_tokens": provider}}
    async with serve(BROKEN, WHOLE, resume_tokens=others, **own) as served:
        assert (await read(served))[1] == ("stop" if is_resumed else "error")
        assert len(served.simulators[1].requests) == is_resumed


def test_it_is_off_unless_asked_for():
    assert RelayLimits().resume_tokens == 0
