"""Callers who leave, in each phase of a request and in each manner: nothing of them stays."""

import itertools
import json

import pytest

from harness.process import until

from .conftest import LAB_TEXT
from .framing import BODY, SMUGGLED
from .raw import ADMIN_KEY, Raw, chunked, get, head, sized
from .upstream import upstream_body

STREAM_BODY = BODY[:-1] + b', "stream": true}'
LEAVE = {"close": Raw.leave, "reset": Raw.reset, "half": Raw.half_close}
"""A half-close says that nothing more will be sent. It cannot be told from a caller that has left altogether, and
counts as one: see `edge/protocol.py`."""

UNHEARD = {
    # what is sent before the caller leaves; no provider hears of it
    "before anything": b"",
    "in the request line": b"POST /v1/ch",
    "in a field": head("X: y")[:-5],
    "before the empty line": head(f"Content-Length: {len(BODY)}")[:-2],
    "before the body": head(f"Content-Length: {len(BODY)}"),
    "in the body": sized(BODY)[:-1],
    "in a chunk size": chunked(b"4"),
    "in a chunk": chunked(b"44\r\n{"),
    "between two chunks": chunked(b"1\r\n{\r\n"),
    "before the last chunk": chunked(b"%x\r\n%b\r\n" % (len(BODY), BODY)),
    "in the trailers": chunked(b"%x\r\n%b\r\n0\r\nX" % (len(BODY), BODY)),
    "when told to go on": head(f"Content-Length: {len(BODY)}", "Expect: 100-continue"),
    "in a form": sized(b"key=x", "Sec-Fetch-Site: same-origin", path="/auth", key=None)[:-1],
    "in the body of an app": sized(b"{}", path="/v1/auth/keys", key=None)[:-1],
    "in the body of a key": sized(b'{"name": "x"}', path="/v1/keys", key=ADMIN_KEY)[:-1],
    "in nonsense": b"nonsense\r\n",
}
PHASES = {
    # what the provider does, and whether the caller gets the beginning of a reply
    "waiting for the head": ({"hang": True}, False),
    "waiting for the first token": ({"head_then_hang": True}, False),
    "in mid-stream": ({"text": "word " * 50, "stall_after": 5}, True),
    "in a flood": ({"flood_bytes": 500_000_000}, True),
}


@pytest.mark.parametrize("manner", LEAVE)
@pytest.mark.parametrize("name", UNHEARD)
def test_half_a_request_is_nobodys(gateway, lab, name, manner):
    with Raw(gateway) as raw:
        raw.send(UNHEARD[name])
        if name == "when told to go on":
            raw.until(b"100 Continue\r\n\r\n")
        LEAVE[manner](raw)
        if manner == "half":
            assert [status for status in raw.rest().statuses if status != 100] == [400] * (name == "in nonsense")
        until(lambda: not raw.is_held())
    assert lab.requests == []


@pytest.mark.parametrize("manner", LEAVE)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/v1/chat/completions"])
@pytest.mark.parametrize("name", PHASES)
def test_the_provider_is_let_go_of(gateway, lab, name, path, manner):
    script, does_begin = PHASES[name]
    lab.does(**script)
    aborted, open_before = lab.record.aborted, lab.record.open_connections
    with Raw(gateway) as raw:
        raw.send(sized(STREAM_BODY, f"X-Request-Id: leaves/{name.replace(' ', '-')}/{manner}{path}", path=path))
        if does_begin:
            raw.until(b"data: ")
        else:
            lab.wait_for(lambda record: record.in_flight == 1)
        LEAVE[manner](raw)
        if manner == "half":
            raw.rest()  # for what is on its way there is the time of every reply that has ended
        until(lambda: not raw.is_held())
    lab.wait_for(lambda record: record.aborted == aborted + 1 and not record.in_flight)
    lab.wait_for(lambda record: record.open_connections <= open_before)
    told = gateway.request(f"leaves/{name.replace(' ', '-')}/{manner}{path}")
    assert (told["end"], told["status"]) == ("gone", 200 if does_begin else 499)
    assert [attempt["verdict"] for attempt in told["attempts"]] == ["gone"]
    assert len(lab.requests) == 1


@pytest.mark.parametrize("manner", LEAVE)
def test_what_was_sent_ahead_is_not_begun(gateway, lab, manner):
    lab.does(hang=True)
    with Raw(gateway) as raw:
        raw.send(sized(BODY) + SMUGGLED * 3)
        lab.wait_for(lambda record: record.in_flight == 1)
        LEAVE[manner](raw)
        if manner == "half":
            assert raw.rest().statuses == []
    lab.wait_for(lambda record: not record.in_flight)
    assert [request.body for request in lab.requests] == [upstream_body(BODY)]


@pytest.mark.parametrize("manner", ["close", "reset"])
def test_who_leaves_with_the_reply_unread_has_had_it(gateway, lab, manner):
    with Raw(gateway) as raw:
        raw.send(sized(BODY, f"X-Request-Id: unread/{manner}"))
        lab.wait_for(lambda record: record.requests and not record.in_flight)
        gateway.request(f"unread/{manner}")
        LEAVE[manner](raw)
    assert gateway.request(f"unread/{manner}")["end"] == "ok"


def test_who_half_closes_behind_the_reply_is_let_go_in_peace(gateway, lab):
    with Raw(gateway) as raw:
        raw.send(sized(BODY))
        assert LAB_TEXT.encode() in raw.reply().body
        raw.half_close()
        seen = raw.rest()
    assert (seen.statuses, seen.was_reset) == ([200], False)


def test_what_the_fleet_has_under_way_goes_back_to_nothing(gateway, lab):
    """As operators see it: an average of the last seconds, so that it takes its time."""
    lab.does(text="word " * 50, stall_after=5)
    with Raw(gateway) as asking:
        counted = itertools.count(1)

        def in_flight():
            asking.send(get("/admin/v1/endpoints", key=ADMIN_KEY))
            told = json.loads(asking.replies(next(counted))[-1].body)
            return next(one["in_flight"] for one in told["endpoints"] if one["provider"] == "lab")

        leaving = [Raw(gateway) for _ in range(6)]
        for raw in leaving:
            raw.send(sized(STREAM_BODY))
            raw.until(b"data: ")
        until(lambda: in_flight() >= 1.0)
        for raw, manner in zip(leaving, [*LEAVE, *LEAVE], strict=True):
            LEAVE[manner](raw)
        until(lambda: in_flight() == 0.0)
    for raw in leaving:
        raw.leave()


def test_listeners_who_leave_are_let_go_of(gateway, lab):
    """Of the operators' event stream, which has no end of its own."""
    listening = [Raw(gateway) for _ in range(3)]
    for raw, manner in zip(listening, LEAVE, strict=True):
        raw.send(get("/admin/v1/events", key=ADMIN_KEY))
        raw.until(b"retry: 1000")
        LEAVE[manner](raw)
    for raw in listening:
        until(lambda raw=raw: not raw.is_held())
        raw.leave()
