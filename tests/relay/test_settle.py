import gzip
import json

import pytest

from fairlead.catalog.model import Endpoint, Model, Price, Provider
from fairlead.catalog.pricing import Usage
from fairlead.health.board import HealthBoard
from fairlead.health.outcome import OK
from fairlead.relay.settle import Unsettled, settle
from fairlead.telemetry.record import ExchangeRecord
from fairlead.wire.tokens import TokenEstimates

PRICED = Endpoint(Provider("acme", "Acme", "http://x/v1"), Model("acme/m", "M"), "m", Price(1_000_000, 2_000_000))
UNPRICED = Endpoint(Provider("acme", "Acme", "http://x/v1"), Model("acme/m", "M"), "m", None)
USAGE = {"prompt_tokens": 7, "completion_tokens": 3}
COST = 7 * 1000 + 3 * 2000
WHOLE = json.dumps({"choices": [{"message": {"content": 'a "usage":{"prompt_tokens":1}'}}], "usage": USAGE}).encode()
TAIL = b'ent":"cut"}}]}\n\ndata: {"choices":[],"usage":%b}\n\ndata: [DONE]\n\n' % json.dumps(USAGE).encode()


def settled(content, *, endpoint=PRICED, is_whole=True, encoding=b"", **members):
    unsettled = Unsettled(endpoint, content, is_whole, encoding, None, 0.0)
    record = ExchangeRecord("gen-1", "r", 0.0, 0.0, unsettled=unsettled, **{"is_stream": not is_whole} | members)
    settle(record, HealthBoard(), TokenEstimates())
    assert record.unsettled is None  # its content is let go
    return record


@pytest.mark.parametrize(
    ("content", "is_whole", "encoding"),
    [
        (WHOLE, True, b""),
        (WHOLE, True, b"identity"),
        (gzip.compress(WHOLE, mtime=0), True, b"gzip"),
        (TAIL, False, b""),
        (TAIL, False, b"identity"),
    ],
    ids=["whole", "whole, identity", "whole, gzip", "end of a stream", "end of a stream, identity"],
)
def test_usage_and_cost_are_found(content, is_whole, encoding):
    record = settled(content, is_whole=is_whole, encoding=encoding)
    assert record.usage == Usage(prompt_tokens=7, completion_tokens=3)
    assert record.cost_usd_nanos == COST


@pytest.mark.parametrize(
    ("content", "is_whole", "encoding"),
    [
        (b"", True, b""),
        (b"not JSON", True, b""),
        (b'{"choices":[]}', True, b""),
        (WHOLE, True, b"gzip"),
        (gzip.compress(WHOLE, mtime=0)[:40], True, b"gzip"),
        (WHOLE, True, b"br"),
        (b"", False, b""),
        (b"data: [DONE]\n\n", False, b""),
        (TAIL, False, b"gzip"),
    ],
)
def test_what_was_not_told_is_estimated_from_what_went_either_way(content, is_whole, encoding):
    record = settled(content, is_whole=is_whole, encoding=encoding, request_bytes=4_000, reply_bytes=25_000)
    assert record.is_estimated
    assert 500 < record.usage.prompt_tokens < 2_000
    assert 50 < record.usage.completion_tokens < 10_000
    assert record.cost_usd_nanos == record.usage.prompt_tokens * 1000 + record.usage.completion_tokens * 2000


def test_zero_stays_zero():
    whole = b'{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":0,"completion_tokens":0}}'
    record = settled(whole, request_bytes=4_000, reply_bytes=25_000)
    assert (record.usage, record.cost_usd_nanos, record.is_estimated) == (Usage(0, 0), 0, False)


@pytest.mark.parametrize(("reason", "cost"), [(b'"stop"', 7_000), (b"null", 0), (b'"error"', 0), (b'"length"', 7_000)])
def test_a_reply_of_nothing_that_ended_for_no_reason_costs_nothing(reason, cost):
    whole = b'{"choices":[{"finish_reason":%b}],"usage":{"prompt_tokens":7,"completion_tokens":0}}' % reason
    assert settled(whole).cost_usd_nanos == cost


def test_what_the_provider_says_it_cost_counts():
    whole = b'{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"cost":0.5}}'
    assert settled(whole).cost_usd_nanos == 500_000_000


def test_a_stream_that_broke_off_tells_so():
    assert settled(TAIL, is_whole=False, end="cut").finish_reason == "error"


def test_without_a_price_the_cost_is_unknown_and_the_usage_is_not():
    record = settled(WHOLE, endpoint=UNPRICED)
    assert record.usage == Usage(prompt_tokens=7, completion_tokens=3)
    assert record.cost_usd_nanos is None


def test_it_is_done_once():
    record = settled(WHOLE)
    usage = record.usage
    settle(record, HealthBoard(), TokenEstimates())
    assert record.usage is usage
    assert record.cost_usd_nanos == COST


def test_where_nothing_is_to_be_found_nothing_changes():
    record = ExchangeRecord("gen-1", "r", 0.0, 0.0, end="error", status=401)
    settle(record, HealthBoard(), TokenEstimates())
    assert record == ExchangeRecord("gen-1", "r", 0.0, 0.0, end="error", status=401)


@pytest.mark.parametrize(("tokens", "token_s"), [(401, 0.01), (101, 0.04)])
def test_how_fast_a_stream_came_is_noted(tokens, token_s):
    board = HealthBoard()
    attempt = board.of("acme:acme/m").begin(1.0, is_stream=True)
    board.first_token(attempt, 2.0)
    usage = {"prompt_tokens": 7, "completion_tokens": tokens}
    tail = b'data: {"choices":[],"usage":%b}\n\ndata: [DONE]\n\n' % json.dumps(usage).encode()
    board.end(attempt, OK, 6.0)
    record = ExchangeRecord("gen-1", "r", 0.0, 1.0, first_content_at=2.0)
    record.unsettled = Unsettled(PRICED, tail, False, b"", attempt, 6.0)
    settle(record, board, TokenEstimates())
    board.go_alone(6.0)
    assert board.of("acme:acme/m").estimate.token_s == pytest.approx(token_s, rel=0.05)
