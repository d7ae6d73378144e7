"""What callers do, one thing after the other: most of it well, the rest in all the ways in which callers go wrong.

Each says how it went: a status, or in which way it left. Any answer is fine but a 500, which is our own fault, and no
answer, where one was waited for.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from bench.soak.caller import Caller, Lost
from bench.soak.gateway import MAX_BODY_BYTES

PATIENCE_S = 30.0
"""Every request of these has ended long before, by the time-outs of the gateway."""
PAUSE_S = 0.05
"""Between two things that a caller does, on average."""
Mischief = Callable[[Caller], Awaitable[str]]

_LOOKED_AT = ("/v1/models", "/v1/key", "/metrics", "/readyz?verbose", "/v1/models/count", "/nowhere", "/v1/generation")
_ADMIN = ("/admin/v1/endpoints", "/v1/keys", "/v1/activity", "/v1/credits")


def last(payload: bytes) -> bytes:
    """The same request as the last of its connection."""
    return payload.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1)


async def asks(caller: Caller) -> str:
    return str(await caller.ask(caller.chat()))


async def asks_once(caller: Caller) -> str:
    await caller.connect()
    status = await caller.ask(caller.chat())
    caller.leave()
    return str(status)


async def pipelines(caller: Caller) -> str:
    """Three requests at once; the answers come one after the other."""
    reader, writer = await caller.connect()
    chat = caller.chat(stream=False, model="soak/well")
    writer.write(chat + chat + last(caller.get("/v1/key")))
    answers = (await reader.read(-1)).count(b"HTTP/1.1 ")
    caller.leave()
    if answers != 3:
        raise Lost(f"{answers} answers to three requests")
    return "3 answers"


async def leaves_in_head(caller: Caller) -> str:
    payload = caller.chat()
    _, writer = await caller.connect()
    writer.write(payload[: caller.rng.randrange(1, 120)])
    await _leave_soon(caller)
    return "left"


async def leaves_in_body(caller: Caller) -> str:
    head = caller.head("POST", "/v1/chat/completions", {"content-length": "5000"})
    _, writer = await caller.connect()
    writer.write(head + b'{"model": "soak/well", "messages": [')
    await _leave_soon(caller)
    return "left"


async def leaves_before_reply(caller: Caller) -> str:
    _, writer = await caller.connect()
    writer.write(caller.chat())
    await _leave_soon(caller)
    return "left"


async def leaves_in_stream(caller: Caller) -> str:
    reader, writer = await caller.connect()
    writer.write(caller.chat(stream=True, model="soak/slow"))
    await reader.read(1000)
    await _leave_soon(caller)
    return "left"


async def reads_slowly(caller: Caller) -> str:
    """A large reply, a piece at a time with pauses; to its end, or not."""
    reader, writer = await caller.connect()
    writer.write(last(caller.chat(stream=True, model="soak/wide")))
    for _ in range(5):
        await reader.read(16_384)
        await asyncio.sleep(0.05)
    if caller.rng.random() < 0.5:
        caller.leave(is_rude=True)
        return "left"
    while await reader.read(65_536):
        pass
    caller.leave()
    return "read to the end"


async def guesses_keys(caller: Caller) -> str:
    return str(await caller.ask(caller.stranger()))


async def sends_too_much(caller: Caller) -> str:
    await caller.connect()
    status = await caller.ask(caller.post("/v1/chat/completions", b" " * (MAX_BODY_BYTES + 1)))
    caller.leave()
    return str(status)


async def sends_too_many_chunks(caller: Caller) -> str:
    await caller.connect()
    head = caller.head("POST", "/v1/chat/completions", {"transfer-encoding": "chunked"})
    status = await caller.ask(head + b"1000\r\n%b\r\n" % (b" " * 0x1000) * (MAX_BODY_BYTES // 0x1000 + 1))
    caller.leave()
    return str(status)


async def sends_nonsense(caller: Caller) -> str:
    bodies = (b"", b"{", b"[]", b'{"model": 3}', b'{"model": "soak/none", "messages": []}', b"\xff\xfe")
    return str(await caller.ask(caller.post("/v1/chat/completions", caller.rng.choice(bodies))))


async def speaks_no_http(caller: Caller) -> str:
    await caller.connect()
    status = await caller.ask(caller.rng.choice((b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"hello\r\n\r\n")))
    caller.leave()
    return str(status)


async def looks(caller: Caller) -> str:
    if caller.rng.random() < 0.3:
        return str(await caller.ask(caller.admin(caller.rng.choice(_ADMIN))))
    return str(await caller.ask(caller.get(caller.rng.choice(_LOOKED_AT))))


async def listens(caller: Caller) -> str:
    """The events of the admin API have no end but the listener's."""
    reader, writer = await caller.connect()
    writer.write(caller.admin("/admin/v1/events"))
    await reader.read(1000)
    await _leave_soon(caller)
    return "left"


async def _leave_soon(caller: Caller) -> None:
    await asyncio.sleep(caller.rng.choice((0.0, 0.001, 0.02, 0.2)))
    caller.leave(is_rude=caller.rng.random() < 0.5)


WEIGHTS: Final[dict[Mischief, int]] = {
    asks: 40,
    asks_once: 10,
    pipelines: 4,
    leaves_in_head: 4,
    leaves_in_body: 4,
    leaves_before_reply: 8,
    leaves_in_stream: 8,
    reads_slowly: 4,
    guesses_keys: 4,
    sends_too_much: 2,
    sends_too_many_chunks: 2,
    sends_nonsense: 4,
    speaks_no_http: 2,
    looks: 6,
    listens: 2,
}
"""How often each is done, in percent or so."""


class Traffic:
    """So many callers at once. `done` counts how things went, by name; `wrong` is what must not have happened."""

    def __init__(self, port: int, limited: Sequence[str], callers: int, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._enough = asyncio.Event()
        self._callers = [Caller(port, limited, random.Random(seed + n)) for n in range(callers)]

    async def run(self) -> None:
        """Go on until `end`; then each finishes what it has begun, and hangs up."""
        async with asyncio.TaskGroup() as group:
            for caller in self._callers:
                group.create_task(self._go_on(caller))

    def end(self) -> None:
        self._enough.set()

    async def _go_on(self, caller: Caller) -> None:
        kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
        for kind in caller.rng.sample(kinds, len(kinds)):  # each at least once, however short this is
            await self._do(caller, kind)
        while not self._enough.is_set():
            await self._do(caller, caller.rng.choices(kinds, weights)[0])
            await asyncio.sleep(caller.rng.expovariate(1 / PAUSE_S))
        caller.leave()

    async def _do(self, caller: Caller, kind: Mischief) -> None:
        name = kind.__name__.replace("_", " ")
        try:
            async with asyncio.timeout(PATIENCE_S):
                how = await kind(caller)
        except (Lost, TimeoutError, OSError) as error:
            caller.leave(is_rude=True)
            how = f"wrong: {type(error).__name__} {error}"
        if how.startswith("wrong") or how == "500":
            self.wrong.append(f"{name}: {how}")
        self.done[f"{name}: {how}"] += 1
