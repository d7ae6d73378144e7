"""Callers who take their time, to send or to take, on a gateway with little patience.

Nothing is asserted about how long that is: each connection ends by itself, or the test runs out of patience.
"""

import pytest

from harness.process import until

from .framing import BODY, SMUGGLED, SMUGGLED_BODY
from .raw import Raw, chunked, get, head, sized, wait_for_any
from .upstream import upstream_body

TICK_S = 0.02
"""Between two bytes of a caller who sends one at a time; far below what the gateway waits."""
OFTEN = 500
"""So many times a tick are longer than the longest of the gateway's limits."""

LONG = 16_000_000

ENDLESS_BODY = head(f"Content-Length: {len(BODY) + OFTEN}")
OWN = "Sec-Fetch-Site: same-origin"
SILENCES = {
    # what is sent before the silence, and the statuses that come
    "nothing": (b"", []),
    "an empty line": (b"\r\n", []),
    "a letter": (b"P", [408]),
    "half a request line": (b"POST /v1/chat", [408]),
    "half a head": (head(f"Content-Length: {len(BODY)}")[:-2], [408]),
    "head without its body": (head(f"Content-Length: {len(BODY)}"), [408]),
    "half a body": (sized(BODY)[:-5], [408]),
    "head without its chunks": (chunked(b""), [408]),
    "half a chunk size": (chunked(b"4"), [408]),
    "half a chunk": (chunked(b"44\r\n{"), [408]),
    "chunks without their end": (chunked(b"%x\r\n%b\r\n" % (len(BODY), BODY)), [408]),
    "half of the trailers": (chunked(b"%x\r\n%b\r\n0\r\nX: " % (len(BODY), BODY)), [408]),
    "wait for 100, then no body": (head(f"Content-Length: {len(BODY)}", "Expect: 100-continue"), [100, 408]),
    "half a form, without any key": (sized(b"key=", OWN, path="/auth", key=None)[:-2], [408]),
    "half a body, without any key": (sized(b'{"code": "x"}', path="/v1/auth/keys", key=None)[:-2], [408]),
    "half a request behind a whole one": (get("/livez") + b"GET /", [200, 408]),
    "nothing behind a whole one": (get("/livez"), [200]),
    "half a body that nobody reads": (sized(BODY, path="/v1/none")[:-5], [404]),
    "half a body behind a refusal": (sized(BODY, key=None)[:-5], [401]),
    "nothing behind nonsense": (b"nonsense\r\n\r\n", [400]),
}
TRICKLES = {
    # what is sent at once, what byte by byte, and the statuses that come
    "a head": (b"", head(*(f"X-{n}: y" for n in range(OFTEN))), [408]),
    "a target": (b"GET /", b"a" * OFTEN, [408]),
    "empty lines": (b"", b"\r\n" * OFTEN, []),
    "a body": (ENDLESS_BODY, b" " * OFTEN, [408]),
    "chunks": (chunked(b""), b"1\r\n \r\n" * OFTEN, [408]),
    "a chunk extension": (chunked(b"44;"), b"a" * OFTEN, [408]),
    "trailers": (chunked(b"0\r\n"), b"X: y\r\n" * OFTEN, [408]),
    "a body, without any key": (head(f"Content-Length: {OFTEN}", path="/v1/auth/keys", key=None), b" " * OFTEN, [408]),
    "a form, without any key": (head(f"Content-Length: {OFTEN}", OWN, path="/auth", key=None), b"x" * OFTEN, [408]),
    "a body that nobody reads": (head(f"Content-Length: {OFTEN}", path="/v1/none"), b" " * OFTEN, [404]),
}
ADAPTED = SMUGGLED.replace(b"/v1/", b"/api/v1/", 1)
"""Read whole before any of it is sent on: the exchange ends, and its reply waits for its reader."""
BEHIND = {
    "nothing": b"",
    "a refusal": sized(b"{}"),
    "a status": get("/livez"),
    "a list": get("/v1/models"),
    "chat": SMUGGLED,
    "adapted chat": ADAPTED,
    "half a head": b"GET /",
    "half a body": sized(BODY)[:-5],
    "nonsense": b"nonsense\r\n\r\n",
}


@pytest.fixture
def gateway(hasty):
    return hasty


def opened(gateway, rows, first_of):
    """A connection for each row, with its first bytes sent: all wait at the same time, and each test looks at one."""
    waiting = {name: Raw(gateway) for name in rows}
    for name, raw in waiting.items():
        raw.send(first_of(rows[name]))
    return waiting


@pytest.fixture(scope="module")
def silent(hasty):
    return opened(hasty, SILENCES, lambda row: row[0])


@pytest.mark.parametrize("name", SILENCES)
def test_who_falls_silent_is_not_waited_for(lab, silent, name):
    with silent[name] as raw:
        seen = raw.rest()
    assert (seen.statuses, seen.was_reset) == (SILENCES[name][1], False)
    if seen.statuses[-1:] == [408]:
        assert "did not arrive within 0.4 s" in seen.replies[-1].error["message"]
    assert lab.requests == []


@pytest.fixture(scope="module")
def trickling(hasty):
    """How many bytes each could write before it was answered, or its connection ended."""
    waiting = opened(hasty, TRICKLES, lambda row: row[0])
    taken = dict.fromkeys(TRICKLES, OFTEN)
    for count in range(OFTEN):
        left = {raw: name for name, raw in waiting.items() if taken[name] == OFTEN}
        if not left:
            break
        ended = wait_for_any(left, TICK_S)
        ended += [raw for raw in left if raw not in ended and not raw.send(TRICKLES[left[raw]][1][count : count + 1])]
        taken |= {left[raw]: count for raw in ended}
    return waiting, taken


@pytest.mark.parametrize("name", TRICKLES)
def test_who_sends_a_byte_at_a_time_is_not_waited_for_ever(lab, trickling, name):
    waiting, taken = trickling
    with waiting[name] as raw:
        seen = raw.rest()
    assert taken[name] < OFTEN
    assert seen.statuses == TRICKLES[name][2]
    assert lab.requests == []


def test_who_sends_slowly_but_steadily_is_served(calm, lab):
    data = sized(BODY)
    with Raw(calm) as raw:
        raw.send(data[:-20])
        for at in range(len(data) - 20, len(data)):
            assert wait_for_any([raw], TICK_S) == []
            raw.send(data[at : at + 1])
        assert raw.reply().status == 200
    assert [request.body for request in lab.requests] == [upstream_body(BODY)]


@pytest.fixture(scope="module")
def inert(hasty, shared_lab):
    """Those who take nothing. The first reply is longer than all buffers on its way; what follows waits for it."""
    shared_lab.does(text="x" * LONG)
    waiting = {name: Raw(hasty, receive_bytes=4_096) for name in BEHIND}
    seen = shared_lab.record.seen
    for name, raw in waiting.items():
        raw.send(ADAPTED + BEHIND[name])
    asked = len(BEHIND) + sum(rest.startswith(b"POST") and rest.endswith(SMUGGLED_BODY) for rest in BEHIND.values())
    shared_lab.wait_for(lambda record: record.seen == seen + asked and not record.in_flight)
    return waiting


@pytest.mark.parametrize("name", BEHIND)
def test_who_takes_nothing_is_not_waited_for_ever(inert, name):
    with inert[name] as raw:
        until(lambda: not raw.is_held())
