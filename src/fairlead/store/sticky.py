"""The fleet's pins, in Redis: what each worker tells of its own, and the others read.

    fl:1:sticky   stream of the last ten minutes; an entry: w → worker, p → JSON of [key, endpoint, is routed, is over]s

A worker that starts reads all of it. Nothing on the path of a request waits: while the store is away each worker goes
by its own pins, and what it could not tell it tells later.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

import msgspec

from fairlead import clock
from fairlead.plan.sticky import TTL_S, Pins, Told
from fairlead.store import PREFIX
from fairlead.store.redis import Client, run_scripts

TICK_S = 0.1
IDLE_TICKS = 20
"""While nobody asks for pins, news are read every so many ticks."""
IDLE_S = 60.0
MOST_ENTRIES = 500
"""In one answer; the rest comes with the next."""

_KEY = f"{PREFIX}sticky"
_NEWS = msgspec.json.Decoder(list[Told])


class Heard(NamedTuple):
    """What one worker has told, `age_s` ago."""

    worker: str
    age_s: float
    news: Sequence[Told]


def script() -> str:
    """Return the text of the script, its constants before it."""
    text = Path(__file__).with_name("sticky.lua").read_text(encoding="utf-8")
    return f"local K = {{TTL_S = {TTL_S:.0f}, MOST_ENTRIES = {MOST_ENTRIES}}}\n{text}"


class PinStore:
    """The stream. `last` is the id of the entry that was read last."""

    def __init__(self, client: Client, worker: str) -> None:
        self._client = client
        self._worker = worker
        self._script = script()
        self.last = ""

    async def exchange(self, news: Sequence[Told]) -> list[Heard] | None:
        """Tell news; return what the others have told since the last time, None if the store is away.

        In that case the news may have been told: to tell them again does no harm.
        """
        packed = msgspec.json.encode(news) if news else b""
        [reply] = await run_scripts(self._client, self._script, [(_KEY, [self._worker, packed, self.last])])
        if isinstance(reply, Exception):
            return None
        try:
            now_ms, entries = cast("tuple[bytes, list[tuple[bytes, list[bytes]]]]", reply)
            found = [_heard(number, fields, float(now_ms)) for number, fields in entries]
            if entries:
                self.last = entries[-1][0].decode()
        except (TypeError, ValueError, AttributeError):  # nothing that the script would answer
            return None
        return [one for one in found if one.worker != self._worker]


def _heard(number: bytes, fields: Sequence[bytes], now_ms: float) -> Heard:
    told = dict(zip(fields[::2], fields[1::2], strict=True))
    try:
        news = _NEWS.decode(told.get(b"p", b"[]"))
    except (msgspec.DecodeError, UnicodeDecodeError):  # of another version
        news = []
    return Heard(told.get(b"w", b"").decode(), (now_ms - float(number.partition(b"-")[0])) / 1000.0, news)


class PinSync:
    """Carries a worker's pins to the store, and those of the others back."""

    def __init__(self, pins: Pins, store: PinStore) -> None:
        self._pins = pins
        self._store = store
        self._ticks = 0

    async def run(self) -> None:
        """Do so for ever."""
        while True:
            await self.flush()
            await asyncio.sleep(TICK_S)

    async def flush(self) -> None:
        """Tell and hear what is new, if there is need: a worker whom nobody asks for pins looks less often."""
        news, now = self._pins.take_news(), clock.monotonic()
        self._ticks += 1
        if not news and now - self._pins.asked_at > IDLE_S and self._ticks % IDLE_TICKS != 1:
            return
        heard = await self._store.exchange(news)
        if heard is None:
            self._pins.give_back(news)
            return
        now = clock.monotonic()
        for one in heard:
            for told in one.news:
                self._pins.hear(told, one.age_s, now)
