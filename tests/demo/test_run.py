import asyncio

import pytest

from fairlead.demo import DEMO_PROVIDERS, Script, run_demo

pytestmark = pytest.mark.anyio


async def test_it_serves_all_until_it_is_told_to_stop(dial):
    ready = asyncio.get_running_loop().create_future()
    until = asyncio.Event()
    running = asyncio.gather(run_demo(script=Script(first_byte_delay_s=0), on_ready=ready.set_result, until=until))
    simulators = await ready
    assert [sim.personality for sim in simulators] == list(DEMO_PROVIDERS)
    assert len({sim.port for sim in simulators}) == 3
    for sim in simulators:
        peer = await dial(sim)
        await peer.get("/v1/models")
        assert (await peer.reply()).header("x-demo-provider") == sim.personality.name
    until.set()
    await running
    with pytest.raises(AssertionError, match="not started"):
        _ = simulators[0].address


async def test_cancelling_it_closes_all(dial):
    ready = asyncio.get_running_loop().create_future()
    running = asyncio.gather(run_demo(on_ready=ready.set_result))
    sim = (await ready)[0]
    peer = await dial(sim)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await peer.rest()
    assert peer.end is not None


async def test_a_port_that_is_taken_ends_what_was_started(start):
    taken = await start()
    with pytest.raises(OSError, match="in use"):
        await run_demo(DEMO_PROVIDERS[:1], port=taken.port)


async def test_a_unix_socket_is_for_one(tmp_path, dial):
    with pytest.raises(ValueError, match="one personality"):
        await run_demo(uds=str(tmp_path / "demo"))
