"""A caller that does not read, and one that leaves."""

import hashlib
import re

import orjson
import pytest

from fairlead.demo.shapes import DONE, Envelope, Events, flood_events
from harness.process import resident_bytes, until

from .caller import Caller
from .conftest import CLIENT_KEY

FLOOD_BYTES = 200_000_000
END_BYTES = 4_096
COST = re.compile(rb'"cost":[0-9.]+,"is_byok":false,"cost_details":\{[^}]*\},')
SENT_BOUND_BYTES = 40_000_000
"""The kernel's buffers take some megabytes at both ends of two connections."""
GROWN_BOUND_BYTES = 20_000_000
"""A stalled stream holds half a megabyte; the rest is what an allocator keeps for another time."""
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def test_a_caller_that_stops_reading_costs_little_and_gets_every_byte_later(shared, solo, model, caller):
    solo.does(flood_bytes=FLOOD_BYTES, usage=USAGE)
    caller.get("/readyz")
    before = {pid: resident_bytes(pid) for pid in shared.workers()}
    sent_before = solo.record.bytes_sent

    def grown_bytes():
        return max(resident_bytes(pid) - size for pid, size in before.items())

    with Caller(shared, CLIENT_KEY) as slow:
        stream = slow.send_chat(model, stream=True)
        until(lambda: is_at_rest(solo, caller))
        assert 0 < solo.record.bytes_sent - sent_before < SENT_BOUND_BYTES
        assert grown_bytes() < GROWN_BOUND_BYTES
        digest, size, first, end = hashlib.sha256(), 0, b"", b""
        while part := stream.read(1 << 20):
            first = first or part
            size += len(part)
            end += part
            digest.update(end[:-END_BYTES])
            end = end[-END_BYTES:]
    plain = COST.sub(b"", end)  # the one thing that was added on the way
    digest.update(plain)
    assert size - len(end) + len(plain) == FLOOD_BYTES
    assert digest.digest() == digest_of_flood(orjson.loads(first[6 : first.index(b"\n")]))
    assert grown_bytes() < GROWN_BOUND_BYTES


def is_at_rest(upstream, caller):
    """Whether nothing is sent for as long as the gateway takes to answer many others."""
    sent = upstream.record.bytes_sent
    for _ in range(50):
        caller.get("/livez")
    return upstream.record.paused == 1 and upstream.record.bytes_sent == sent


def digest_of_flood(chunk):
    """What the simulator sent, made again from the members that it put into each chunk."""
    events = Events.of(Envelope(chunk["id"], chunk["created"], orjson.dumps(chunk["model"])), includes_usage=True)
    digest = hashlib.sha256()
    for event in flood_events(events, [events.finish("stop"), events.usage(USAGE), DONE], FLOOD_BYTES):
        digest.update(event)
    return digest.digest()


@pytest.mark.parametrize(
    ("fate", "is_stream"),
    [({"stall_after": 3}, True), ({"flood_bytes": FLOOD_BYTES}, True), ({"hang": True}, True), ({"hang": True}, False)],
    ids=["in a silence", "in a flood", "before the head", "before an unstreamed reply"],
)
def test_the_provider_hears_at_once_of_a_caller_that_leaves(shared, solo, model, fate, is_stream):
    aborted = solo.record.aborted
    solo.does(**fate)
    leaving = Caller(shared, CLIENT_KEY)
    leaving.ask_chat(model, stream=is_stream, request_id=f"leaving/{model}")
    if "hang" in fate:
        solo.wait_for(lambda record: record.in_flight == 1)
    else:
        leaving.reply()
    leaving.close()
    solo.wait_for(lambda record: record.aborted == aborted + 1 and record.in_flight == 0)
    told = shared.request(f"leaving/{model}")
    assert (told["end"], told["attempts"][0]["verdict"]) == ("gone", "gone")
    assert told["status"] == (499 if "hang" in fate else 200)
