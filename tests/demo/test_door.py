import asyncio
import socket
from contextlib import closing

import pytest

from fairlead.demo.door import Door

pytestmark = pytest.mark.anyio


class Greeter(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(b"hello")
        transport.close()


async def greeting(address):
    reader, writer = await (
        asyncio.open_unix_connection(address) if isinstance(address, str) else asyncio.open_connection(*address)
    )
    with closing(writer):
        return await reader.read()


@pytest.fixture(params=["tcp", "tcp6", "unix"])
async def door(request, tmp_path):
    address = {"tcp": ("127.0.0.1", 0), "tcp6": ("::1", 0), "unix": str(tmp_path / "door")}[request.param]
    door = Door(address, Greeter, None)
    yield door
    door.remove()


async def test_it_opens_shuts_and_opens_at_the_same_address(door):
    door.open()
    address = door.address
    for _ in range(3):
        assert await greeting(address) == b"hello"
        door.shut()
        with pytest.raises(ConnectionRefusedError):
            await greeting(address)
        door.open()
    assert door.address == address


async def test_the_kernel_accepts_as_soon_as_it_is_open_and_refuses_as_soon_as_it_is_shut(door):
    door.open()
    # Nothing is awaited between these lines, so the loop has had no turn.
    with connected(door.address) as early:
        early.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(early, 5) == b"hello"
    door.shut()
    assert not door.is_open
    with pytest.raises(ConnectionRefusedError):
        connected(door.address)


def connected(address):
    if not isinstance(address, str):
        return socket.create_connection(address)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


async def test_it_can_be_shut_before_it_serves(door):
    door.open()
    address = door.address
    door.shut()
    with pytest.raises(ConnectionRefusedError):
        await greeting(address)


async def test_a_path_is_taken_over_and_removed(tmp_path):
    path = tmp_path / "door"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    door = Door(str(path), Greeter, None)
    door.open()
    assert await greeting(str(path)) == b"hello"
    door.remove()
    assert not path.exists()


async def test_an_address_in_use_is_an_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            Door(taken.getsockname(), Greeter, None).open()


async def test_nobody_else_gets_the_port_of_a_door_that_is_shut():
    door = Door(("127.0.0.1", 0), Greeter, None)
    door.open()
    door.shut()
    try:
        with socket.socket() as other, pytest.raises(OSError):  # noqa: PT012 - either may refuse
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(door.address)
            other.listen()
    finally:
        door.remove()
