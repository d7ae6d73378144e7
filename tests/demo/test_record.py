import asyncio

import pytest

from fairlead.demo import record as module
from fairlead.demo.intake import ReceivedRequest
from fairlead.demo.record import Record

pytestmark = pytest.mark.anyio


def request(body=b"", target="/"):
    return ReceivedRequest("POST", target, b"POST / HTTP/1.1\r\n\r\n", body, True)


async def test_only_the_last_requests_are_kept_but_all_are_counted():
    record = Record(keep=3)
    for n in range(5):
        record.arrived(request(target=f"/{n}"))
    assert [kept.target for kept in record.requests] == ["/2", "/3", "/4"]
    assert (record.seen, record.in_flight) == (5, 5)
    record.forget()
    assert (list(record.requests), record.seen) == ([], 5)


async def test_large_bodies_push_out_the_oldest(monkeypatch):
    monkeypatch.setattr(module, "MAX_KEPT_BYTES", 1000)
    record = Record()
    for n in range(5):
        record.arrived(request(b"x" * 400, target=f"/{n}"))
    assert [kept.target for kept in record.requests] == ["/3", "/4"]


async def test_a_waiter_wakes_at_the_change_it_waits_for():
    record = Record()
    waiting = asyncio.gather(
        record.wait_for(lambda: record.seen >= 2, 5), record.wait_for(lambda: record.aborted == 1, 5)
    )
    for _ in range(2):
        await asyncio.sleep(0)
        assert not waiting.done()
        record.arrived(request())
    record.aborted = 1
    record.changed()
    await waiting
    assert record._waiters == []


async def test_a_condition_that_holds_already_does_not_wait():
    await Record().wait_for(lambda: True, 0)


async def test_waiting_ends_with_the_counters():
    with pytest.raises(TimeoutError, match="'aborted': 0"):
        await Record().wait_for(lambda: False, 0)


async def test_an_error_of_the_condition_is_the_waiters():
    record = Record()
    waiting = asyncio.gather(record.wait_for(lambda: record.seen == 1 and 1 / 0, 5))
    await asyncio.sleep(0)
    record.arrived(request())
    with pytest.raises(ZeroDivisionError):
        await waiting
