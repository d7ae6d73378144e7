import base64

import orjson
import pytest

from fairlead.demo import Script

pytestmark = pytest.mark.anyio


@pytest.fixture
def control(sim, dial):
    """Sends one request about the simulator on a connection of its own."""

    async def control(method, path, members=None):
        peer = await dial(sim)
        await peer.post(b"" if members is None else orjson.dumps(members), method=method, target=path)
        reply = await peer.reply()
        peer.close()
        return reply.status, reply.json()

    return control


async def test_the_counters(sim, ask, peer, control):
    await ask()
    sim.queue.append(Script(stall_after=1))
    await peer.post()
    await sim.wait_for(lambda sim: sim.record.seen == 2)
    status, stats = await control("GET", "/demo/stats")
    assert (status, stats["name"], stats["requests"], stats["in_flight"], stats["aborted"]) == (200, "demo", 2, 1, 0)
    assert stats["connections"] == 2
    assert stats["bytes_sent"] > 0
    peer.close()
    await sim.wait_for(lambda sim: sim.aborted == 1)
    _, stats = await control("GET", "/demo/stats")
    assert (stats["in_flight"], stats["aborted"], stats["requests"]) == (0, 1, 2)


async def test_the_requests_as_they_arrived(sim, peer, control):
    body = b'{"model": "m",\n"messages": [{"content": "\xc3\xa9"}]}'
    await peer.post(body, headers=[("X-Odd", "1"), ("x-odd", "2")], target="/v1/chat/completions?q")
    await peer.reply()
    _, listed = await control("GET", "/demo/requests")
    (request,) = listed["requests"]
    assert (request["method"], request["target"]) == ("POST", "/v1/chat/completions?q")
    assert request["headers"] == [["host", "test"], ["content-length", str(len(body))], ["X-Odd", "1"], ["x-odd", "2"]]
    assert base64.b64decode(request["body"]) == body
    assert base64.b64decode(request["head"]) == sim.requests[0].head
    assert await control("DELETE", "/demo/requests") == (200, {})
    assert await control("GET", "/demo/requests") == (200, {"requests": []})
    assert (len(sim.requests), sim.record.seen) == (0, 1)


async def test_no_more_than_a_hundred_are_listed(sim, peer, control):
    for n in range(103):
        await peer.post(target=f"/v1/chat/completions?{n}")
        await peer.reply()
    _, listed = await control("GET", "/demo/requests")
    assert [request["target"].partition("?")[2] for request in listed["requests"]] == [str(n) for n in range(3, 103)]


async def test_scripts_for_the_next_and_for_all(peer, control):
    script = {"default": {"status": 500}, "queue": [{"status": 429, "retry_after": "1"}, None]}
    assert await control("PUT", "/demo/script", script) == (200, {})
    statuses = []
    for _ in range(4):
        await peer.post()
        statuses.append((await peer.reply()).status)
    assert statuses == [429, 200, 500, 500]


async def test_what_is_left_out_stays(sim, control):
    sim.script = Script(status=500)
    sim.queue.append(Script(status=429))
    await control("PUT", "/demo/script", {})
    assert (sim.script, list(sim.queue)) == (Script(status=500), [Script(status=429)])
    await control("PUT", "/demo/script", {"default": None})
    assert (sim.script, list(sim.queue)) == (Script(), [Script(status=429)])
    await control("PUT", "/demo/script", {"queue": []})
    assert list(sim.queue) == []


async def test_refusing_by_script_and_taking_it_back(sim, peer, dial, control):
    await peer.post({"default": {"refuse": True}}, method="PUT", target="/demo/script")
    await peer.reply()
    with pytest.raises(ConnectionRefusedError):
        await dial(sim)
    await peer.post({"default": None}, method="PUT", target="/demo/script")
    await peer.reply()
    assert (await control("GET", "/demo/stats"))[0] == 200


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([], "must be an object"),
        ({"defaults": {}}, "must be an object of"),
        ({"default": {"stattus": 1}}, "unknown field 'stattus'"),
        ({"default": False}, "a script is an object"),
        ({"queue": {}}, "must be a list"),
        ({"queue": [{"status": 1}]}, "status must be a whole number"),
        ({"queue": [{"refuse": True}]}, "refuse is for a server's default script"),
    ],
)
async def test_mistakes_are_named_and_change_nothing(sim, control, members, says):
    status, reply = await control("PUT", "/demo/script", members)
    assert status == 400
    assert says in reply["error"]["message"]
    assert (sim.script, list(sim.queue)) == (Script(), [])


async def test_other_paths_are_the_providers(sim, control):
    assert (await control("PUT", "/demo/stats", {}))[0] == 405
    assert sim.record.seen == 0
    assert (await control("GET", "/demo/nothing"))[0] == 404
    assert (await control("POST", "/demo/v1/chat/completions"))[0] == 400
    assert sim.record.seen == 2
