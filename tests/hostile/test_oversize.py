"""Too much of everything: it is refused, or borne, in memory that does not grow with what is sent."""

import itertools

import pytest

from harness.process import until

from .bodies import chat, said
from .conftest import MAX_BODY_BYTES, MAX_REPLY_BYTES
from .framing import SMUGGLED
from .memory import Memory
from .raw import Raw, ask, chunked, get, head, sized
from .upstream import upstream_body

ENDLESS_BYTES = 64_000_000
SMALL_BYTES = 8_000_000
"""Bound of what a worker may grow by for what it refuses or throws away: some buffers."""
BODY_BOUND_BYTES = 6 * MAX_BODY_BYTES
"""The same for a body within the limit: read, decoded, put together anew, sent on. Room that the allocator has kept
from before is not counted, so that less may be seen."""
MEMBERS_BOUND_BYTES = 20 * MAX_BODY_BYTES
"""The same for one that is nothing but members of a few bytes: how many there are is known once they are decoded."""
HELD_BOUND_BYTES = 10 * MAX_REPLY_BYTES
"""The same for what is held of a reply: it comes, is put together, decoded, and written in another shape, twice by
responses."""
CHAT_PATHS = ["/v1/chat/completions", "/api/v1/chat/completions", "/v1/responses"]
TEN_MB = b"x" * 10_000_000
TEN_MB_OF_ESCAPES = b"\\u00e9" * 1_666_666

OWN = "Sec-Fetch-Site: same-origin"
ENDLESS = {
    # what is sent once, what is sent for ever, and the statuses
    "target": (b"GET /", b"a", [414]),
    "query": (b"GET /v1/models?", b"a", [414]),
    "field name": (head()[:-2], b"a", [431]),
    "field value": (head()[:-2] + b"X: ", b"a", [431]),
    "space before a value": (head()[:-2] + b"X:", b" ", [431]),
    "fields": (head()[:-2], b"X: y\r\n", [431]),
    "fields of framing": (head("Transfer-Encoding: chunked")[:-2], b"Transfer-Encoding: chunked\r\n", [400]),
    "cookies": (head()[:-2], b"Cookie: " + b"a=b; " * 1_000 + b"\r\n", [431]),
    "empty lines": (b"", b"\r\n", [431]),
    "method": (b"", b"A", [400]),
    "zeros": (b"", b"\x00", [400]),
    "chunk size": (chunked(b""), b"0", [431]),
    "chunk extension": (chunked(b"5;"), b"a", [431]),
    "chunk extensions": (chunked(b""), b"1;" + b"a" * 50_000 + b"\r\n \r\n", []),
    "trailer": (chunked(b"0\r\nX: "), b"a", [431]),
    "trailers": (chunked(b"0\r\n"), b"X: y\r\n", [431]),
    "body without a key": (chunked(b"", key=None), b"4000\r\n" + b" " * 0x4000 + b"\r\n", [401]),
    "body of a form": (chunked(b"", OWN, path="/auth", key=None), b"4000\r\n" + b"x" * 0x4000 + b"\r\n", [413]),
    "body of an app": (chunked(b"", path="/v1/auth/keys", key=None), b"4000\r\n" + b" " * 0x4000 + b"\r\n", [413]),
    "body of a list": (get("/v1/models", "Content-Length: 9999999999"), b" ", [200]),
    "body of no route": (chunked(b"", path="/none"), b"4000\r\n" + b" " * 0x4000 + b"\r\n", [404]),
    "body that says how long it is": (head(f"Content-Length: {MAX_BODY_BYTES + 1}"), b" ", [413]),
    "requests": (b"", get("/livez", "X: " + "y" * 1_000), None),
    "requests that are refused": (b"", sized(b"{}"), None),
}  # fmt: skip


