import pytest

from fairlead.telemetry.own_words import MAX_TEXT_CHARS, cut, error_of, reason_of
from fairlead.telemetry.record import STREAM_ERROR, AttemptRecord, ExchangeRecord

QUOTE = "you said: my secret plan"


def attempt(verdict, status, message):
    return AttemptRecord("acme", verdict, status, 0.1, message)


def record(error, *attempts):
    return ExchangeRecord("gen-1", "r", 1.0, 2.0, error=error, end="error", attempts=list(attempts))


def test_what_is_long_is_cut():
    assert cut("a" * MAX_TEXT_CHARS) == "a" * MAX_TEXT_CHARS
    assert cut("a" * (MAX_TEXT_CHARS + 1)) == "a" * MAX_TEXT_CHARS + "…"


def test_why_there_was_no_reply():
    assert reason_of(attempt("timeout", 0, "connect time limit of 5 s ran out")) == "connect time limit of 5 s ran out"
    assert reason_of(attempt("gone", 0, "left")) == ""


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_reply_has_the_providers_words(status):
    assert reason_of(attempt("transient", status, QUOTE)) == ""


def test_what_a_request_failed_for():
    assert error_of(record("Unknown API key")) == "Unknown API key"
    assert error_of(record("late", attempt("timeout", 0, "late"))) == "late"
    assert error_of(record(QUOTE, attempt("client", 400, QUOTE))) == "acme refused the request"
    told = f"{STREAM_ERROR}: {QUOTE}"
    assert error_of(record(told, attempt("cut", 200, told))) == STREAM_ERROR
