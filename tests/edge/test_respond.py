import asyncio
import json

import pytest

from fairlead.edge.respond import respond_error
from fairlead.errors import ApiError
from fairlead.telemetry.record import ExchangeRecord
from fairlead.wire.router_metadata import Routing

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


@pytest.mark.parametrize("status", [400, 503])
async def test_it_tells_the_routing_to_who_asks(status):
    caller = Caller()
    await respond_error(caller, ApiError(status, "no"), RECORD, Routing())
    [(_, headers), (body, _)] = caller.told
    told = json.loads(body)
    assert (told["error"]["code"], told["openrouter_metadata"]["attempt"]) == (status, 0)
    assert headers[b"content-length"] == b"%d" % len(body)


async def test_but_of_a_fault_of_ours_nothing():
    caller = Caller()
    await respond_error(caller, ApiError(500, "Internal error"), RECORD, Routing())
    assert json.loads(caller.told[1][0]).keys() == {"error"}


async def test_it_waits_for_a_caller_that_has_not_taken_the_replies_before_this_one():
    caller = Caller(is_slow=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(respond_error(caller, ApiError(400, "no"), RECORD))
        await asyncio.sleep(0)
        assert caller.told == []
        caller.taken.set()
    assert caller.told[0][0] == 400
