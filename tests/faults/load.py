"""A small load of chats, by stream and not, that goes on while a fault comes and goes; and what became of each."""

import asyncio
import json
import threading
from dataclasses import dataclass

import aiohttp

from harness.process import PATIENCE_S

CALLERS = 6
PAUSE_S = 0.07
"""Of a caller between two requests: all together ask some 30 to 50 times a second."""
MODEL = "acme/large"


@dataclass(eq=False)
class Told:
    """What a caller knows of its request. `number` counts them in the order of their beginning."""

    number: int
    is_stream: bool
    id: str = ""
    worker: str = ""
    """Alike for all that one worker process has answered."""
    status: int = 0
    usage: dict | None = None
    fault: str = ""
    """Why it is not as it should be."""
    is_over: bool = False

    @property
    def is_whole(self):
        return self.is_over and not self.fault

    @property
    def is_cut(self):
        """It had begun to be answered with 200, and was not to the end."""
        return self.status == 200 and bool(self.fault)

    @property
    def has_failed(self):
        return bool(self.fault) and not self.is_cut

    @property
    def usd_nanos(self):
        return round(self.usage["cost"] * 1e9)


class Load:
    """Use `with`; in the block it asks until `rest`, and goes on after `go`.

    `targets()` gives base URLs and keys, asked by turns; where nobody can be connected to, the next one is. Half of the
    callers stream, half open a connection for each request, and every fifth request wants its reply to be kept.
    """

    def __init__(self, targets):
        self._targets = targets
        self.told = []
        """All requests, in the order of their beginning."""
        self._change = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._is_asking = True
        self._may_ask = asyncio.Event()
        self._may_ask.set()
        self._thread = threading.Thread(target=self._run, name="load")

    def __enter__(self):
        self._thread.start()
        self.go_on()
        return self

    def __exit__(self, *_):
        self._is_asking = False
        self.go()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "a caller waits for ever"
        self._loop.close()

    # What a test says

    def go_on(self, count=15):
        """Return when so many more requests, begun from now on, are over; and all that were under way."""
        with self._change:
            end = len(self.told) + count
            self._wait(lambda: len(self.told) >= end and all(one.is_over for one in self.told[:end]))

    def rest(self):
        """Begin no more; return when all are over."""
        self._loop.call_soon_threadsafe(self._may_ask.clear)
        with self._change:
            self._wait(lambda: not self._may_ask.is_set() and all(one.is_over for one in self.told))

    def go(self):
        self._loop.call_soon_threadsafe(self._may_ask.set)

    def _wait(self, condition):
        assert self._change.wait_for(condition, PATIENCE_S), [one for one in self.told if not one.is_over]

    # What became of them

    @property
    def whole(self):
        return [one for one in self.told if one.is_whole]

    @property
    def failed(self):
        return [one for one in self.told if one.has_failed]

    @property
    def cut(self):
        return [one for one in self.told if one.is_cut]

    # The callers

    def _run(self):
        self._loop.run_until_complete(self._ask_all())

    async def _ask_all(self):
        async with asyncio.TaskGroup() as callers:
            for number in range(CALLERS):
                callers.create_task(self._ask_again_and_again(number))

    async def _ask_again_and_again(self, number):
        connector = aiohttp.TCPConnector(force_close=number % 4 < 2)
        limit = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with aiohttp.ClientSession(connector=connector, timeout=limit) as session:
            while self._is_asking:
                if self._may_ask.is_set():
                    with self._change:
                        told = Told(len(self.told), number % 2 == 0)
                        self.told.append(told)
                    await self._ask(session, told)
                    with self._change:
                        told.is_over = True
                        self._change.notify_all()
                await asyncio.sleep(PAUSE_S)
                with self._change:
                    self._change.notify_all()

    async def _ask(self, session, told):
        targets = self._targets()
        first = told.number % len(targets)
        for url, key in targets[first:] + targets[:first]:
            told.fault = ""
            try:
                await self._ask_one(session, url, key, told)
            except aiohttp.ClientConnectorError as error:  # nothing has been sent
                told.fault = repr(error)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                told.fault = repr(error)
                return
            else:
                return

    async def _ask_one(self, session, url, key, told):
        hello = [{"role": "user", "content": f"hello {told.number:9}"}]  # nobody's else, and of one length
        body = {"model": MODEL, "messages": hello, "stream": told.is_stream, "max_tokens": 50}
        headers = {"authorization": f"Bearer {key}"} | ({"x-openrouter-cache": "true"} if told.number % 5 == 0 else {})
        async with session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as reply:
            told.status, told.id = reply.status, reply.headers.get("x-generation-id", "")
            told.worker = told.id.rpartition("-")[2][:10]
            content = await reply.read()
        if told.status != 200:
            told.fault = content.decode()
        elif told.is_stream:
            self._read_stream(content, told)
        else:
            told.usage = json.loads(content)["usage"]

    def _read_stream(self, content, told):
        events = [part.removeprefix(b"data: ") for part in content.split(b"\n\n") if part.startswith(b"data: ")]
        if not events or events.pop() != b"[DONE]":
            told.fault = f"no [DONE]: {content[-200:]!r}"
            return
        for event in map(json.loads, events):
            told.usage = event.get("usage") or told.usage
            if "error" in event:
                told.fault = str(event["error"])
