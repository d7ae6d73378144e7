import json

import pytest

from fairlead.admin.events import MAX_WAITING, Feed, Listener, change_event
from fairlead.health.endpoint import VERDICTS
from fairlead.health.outcome import Verdict
from fairlead.health.record import Change, Why

pytestmark = pytest.mark.anyio


def change(n=0, kind="ejected", endpoint="lab:acme/large", why=Why.SLOW, seconds=1.5):
    return Change("acme/large", endpoint, kind, seconds, int(why), n)


def told(data):
    """Kinds and data of events."""
    events = [event.split(b"\n") for event in data.removesuffix(b"\n\n").split(b"\n\n") if event]
    assert all(kind.startswith(b"event: ") and value.startswith(b"data: ") for kind, value in events)
    return [(kind[7:].decode(), json.loads(value[6:])) for kind, value in events]


def test_an_ejection():
    ((kind, data),) = told(change_event(change(), 1_700_000_000.12345))
    assert kind == "ejected"
    assert data == {
        "at": 1_700_000_000.123, "kind": "ejected", "endpoint": "lab:acme/large", "provider": "lab",
        "model": "acme/large", "why": "far slower than usual", "seconds": 1.5,
    }  # fmt: skip


def test_a_recovery_has_no_reason_and_no_end():
    ((kind, data),) = told(change_event(change(kind="recovered", why=Why.NOTHING, seconds=0.0), 1.0))
    assert (kind, data["why"], data["seconds"]) == ("recovered", "", 0.0)


def test_an_account_that_cools_down_has_no_model():
    why = VERDICTS.index(Verdict.QUOTA)
    ((kind, data),) = told(change_event(change(kind="cooling", endpoint="@lab", why=why, seconds=60.0), 1.0))
    assert (kind, data["provider"], data["model"], data["why"]) == ("cooling", "lab", None, "quota")


def test_a_name_cannot_write_events_of_its_own():
    (event,) = told(change_event(change(endpoint="lab:evil\n\nevent: x\ndata: {}"), 1.0))
    assert event[1]["model"] == "evil\n\nevent: x\ndata: {}"


async def test_each_listener_hears_each_change_once():
    feed = Feed()
    feed.tell(change())
    one, other = feed.join(), feed.join()
    feed.tell(change(seconds=1.0))
    feed.tell(change(seconds=2.0))
    for listener in (one, other):
        assert [data["seconds"] for _, data in told(await listener.take(5.0))] == [1.0, 2.0]
        assert await listener.take(0.0) == b""
    feed.leave(other)
    feed.tell(change(seconds=3.0))
    assert [data["seconds"] for _, data in told(await one.take(5.0))] == [3.0]
    assert await other.take(0.0) == b""
    assert feed.count == 1


async def test_who_is_slow_loses_the_oldest_and_is_told_how_many():
    listener = Listener()
    for n in range(MAX_WAITING + 10):
        listener.put(change_event(change(seconds=float(n)), 1.0))
    (dropped, lost), *kept = told(await listener.take(5.0))
    assert (dropped, lost["count"]) == ("dropped", 10)
    assert [data["seconds"] for _, data in kept] == [float(n) for n in range(10, MAX_WAITING + 10)]
    listener.put(change_event(change(), 1.0))
    assert len(told(await listener.take(5.0))) == 1, "it is told once"
