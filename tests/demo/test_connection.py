"""What happens to connections, over a socket: HTTP itself, and the scripts of time and framing."""

import asyncio

import pytest

from fairlead.demo import Script
from fairlead.demo.connection import MAX_WAITING

pytestmark = pytest.mark.anyio

A_DAY_S = 86_400.0
CHAT = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'


def post(body=CHAT, extra=b""):
    return b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n%bcontent-length: %d\r\n\r\n%b" % (extra, len(body), body)


# HTTP.


async def test_a_connection_is_kept(sim, ask):
    for _ in range(3):
        assert (await ask()).status == 200
    assert (sim.connections, len(sim.requests), sim.record.in_flight) == (1, 3, 0)


async def test_a_peer_that_wants_it_closed_gets_it_closed(sim, peer):
    await peer.send(post(extra=b"Connection: close\r\n"))
    reply = await peer.reply()
    assert reply.header("connection") == "close"
    assert (await peer.rest(), peer.end) == (b"", "eof")
    assert sim.aborted == 0


async def test_pipelined_requests_are_answered_in_order(sim, peer):
    texts = [f"number {n}" for n in range(MAX_WAITING * 3)]
    sim.queue.extend(Script(text=text) for text in texts)
    await peer.send(post() * len(texts))
    replies = [await peer.reply() for _ in texts]
    assert [reply.json()["choices"][0]["message"]["content"] for reply in replies] == texts


async def test_pipelined_requests_wait_for_a_slow_one_and_stop_the_reading(sim, peer):
    sim.queue.append(Script(stall_after=1))
    sender = asyncio.gather(peer.send(post(CHAT + b" " * 65_536) * MAX_WAITING * 5))
    await sim.wait_for(lambda sim: sim.record.seen > MAX_WAITING)
    await peer.head()
    assert (await peer.exactly(1), sim.record.in_flight) == (b"{", sim.record.seen)
    # One read of the loop may still complete some requests, but not all of these.
    assert sim.record.seen < MAX_WAITING * 4
    await sim.close()
    with pytest.raises(ConnectionResetError):
        await sender
    assert sim.record.in_flight == 0


async def test_a_body_of_64_mib_arrives_whole(sim, peer):
    body = b'{"model":"m","messages":[{"content":"' + b"x" * (64 * 1024 * 1024 - 41) + b'"}]}'
    await peer.send(post(body))
    assert (await peer.reply()).status == 200
    assert sim.requests[0].body == body
    await peer.send(post(body + b" ")[:200])
    assert (await peer.reply()).status == 413


