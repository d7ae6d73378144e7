import asyncio
import ssl

import openai
import pytest
import trustme

from fairlead.demo import DEMO_PROVIDERS, Personality, Script, Simulator

pytestmark = pytest.mark.anyio


# Which script a request follows.


async def test_the_header_wins_over_the_queue_and_the_queue_over_the_default(sim, peer):
    sim.script = Script(status=500)
    sim.queue.append(Script(status=429))
    statuses = []
    for headers in ([("X-Demo-Script", "status=418")], [], []):
        await peer.post(headers=headers)
        statuses.append((await peer.reply()).status)
    assert statuses == [418, 429, 500]


async def test_the_json_form_in_a_header(peer):
    await peer.post(headers=[("x-demo-script", '{"status": 529, "retry_after": "7"}')])
    reply = await peer.reply()
    assert (reply.status, reply.header("retry-after")) == (529, "7")


@pytest.mark.parametrize("written", ["stattus=1", "status=ok", "refuse", "{"])
async def test_a_header_that_is_no_script_is_refused(peer, written):
    await peer.post(headers=[("x-demo-script", written)])
    reply = await peer.reply()
    assert (reply.status, reply.json()["error"]["code"]) == (400, "invalid_script")


async def test_a_script_is_for_every_path_of_the_provider(sim, peer):
    sim.script = Script(status=503)
    await peer.get("/v1/models")
    assert (await peer.reply()).status == 503
    await peer.get("/demo/stats")
    assert (await peer.reply()).status == 200


async def test_an_empty_script_is_as_good_as_none(start):
    assert (await start(script=Script(tokens=None))).script is (await start()).script


# Refusing.


async def test_connections_are_refused_and_accepted_again_on_the_same_port(sim, dial, ask, peer):
    port = sim.port
    await ask()
    sim.script = Script(refuse=True)
    with pytest.raises(ConnectionRefusedError):
        await dial(sim)
    await peer.post()
    assert (await peer.reply()).status == 200, "a kept connection goes on"
    sim.script = Script()
    again = await dial(sim)
    await again.post()
    assert (await again.reply()).status == 200
    assert sim.port == port


async def test_it_can_refuse_from_the_start(start, dial):
    sim = await start(script=Script(refuse=True))
    with pytest.raises(ConnectionRefusedError):
        await dial(sim)
    sim.script = Script()
    await dial(sim)


# Where it listens.


async def test_the_base_url(sim, start, tmp_path):
    assert sim.base_url == f"http://127.0.0.1:{sim.port}/v1"
    assert sim.port > 0
    six = await start(listen={"host": "::1"})
    assert six.base_url == f"http://[::1]:{six.port}/v1"
    path = await start(listen={"uds": str(tmp_path / "demo.sock")})
    assert (path.base_url, path.port) == ("http://localhost/v1", 0)


async def test_a_unix_socket(start, dial, tmp_path):
    path = tmp_path / "demo.sock"
    sim = await start(listen={"uds": str(path)}, script=Script(cut_after=2, cut="reset"))
    peer = await dial(sim)
    await peer.post(stream=True)
    await peer.rest()
    assert peer.end is not None
    await sim.close()
    assert not path.exists()


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
async def secure(start, authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return await start(listen={"ssl": context})


@pytest.fixture
def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_tls(secure, trusting):
    assert secure.base_url == f"https://127.0.0.1:{secure.port}/v1"
    reader, writer = await asyncio.open_connection("127.0.0.1", secure.port, ssl=trusting)
    writer.write(b"GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()
    await writer.wait_closed()


async def test_a_reset_through_tls(secure, trusting):
    secure.script = Script(cut_after=2, cut="reset")
    reader, writer = await asyncio.open_connection("127.0.0.1", secure.port, ssl=trusting)
    writer.write(b"GET /v1/models HTTP/1.1\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    assert secure.aborted == 0


# Life.


async def test_closing_ends_open_replies_and_is_nobodys_abort(dial, start):
    sim = await start(script=Script(stall_after=2))
    peers = [await dial(sim) for _ in range(3)]
    for peer in peers:
        await peer.post(stream=True)
    await sim.wait_for(lambda sim: sim.record.in_flight == 3)
    await sim.close()
    assert (sim.record.open_connections, sim.record.in_flight, sim.aborted) == (0, 0, 0)
    for peer in peers:
        await peer.rest()
        assert peer.end is not None


async def test_it_is_a_context_manager(dial):
    async with Simulator() as sim:
        peer = await dial(sim)
        await peer.get("/v1/models")
        assert (await peer.reply()).status == 200


async def test_closing_what_never_started_is_nothing():
    await Simulator().close()


async def test_waiting_for_what_does_not_happen_says_what_did(sim):
    with pytest.raises(TimeoutError, match="'requests': 0"):
        await sim.wait_for(lambda sim: sim.connections == 7, timeout_s=0)


async def test_the_seed_decides_about_failures(start, dial):
    async def statuses(seed):
        peer = await dial(await start(Personality(failure_share=0.5), seed=seed))
        answered = []
        for _ in range(20):
            await peer.post()
            answered.append((await peer.reply()).status)
        return answered

    assert await statuses(1) == await statuses(1) != await statuses(2)


# The clients it is made for.


async def test_the_client_of_openai(start):
    sim = await start(DEMO_PROVIDERS[0].without_latency())
    async with openai.AsyncOpenAI(base_url=sim.base_url, api_key="none", max_retries=0) as client:
        asked = {"model": "demo/chat", "messages": [{"role": "user", "content": "hello"}]}
        whole = await client.chat.completions.create(**asked)
        assert whole.choices[0].message.content.startswith("[DEMO]")
        stream = await client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text.startswith("[DEMO]")
        assert chunks[-1].usage.completion_tokens == len(text.split())
        assert [model.id async for model in await client.models.list()] == ["demo/chat", "demo/chat-mini"]
        with pytest.raises(openai.NotFoundError, match="does not exist"):
            await client.chat.completions.create(**asked | {"model": "nothing"})
        sim.queue.append(Script(error_in_stream=2))
        with pytest.raises(openai.APIError, match="failed in the middle"):
            [chunk async for chunk in await client.chat.completions.create(**asked, stream=True)]
