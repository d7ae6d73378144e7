"""What a request's head says apart from its body."""

import hashlib

import pytest

from fairlead.edge.request_head import head_of
from fairlead.relay.manner import OPENROUTER


def scope(*headers, path="/v1/chat/completions", **extensions):
    return {"path": path, "headers": list(headers), "extensions": extensions}


def test_a_head_is_read_once_for_all_requests_that_have_it():
    kept = {}
    first = head_of(scope((b"authorization", b"Bearer key"), (b"content-length", b"3"), **{"fairlead.head": kept}))
    again = head_of(scope((b"authorization", b"Bearer key"), (b"content-length", b"4"), **{"fairlead.head": kept}))
    assert again is first
    assert b"content-length" not in first.fields
    assert head_of(scope((b"authorization", b"Bearer key"))) is not first


def test_it_says_whose_key_and_which_program_asks():
    head = head_of(scope((b"x-api-key", b" key "), (b"user-agent", b"curl/8"), (b"x-session-id", b"s" * 300)))
    assert (head.token, head.key_hash) == (b"key", hashlib.sha256(b"key").hexdigest())
    assert (head.app.user_agent, head.session) == ("curl/8", "s" * 256)
    nobody = head_of(scope())
    assert (nobody.token, nobody.app, nobody.session, nobody.request_id) == (b"", None, "", "")


@pytest.mark.parametrize(("given", "taken"), [(b"abc-1", "abc-1"), (b"a b", ""), (b"x" * 129, "")])
def test_an_id_of_the_callers_is_taken_if_it_can_be(given, taken):
    assert head_of(scope((b"x-request-id", given))).request_id == taken


def test_of_repeated_headers_the_first_counts():
    assert head_of(scope((b"x-api-key", b"one"), (b"x-api-key", b"two"))).token == b"one"


def test_the_path_says_what_is_asked_and_how_it_is_answered():
    head = head_of(scope(path="/v1/responses"))
    assert (head.api, head.manner) == ("responses", OPENROUTER)
    asked = (b"x-openrouter-metadata", b"enabled")
    assert not head_of(scope(asked)).wants_metadata
    assert head_of(scope(asked, path="/api/v1/chat/completions")).wants_metadata


def test_only_the_trace_goes_up_and_only_if_it_fits_in_a_line():
    head = head_of(scope((b"traceparent", b"00-1-2-01"), (b"tracestate", b"x" * 600), (b"cookie", b"c=1")))
    assert head.trace_lines == b"traceparent: 00-1-2-01\r\n"