async def test_a_chunked_body(sim, peer):
    await peer.send(b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
    for n in range(0, len(CHAT), 10):
        piece = CHAT[n : n + 10]
        await peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    await peer.send(b"0\r\n\r\n")
    assert (await peer.reply()).status == 200
    assert sim.requests[0].body == CHAT


async def test_a_peer_that_expects_to_continue_is_told_to(sim, peer):
    request = post(extra=b"Expect: 100-continue\r\n")
    await peer.send(request[: -len(CHAT)])
    assert await peer.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    await peer.send(CHAT)
    assert (await peer.reply()).status == 200
    assert sim.requests[0].head + sim.requests[0].body == request


async def test_a_peer_that_expects_to_continue_behind_a_reply_is_not_told_in_the_middle_of_it(sim, peer):
    sim.queue.append(Script(first_byte_delay_s=0.001, text="one"))
    request = post(extra=b"expect:100-continue\r\n")
    await peer.send(post() + request[: -len(CHAT)])
    await sim.wait_for(lambda sim: sim.record.seen == 1)
    assert (await peer.reply()).json()["choices"][0]["message"]["content"] == "one"
    await peer.send(CHAT)
    assert (await peer.head())[0] == 200


async def test_what_is_not_http_is_refused_after_what_was(peer):
    await peer.send(post() + b"\x16\x03\x01 nonsense\r\n\r\n" + post())
    assert (await peer.reply()).status == 200
    refusal = await peer.reply()
    assert (refusal.status, refusal.header("connection")) == (400, "close")
    assert (await peer.rest(), peer.end) == (b"", "eof")


async def test_requests_are_recorded_byte_for_byte(sim, peer):
    odd = b"POST /v1/chat/completions?a=%20 HTTP/1.1\r\nHoSt:x\r\nx-B:  1\t\r\nX-b: \xe9\r\nContent-Length: 9\r\n\r\n"
    await peer.send(odd + b'{"a": 1e5')
    await peer.reply()
    (request,) = sim.requests
    assert request.head == odd
    assert request.body == b'{"a": 1e5'
    assert request.headers == [(b"HoSt", b"x"), (b"x-B", b"1"), (b"X-b", b"\xe9"), (b"Content-Length", b"9")]


async def test_bytes_sent_are_those_that_arrive(sim, peer):
    await peer.send(post(extra=b"connection: close\r\n"))
    assert len(await peer.rest()) == sim.record.bytes_sent


async def test_leaving_between_requests_is_no_abort(sim, ask, peer):
    await ask()
    peer.close()
    await sim.wait_for(lambda sim: sim.record.open_connections == 0)
    assert sim.aborted == 0


async def test_leaving_a_stream_is_an_abort(sim, peer):
    sim.script = Script(token_delay_s=0.005, tokens=100_000)
    await peer.post(stream=True)
    await peer.until(b"[DEMO]")
    peer.close()
    await sim.wait_for(lambda sim: sim.aborted == 1)
    assert (sim.record.in_flight, sim.record.open_connections) == (0, 0)


# Scripts of time. How long they take is proven in `test_performance.py`.


async def nothing_came(sim, dial, sent):
    """The simulator is idle with the request in hand: another one has come and gone meanwhile."""
    await sim.wait_for(lambda sim: sim.record.in_flight == 1)
    other = await dial(sim)
    await other.post(headers=[("x-demo-script", "status=418"), ("connection", "close")])
    reply = await other.rest()
    assert sim.record.bytes_sent - len(reply) == sent
    assert sim.record.in_flight == 1


@pytest.mark.parametrize(
    "script",
    [
        Script(hang=True),
        Script(first_byte_delay_s=A_DAY_S),
        Script(slow_headers=0.001, first_byte_delay_s=A_DAY_S),
    ],
)
async def test_not_a_byte_before_its_time(sim, peer, dial, script):
    sim.queue.append(script)
    await peer.post()
    await nothing_came(sim, dial, sent=0)


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize(
    "script", [Script(head_then_hang=True), Script(first_token_delay_s=A_DAY_S), Script(stall_after=0)]
)
async def test_a_head_and_no_more(sim, peer, dial, script, is_stream):
    sim.queue.append(script)
    await peer.post(stream=is_stream)
    head = await peer.until(b"\r\n\r\n")
    await nothing_came(sim, dial, sent=len(head))


@pytest.mark.parametrize("script", [Script(stall_after=2), Script(stall_after=2, cut_after=3)])
async def test_a_stream_that_stalls(sim, peer, dial, script):
    sim.queue.append(script)
    await peer.post(stream=True)
    head = await peer.until(b"\r\n\r\n")
    events = await peer.until(b"\n\n\r\n") + await peer.until(b"\n\n\r\n")
    await nothing_came(sim, dial, sent=len(head + events))
    peer.close()
    await sim.wait_for(lambda sim: sim.aborted == 1)


async def test_a_token_at_a_time(sim, peer, dial):
    sim.queue.append(Script(token_delay_s=A_DAY_S))
    await peer.post(stream=True)
    head = await peer.until(b"\r\n\r\n")
    await nothing_came(sim, dial, sent=len(head + await peer.until(b"\n\n\r\n")))


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize(
    "script",
    [
        {"slow_headers": 0.0001},
        {"first_byte_delay_s": 0.001, "first_token_delay_s": 0.001, "token_delay_s": 0.0001},
        {"informational": 3},
        {"chunk_bytes": 1},
        {"chunk_bytes": 1000},
    ],
)
async def test_what_is_slow_or_in_pieces_arrives_whole(ask, script, is_stream):
    reply = await ask({"tokens": 12} | script, stream=is_stream)
    assert reply.events()[-1] == "[DONE]" if is_stream else reply.json()["choices"]
    assert (await ask()).status == 200


async def test_informational_replies_come_first(sim, peer):
    sim.script = Script(informational=2)
    await peer.post()
    assert [(await peer.head())[0] for _ in range(3)] == [103, 103, 200]


async def test_chunks_are_aligned_with_nothing(ask):
    reply = await ask({"chunk_bytes": 7}, stream=True)
    assert {len(chunk) for chunk in reply.chunks[:-1]} == {7}
    assert reply.events()[-1] == "[DONE]"


# Scripts of framing.


async def test_a_reply_that_ends_with_its_connection(ask, peer):
    for_whole = await ask({"close_delimited": True})
    assert for_whole.header("connection") == "close"
    assert not {"content-length", "transfer-encoding"} & dict(for_whole.headers).keys()
    assert for_whole.json()["choices"]
    assert peer.end == "eof"


async def test_a_stream_that_ends_with_its_connection(ask, peer):
    assert (await ask({"close_delimited": True}, stream=True)).events()[-1] == "[DONE]"
    assert peer.end == "eof"


@pytest.mark.parametrize("is_stream", [True, False])
async def test_a_length_that_promises_too_much(sim, peer, is_stream):
    sim.script = Script(truncate_length=3)
    await peer.post(stream=is_stream)
    _, headers = await peer.head()
    body = await peer.rest()
    assert (len(body), peer.end) == (int(dict(headers)["content-length"]) - 3, "eof")


async def test_trailers(ask):
    reply = await ask({"trailers": (("x-one", "1"), ("x-two", "2"))}, stream=True)
    assert reply.header("trailer") == "x-one, x-two"
    assert reply.trailers == [("x-one", "1"), ("x-two", "2")]
    whole = await ask({"trailers": (("x-one", "1"),)})
    assert whole.trailers == [("x-one", "1")]
    assert whole.json()["choices"]


@pytest.mark.parametrize("is_stream", [True, False])
async def test_garbage(sim, peer, is_stream):
    sim.script = Script(garbage=b"\x00\x01 SMTP ready\r\n")
    await peer.post(stream=is_stream)
    assert (await peer.rest(), peer.end) == (b"\x00\x01 SMTP ready\r\n", "eof")


async def test_a_kept_connection_that_closes_unannounced(sim, ask, peer):
    reply = await ask({"keepalive_close": True})
    assert reply.header("connection") is None
    assert (await peer.rest(), peer.end) == (b"", "eof")
    assert (sim.aborted, sim.record.in_flight) == (0, 0)


@pytest.mark.parametrize(("cut", "end"), [("close", "eof"), ("reset", "reset")])
@pytest.mark.parametrize(
    ("inside", "is_left"),
    [
        (None, lambda rest: rest == b""),
        # the size line promises more than comes
        ("chunk", lambda rest: int(rest.split(b"\r\n")[0], 16) > len(rest) > 10),
        # a whole chunk, but no end of the event
        ("event", lambda rest: rest.endswith(b"\r\n") and b"\n\n" not in rest and whole_chunk(rest)),
        # a whole chunk that ends with half a character
        ("utf8", lambda rest: rest.endswith(b'"content":"\xc3\r\n') and whole_chunk(rest)),
    ],
)
async def test_a_stream_cut_off(sim, peer, cut, end, inside, is_left):
    sim.script = Script(cut_after=3, cut=cut, cut_inside=inside)
    await peer.post(stream=True)
    await peer.head()
    events = [await peer.until(b"\n\n\r\n") for _ in range(3)]
    assert b'"role":"assistant"' in events[0]
    assert is_left(await peer.rest())
    assert peer.end == end
    await sim.wait_for(lambda sim: sim.record.open_connections == 0)
    assert sim.aborted == 0


def whole_chunk(rest):
    size, _, data = rest.partition(b"\r\n")
    return int(size, 16) == len(data) - 2


@pytest.mark.parametrize("inside", [None, "chunk", "event", "utf8"])
async def test_a_whole_reply_cut_off(sim, peer, inside):
    sim.script = Script(cut_after=2, cut_inside=inside)
    await peer.post()
    _, headers = await peer.head()
    body = await peer.rest()
    assert len(body) == {None: 32, "chunk": 41, "event": 40, "utf8": 41}[inside]
    assert int(dict(headers)["content-length"]) > len(body)


async def test_a_cut_after_the_end_leaves_out_the_last_chunk(sim, peer):
    sim.script = Script(cut_after=10_000)
    await peer.post(stream=True)
    assert (await peer.rest()).endswith(b"data: [DONE]\n\n\r\n")


async def test_a_reset_comes_after_all_that_was_sent(sim, peer):
    sim.script = Script(flood_bytes=8 * 1024 * 1024, cut_after=400, cut="reset")
    await peer.post(stream=True)
    await peer.head()
    received = await peer.rest()
    assert len(received.split(b"\n\n")) == 401
    assert peer.end == "reset"


async def test_leaving_before_a_reset_is_due_is_no_harm(sim, dial):
    sim.script = Script(flood_bytes=64 * 1024 * 1024, cut_after=1000, cut="reset")
    peer = await dial(sim, receive_buffer=16 * 1024)
    await peer.post(stream=True)
    await sim.wait_for(lambda sim: sim.record.paused == 1)
    peer.close()
    await sim.wait_for(lambda sim: sim.record.open_connections == 0)
    assert (sim.aborted, sim.record.in_flight) == (1, 0)


@pytest.mark.parametrize("where", ["default", "queue"])
async def test_a_connection_reset_as_soon_as_it_is_accepted(sim, dial, where):
    script = Script(reset_on_accept=True)
    if where == "default":
        sim.script = script
    else:
        sim.queue.append(script)
    peer = await dial(sim)
    assert (await peer.rest(), peer.end) == (b"", "reset")
    sim.script = Script()
    peer = await dial(sim)
    await peer.post()
    assert (await peer.reply()).status == 200
    assert (sim.connections, len(sim.requests), sim.aborted) == (2, 1, 0)


async def test_a_kept_connection_reset_at_its_next_request(sim, ask, peer):
    await ask()
    sim.script = Script(reset_on_accept=True)
    await peer.post()
    assert (await peer.rest(), peer.end) == (b"", "reset")


# Backpressure.


async def test_a_flood_waits_for_its_reader(sim, dial):
    sim.script = Script(flood_bytes=256 * 1024 * 1024)
    peer = await dial(sim, receive_buffer=16 * 1024)
    await peer.post(stream=True)
    await sim.wait_for(lambda sim: sim.record.paused == 1)
    # The kernel holds a few MB, the transport its high-water mark and a write; all the rest is not even made.
    assert sim.record.bytes_sent < 16 * 1024 * 1024
    before = sim.record.bytes_sent
    await peer.exactly(before + 1)
    assert sim.record.bytes_sent > before
    peer.close()
    await sim.wait_for(lambda sim: sim.aborted == 1)
    assert sim.record.paused == 0


async def test_a_paced_stream_waits_for_its_reader_too(sim, dial):
    sim.script = Script(text=("x" * 100_000 + " ") * 200, token_delay_s=0.0001)
    peer = await dial(sim, receive_buffer=16 * 1024)
    await peer.post(stream=True)
    await sim.wait_for(lambda sim: sim.record.paused == 1)
    assert (await peer.reply()).events()[-1] == "[DONE]"
    assert (sim.record.paused, sim.record.in_flight) == (0, 0)
