"""Callers: chat streams that begin at random times, whatever becomes of those before (an open loop)."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from bench.framing import BadReply, Reader
from bench.request import build_request, chat_body
from fairlead import clock

TOKENS = 10
"""Of each reply, so that some thirty streams are under way at any time."""
CONNECTIONS = 64
"""Kept from the start. Each belongs to one worker; a request takes any that is free."""
PATIENCE_S = 20.0
"""How long the callers wait for what is under way when the last has begun."""
_ID: Final = b"bench-%06d"
_TAIL_BYTES = 600


@dataclass(slots=True)
class Answer:
    """What became of one request. Times in Unix seconds; `due_at` is when it should have begun."""

    number: int
    due_at: float
    first_at: float = 0.0
    """Of the first content; 0 when there was none."""
    ended_at: float = 0.0
    how: str = "no answer"
    """`ok`, `status 503`, `cut` (a stream that ended before its end, told in band or not), `connection lost`, …"""

    @property
    def request_id(self) -> str:
        return (_ID % self.number).decode()

    @property
    def first_token_s(self) -> float:
        return self.first_at - self.due_at


class Caller(asyncio.Protocol):
    """One connection, with at most one request at a time."""

    def __init__(self, traffic: "Traffic") -> None:
        self._traffic = traffic
        self._reader = Reader(self._read)
        self._answer: Answer | None = None
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it

    def ask(self, answer: Answer, payload: bytes) -> None:
        self._answer, self._tail = answer, b""
        self._transport.write(payload)

    def _read(self, data: bytes) -> None:
        answer = self._answer
        assert answer is not None
        if not answer.first_at and self._reader.status == 200:
            answer.first_at = clock.wall()
        self._tail = (self._tail + data)[-_TAIL_BYTES:]

    def data_received(self, data: bytes) -> None:
        try:
            is_complete = self._reader.feed(data)
        except (BadReply, AssertionError) as error:
            self._end(f"bad reply: {error}")
            self._transport.abort()
            return
        if is_complete:
            status = self._reader.status
            # An error in band is followed by `[DONE]` too.
            is_whole = self._tail.rstrip().endswith(b"data: [DONE]") and b'"finish_reason":"error"' not in self._tail
            self._end(f"status {status}" if status != 200 else "ok" if is_whole else "cut")
            if self._reader.is_close:
                self._transport.close()
            else:
                self._traffic.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._traffic.idle:
            self._traffic.idle.remove(self)
        self._end("cut" if self._answer is not None and self._answer.first_at else "connection lost")

    def _end(self, how: str) -> None:
        if self._answer is not None:
            self._answer.how, self._answer.ended_at = how, clock.wall()
            self._answer = None
            self._traffic.under_way -= 1

    def close(self) -> None:
        self._transport.abort()


class Traffic:
    """`rate_hz` requests a second on average, over the `models` in turn. `run` once; then read `answers`."""

    def __init__(self, url: str, key: str, models: Sequence[str], rate_hz: float, seed: int) -> None:
        self.answers: list[Answer] = []
        self.idle: list[Caller] = []
        self.under_way = 0
        self._rate_hz = rate_hz
        self._rng = random.Random(seed)
        headers = {"Authorization": f"Bearer {key}", "x-request-id": "@"}
        requests = [
            build_request(f"{url}/v1/chat/completions", headers, chat_body(model=model, stream_events=TOKENS))
            for model in models
        ]
        self._host, self._port = requests[0].host, requests[0].port
        self._payloads = [request.payload.partition(b"@") for request in requests]
        self._opening: set[asyncio.Task[None]] = set()
        self._callers: list[Caller] = []

    async def run(self, seconds: float) -> None:
        """Ask for so long, then wait for what is under way."""
        for _ in range(CONNECTIONS):
            self.idle.append(await self._open())
        started_at, due_s = clock.monotonic(), 0.0
        offset = clock.wall() - started_at
        try:
            while (due_s := due_s + self._rng.expovariate(self._rate_hz)) < seconds:
                wait_s = started_at + due_s - clock.monotonic()
                if wait_s > 0.0:
                    await asyncio.sleep(wait_s)
                self._ask(offset + started_at + due_s)
            deadline = clock.monotonic() + PATIENCE_S
            while self.under_way and clock.monotonic() < deadline:
                await asyncio.sleep(0.05)
        finally:
            for caller in self._callers:
                caller.close()

    async def _open(self) -> Caller:
        loop = asyncio.get_running_loop()
        _, caller = await loop.create_connection(lambda: Caller(self), self._host, self._port)
        self._callers.append(caller)
        return caller

    def _ask(self, due_at: float) -> None:
        answer = Answer(len(self.answers), due_at)
        before, _, after = self._payloads[answer.number % len(self._payloads)]
        payload = before + answer.request_id.encode() + after
        self.answers.append(answer)
        self.under_way += 1
        if self.idle:
            # Any: the newest would be asked again and again, and with it its worker.
            self.idle.pop(self._rng.randrange(len(self.idle))).ask(answer, payload)
            return
        task = asyncio.get_running_loop().create_task(self._open_and_ask(answer, payload))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open_and_ask(self, answer: Answer, payload: bytes) -> None:
        try:
            caller = await self._open()
        except OSError as error:
            answer.how, answer.ended_at = f"cannot connect: {error}", clock.wall()
            self.under_way -= 1
        else:
            caller.ask(answer, payload)
