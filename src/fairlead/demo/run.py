"""Several simulated providers in one process, for as long as somebody wants them."""

import asyncio
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final

from fairlead.demo.personality import DEMO_PROVIDERS, Personality
from fairlead.demo.script import PLAIN, Script
from fairlead.demo.server import Simulator

KEPT_REQUESTS: Final = 100

_PARENT_POLL_S: Final = 0.5


async def run_demo(
    personalities: Sequence[Personality] = DEMO_PROVIDERS,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    uds: str | None = None,
    script: Script = PLAIN,
    seed: int = 0,
    on_ready: Callable[[Sequence[Simulator]], None] = lambda simulators: None,
    until: asyncio.Event | None = None,
) -> None:
    """Serve until `until` is set, or the task is cancelled.

    Each personality has a port of its own: `port` and those after it, or whatever is free when it is 0. `on_ready` is
    called once all of them listen. A Unix socket has room for one personality.
    """
    if uds is not None and len(personalities) != 1:
        raise ValueError("a Unix socket serves one personality")
    async with AsyncExitStack() as stack:
        simulators = []
        for n, personality in enumerate(personalities):
            simulator = Simulator(personality, script=script, seed=seed + n, keep_requests=KEPT_REQUESTS)
            stack.push_async_callback(simulator.close)
            await simulator.start(host, port + n if port else 0, uds=uds)
            simulators.append(simulator)
        on_ready(simulators)
        await (until or asyncio.Event()).wait()


def watch_parent(parent_pid: int, stop: Callable[[], None]) -> None:
    """Call `stop` once the parent is gone: its end of our standard input closes, or we have another parent.

    The pipe tells at once, but only when no brother or sister holds a copy of its other end; hence the second sign.
    """
    loop = asyncio.get_running_loop()
    if _is_pipe(0):
        loop.add_reader(0, _drain_input, loop, stop)

    def look() -> None:
        if os.getppid() != parent_pid:
            stop()
        else:
            loop.call_later(_PARENT_POLL_S, look)

    look()


def _is_pipe(descriptor: int) -> bool:
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _drain_input(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    if not os.read(0, 4096):
        loop.remove_reader(0)
        stop()
