"""Smuggling: nothing comes to a provider behind a request that is the last, and of one that is served its bytes."""

from pathlib import Path

import pytest

from .framing import ANSWERED, BODY, REFUSED, SERVED, SMUGGLED, asked
from .raw import CHAT, Raw, chunked, exchange, get, head
from .upstream import upstream_body, upstream_head

CORPUS = Path(__file__).parents[1] / "edge" / "corpus"
REQUEST_ID = "hostile/1"


def corpus(name):
    """The rows of the edge's own corpus, which it is tested against with an app that only listens."""
    for line in (CORPUS / name).read_text(encoding="ascii").splitlines():
        if not line.startswith("#"):
            title, *rest = line.split(" | ")
            yield title, [*rest[:-1], rest[-1].encode("ascii").decode("unicode_escape").encode("latin-1")]


ROWS = {
    **{name: (400, data) for name, data in REFUSED.items()},
    **ANSWERED,
    **{f"head: {name}": (int(status), data) for name, (status, _, data) in corpus("refused_heads.txt")},
    **{f"body: {name}": (400, chunked(rest)) for name, (_, rest) in corpus("refused_bodies.txt")},
}


@pytest.mark.parametrize(("status", "data"), ROWS.values(), ids=ROWS)
def test_nothing_is_smuggled_behind_the_last(gateway, lab, status, data):
    seen = exchange(gateway, data + SMUGGLED)
    assert (seen.statuses, seen.was_reset) == ([status], False)
    assert seen.replies[-1].headers["connection"] == "close"
    assert lab.requests == []


@pytest.mark.parametrize("row", SERVED.values(), ids=SERVED)
def test_the_provider_gets_what_was_meant(gateway, lab, row):
    with Raw(gateway) as raw:
        raw.send(row.data)
        assert [reply.status for reply in raw.replies(len(row.statuses))] == row.statuses
        if row.is_kept:
            raw.send(get("/livez", "Connection: close"))
        seen = raw.rest()
    assert (seen.statuses, seen.was_reset) == (row.statuses + [200] * row.is_kept, False)
    bodies = [upstream_body(body) for body in row.upstream]
    assert [(request.head, request.body) for request in lab.requests] == [
        (upstream_head(lab, body, REQUEST_ID), body) for body in bodies
    ]


def test_a_request_may_come_in_any_pieces(gateway, lab):
    row = SERVED["chunk extensions"]
    with Raw(gateway) as raw:
        for at in range(len(row.data)):
            raw.send(row.data[at : at + 1])
        assert raw.reply().status == 200
    assert [request.body for request in lab.requests] == [upstream_body(body) for body in row.upstream]


def test_a_body_is_waited_for_when_its_caller_waits_to_be_asked(gateway, lab):
    data = asked(BODY, "Expect: 100-continue")
    with Raw(gateway) as raw:
        raw.send(data.removesuffix(BODY))
        raw.until(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert lab.requests == []
        raw.send(BODY)
        assert [reply.status for reply in raw.replies(2)] == [100, 200]
    assert [request.body for request in lab.requests] == [upstream_body(BODY)]


def test_the_rows_are_about_something():
    """A provider would be asked for the smuggled request, were it by itself."""
    assert SMUGGLED.startswith(f"POST {CHAT} ".encode())
    assert head("X: y").endswith(b"X: y\r\n\r\n")
