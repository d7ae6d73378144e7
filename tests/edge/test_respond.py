import asyncio
import json

import pytest

from fairlead.edge.respond import respond_error
from fairlead.errors import ApiError
from fairlead.telemetry.record import ExchangeRecord

pytestmark = pytest.mark.anyio

RECORD = ExchangeRecord("gen-1", "mine", 0.0, 0.0)


class Caller:
    """The part of `HttpDownstream` that a short reply uses; it notes what it is told."""

    def __init__(self, *, is_slow=False):
        self.is_slow = is_slow
        self.told = []
        self.taken = asyncio.Event()

    async def drained(self):
        await self.taken.wait()

    def start(self, status, headers):
        self.told.append((status, dict(headers)))

    def write(self, data, *, is_last):
        self.told.append((data, is_last))


async def test_the_whole_reply():
    caller = Caller()
    error = ApiError(401, "Unknown key", error_type="authentication", headers={"www-authenticate": "Bearer"})
    await respond_error(caller, error, RECORD)
    [(status, headers), (body, is_last)] = caller.told
    assert (status, is_last) == (401, True)
    assert json.loads(body)["error"]["message"] == "Unknown key"
    assert headers == {
        b"content-type": b"application/json",
        b"content-length": b"%d" % len(body),
        b"x-generation-id": b"gen-1",
        b"x-request-id": b"mine",
        b"x-should-retry": b"false",
        b"www-authenticate": b"Bearer",
    }


@pytest.mark.parametrize(
    ("status", "can_help"),
    [(400, False), (401, False), (404, False), (408, True), (413, False), (429, True), (500, True), (503, True)],
)
async def test_it_says_whether_another_try_can_help(status, can_help):
    caller = Caller()
    await respond_error(caller, ApiError(status, "no"), RECORD)
    assert caller.told[0][1][b"x-should-retry"] == (b"true" if can_help else b"false")


async def test_it_waits_for_a_caller_that_has_not_taken_the_replies_before_this_one():
    caller = Caller(is_slow=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(respond_error(caller, ApiError(400, "no"), RECORD))
        await asyncio.sleep(0)
        assert caller.told == []
        caller.taken.set()
    assert caller.told[0][0] == 400
