import asyncio
import signal
import subprocess
import sys
from contextlib import asynccontextmanager, suppress

import orjson
import pytest

from fairlead.demo.__main__ import main

pytestmark = pytest.mark.anyio

TIME_LIMIT_S = 20
COMMAND = (sys.executable, "-m", "fairlead.demo", "--announce")

# Starts the command it is given and dies at once, without a word to it.
PARENT = """
import os, subprocess, sys
stdin = subprocess.PIPE if sys.argv[1] == "pipe" else subprocess.DEVNULL
child = subprocess.Popen(sys.argv[2:], stdin=stdin)
sys.stdin.readline()
os._exit(0)
"""


@asynccontextmanager
async def process(*command, stdin=subprocess.DEVNULL):
    """A process whose output is read; it does not outlive the block."""
    running = await asyncio.create_subprocess_exec(*command, stdin=stdin, stdout=subprocess.PIPE)
    try:
        async with asyncio.timeout(TIME_LIMIT_S):
            yield running
    finally:
        with suppress(ProcessLookupError):
            running.kill()
        await running.wait()


async def announced(running, count=1):
    return [orjson.loads(await running.stdout.readline()) for _ in range(count)]


async def head(base_url):
    host, _, port = base_url.removeprefix("http://").removesuffix("/v1").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}")
    reply = await reader.read()
    writer.close()
    await writer.wait_closed()
    return reply.partition(b"\r\n\r\n")[0].decode().split("\r\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_announces_three_providers_and_ends_on_a_signal(number):
    async with process(*COMMAND) as demo:
        lines = await announced(demo, 3)
        assert [line["name"] for line in lines] == ["demo-swift", "demo-steady", "demo-thrifty"]
        for line in lines:
            assert f"x-demo-provider: {line['name']}" in await head(line["base_url"])
        demo.send_signal(number)
        assert await demo.wait() == 0
        assert await demo.stdout.read() == b""


async def test_options():
    command = ("--personality", "demo", "--personality", "demo-swift", "--latency", "off", "--script", "status=418")
    async with process(*COMMAND, *command) as demo:
        first, second = await announced(demo, 2)
        assert (first["name"], second["name"]) == ("demo", "demo-swift")
        assert (await head(second["base_url"]))[0] == "HTTP/1.1 418 I'm a Teapot"
        demo.terminate()
        assert await demo.wait() == 0


async def test_a_unix_socket(tmp_path):
    path = tmp_path / "demo.sock"
    async with process(*COMMAND, "--personality", "demo", "--uds", str(path)) as demo:
        (line,) = await announced(demo)
        assert line == {"name": "demo", "base_url": "http://localhost/v1", "uds": str(path)}
        _, writer = await asyncio.open_unix_connection(path)
        writer.close()
        demo.terminate()
        assert await demo.wait() == 0
        assert not path.exists()


async def test_it_ends_when_its_standard_input_does():
    async with process(*COMMAND, "--with-parent", stdin=subprocess.PIPE) as demo:
        await announced(demo, 3)
        demo.stdin.close()
        assert await demo.wait() == 0


@pytest.mark.parametrize("stdin", ["pipe", "none"])
async def test_it_ends_with_its_parent(stdin):
    command = (sys.executable, "-c", PARENT, stdin, *COMMAND, "--with-parent")
    async with process(*command, stdin=subprocess.PIPE) as parent:
        await announced(parent, 3)
        parent.stdin.write(b"\n")
        assert await parent.wait() == 0
        # The demo holds the other end of this pipe for as long as it lives.
        assert await parent.stdout.read() == b""


async def test_an_address_that_is_taken_is_told(sim, capsys):
    async with process(*COMMAND, "--personality", "demo", "--port", str(sim.port)) as demo:
        assert await demo.wait() == 1


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--script", "stattus=1"], "unknown field 'stattus'"),
        (["--uds", "/nowhere"], "--uds needs exactly one --personality"),
        (["--personality", "nobody"], "invalid choice"),
    ],
)
async def test_wrong_arguments(argv, says, capsys):
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert says in capsys.readouterr().err