LARGE = {
    # a body of ten megabytes, and its status; one that is served goes on as it came
    "text": (said(b'"' + TEN_MB + b'"'), 200),
    "text in escapes": (said(b'"' + TEN_MB_OF_ESCAPES + b'"'), 200),
    "text of quotes": (said(b'"' + b'\\"' * 5_000_000 + b'"'), 200),
    "image": (
        said(b'[{"type": "image_url", "image_url": {"url": "data:image/png;base64,' + TEN_MB + b'"}}]'), 200
    ),
    "messages": (chat(messages=b'"messages": [' + b", ".join([b'{"role": "user"}'] * 500_000) + b"]"), 200),
    "white space": (b" " * 10_000_000 + chat(), 200),
    "user": (chat(b'"user": "' + TEN_MB + b'"'), 200),
    "a name": (chat(b'"' + TEN_MB + b'": 1'), 200),
    "a name in escapes": (chat(b'"' + TEN_MB_OF_ESCAPES + b'": 1'), 200),
    "a number": (chat(b'"seed": ' + b"9" * 10_000_000), 400),  # the provider's word
    "tools": (chat(b'"tools": [{"type": "function", "function": {"name": "' + TEN_MB + b'"}}]'), 200),
    "model": (chat(model=b'"model": "' + TEN_MB + b'"'), 400),
    "model in escapes": (chat(model=b'"model": "' + TEN_MB_OF_ESCAPES + b'"'), 400),
    "one of the models": (chat(b'"models": ["' + TEN_MB + b'"]'), 400),
    "models": (chat(b'"models": [' + b",".join([b'"m"'] * 2_500_000) + b"]"), 400),
    "preferences": (chat(b'"provider": {"order": ["' + TEN_MB + b'"]}'), 400),
    "preset": (chat(b'"preset": "' + TEN_MB + b'"'), 404),
    "a limit": (chat(b'"max_tokens": ' + b"9" * 10_000_000), 400),
    "half a string": (chat()[:-1] + b', "x": "' + TEN_MB, 400),
    "no UTF-8 at the end": (chat(model=b'"model": "' + TEN_MB + b'\xff"'), 400),
    "white space alone": (b" " * 10_000_000, 400),
    "zeros": (bytes(10_000_000), 400),
    "many members": (chat(b",".join(b'"%x": 1' % n for n in range(900_000))), 400),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def warm(calm):
    """What a first request of each kind takes is no growth."""
    for _ in range(8):
        ask(calm, sized(said(b'"' + b"x" * 1_000_000 + b'"')))


@pytest.mark.parametrize("name", ENDLESS)
def test_what_has_no_end_takes_no_memory(gateway, lab, name):
    """The caller reads nothing until the gateway takes no more, or has taken far more than it may keep."""
    once, again, statuses = ENDLESS[name]
    memory = Memory(gateway)
    with Raw(gateway) as raw:
        if raw.send(once):
            raw.send_without_end(again, ENDLESS_BYTES)
        raw.half_close()
        seen = raw.rest()
    if statuses is not None:
        assert seen.statuses == statuses
    assert memory.grown_bytes < SMALL_BYTES
    assert lab.requests == []


def test_a_body_in_chunks_that_goes_on_and_on_is_refused_at_the_limit(gateway, lab):
    memory = Memory(gateway)
    with Raw(gateway) as raw:
        raw.send(chunked(b""))
        taken = raw.send_without_end(b"4000\r\n" + b" " * 0x4000 + b"\r\n", ENDLESS_BYTES)
        assert taken >= MAX_BODY_BYTES
        assert raw.rest().statuses == [413]
    assert memory.grown_bytes < BODY_BOUND_BYTES
    assert lab.requests == []


@pytest.mark.parametrize("name", LARGE)
def test_ten_megabytes_are_borne(gateway, lab, name):
    body, status = LARGE[name]
    memory = Memory(gateway)
    reply = ask(gateway, sized(body))
    assert reply.status == status
    assert len(reply.body) < 2_000
    assert memory.grown_bytes < (MEMBERS_BOUND_BYTES if name == "many members" else BODY_BOUND_BYTES)
    is_sent_on = status == 200 or name == "a number"
    assert [request.body for request in lab.requests] == [upstream_body(body)] * is_sent_on


FOR_EVER = [
    ("comments", "/v1/chat/completions", "true"),
    *itertools.product(["event", "text", "body"], CHAT_PATHS, ["true"]),
    *(("body", path, "false") for path in CHAT_PATHS),
]


@pytest.mark.parametrize(("what", "path", "stream"), FOR_EVER)
def test_a_provider_that_sends_for_ever_takes_no_memory(gateway, lab, what, path, stream):
    """Whatever the caller is given of it, more than the gateway holds at most; then the caller leaves."""
    lab.does(endless=what)
    body = f'{{"model": "lab/m", "messages": [{{"role": "user", "content": "hi"}}], "stream": {stream}}}'
    if path.endswith("responses"):
        body = f'{{"model": "lab/m", "input": "hi", "stream": {stream}}}'
    memory = Memory(gateway)
    with Raw(gateway) as raw:
        raw.send(sized(body.encode(), path=path))
        raw.up_to(2 * MAX_REPLY_BYTES)
        raw.reset()
    lab.wait_for(lambda record: record.in_flight == 0)
    assert memory.grown_bytes < HELD_BOUND_BYTES


def test_one_body_after_the_other_takes_no_more_than_the_first(gateway, lab):
    body = LARGE["text"][0]
    with Raw(gateway) as raw:
        for count in range(1, 4):
            raw.send(sized(body))
            raw.replies(count)
        memory = Memory(gateway)
        for count in range(4, 14):
            raw.send(sized(body))
            raw.replies(count)
    assert memory.grown_bytes < BODY_BOUND_BYTES


def test_requests_that_nobody_reads_the_replies_to_are_not_heaped_up(gateway, lab):
    """What is read ahead is bounded, and so are the replies that wait for their reader."""
    lab.does(text="x" * 100_000)
    memory = Memory(gateway)
    with Raw(gateway, receive_bytes=4_096) as raw:
        raw.send(SMUGGLED * 16)
        lab.wait_for(lambda record: record.requests and not record.in_flight)
        raw.send_without_end(SMUGGLED, SMALL_BYTES)
        assert memory.grown_bytes < SMALL_BYTES
        raw.reset()
        until(lambda: not raw.is_held())
    ask(gateway, SMUGGLED)  # behind whatever was on its way to the provider
