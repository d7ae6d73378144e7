"""What Redis holds for each key, account, endpoint and generation: thousands of made-up ones, written by the product.

Bytes are those of MEMORY USAGE, all of each value looked at; what the server needs beside them is the difference of its
`used_memory`, over the same things.
"""

import contextlib
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import uvloop
from redis import Redis

from bench.processes import NotReady
from bench.soak.keys import kind_of
from bench.stage import Stage
from fairlead import clock
from fairlead.access.keys import ApiKey, from_token, generate
from fairlead.store.keys import KeyStore
from fairlead.store.money import Call, MoneyAway, MoneyStore, charge_of
from fairlead.store.redis import connect
from fairlead.telemetry.generation import Generation, GenerationAttempt

KEYS = 5_000
GENERATIONS_EACH = 4
MODELS = 10
LEDGER = (r"\{money\}:ledger", r"\{money\}:ids:\d{8}")
"""The patterns of what a generation leaves."""
_AT_ONCE = 100
_TRIES = 20
_WORKER = "sizing"


@dataclass(frozen=True, slots=True)
class Size:
    """Of one kind of Redis key: `count` of them, `bytes` all together."""

    count: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Stored:
    """After KEYS keys with a monthly limit had GENERATIONS_EACH generations each, on one day."""

    sizes: dict[str, Size]
    """By pattern."""
    grown_bytes: int
    """Of the whole server."""

    def each(self, kind: str, among: int) -> float:
        """Bytes of a kind, for each of so many."""
        return self.sizes[kind].bytes / among


def sizes(redis: Redis) -> dict[str, Size]:
    """Look at every key there is."""
    counts, held = Counter[str](), Counter[str]()
    for name in redis.scan_iter(count=1_000):
        text = name.decode()
        kind = kind_of(text)
        pattern = kind.name if kind is not None else re.sub(r"[0-9a-f]{16,}", "*", text)
        counts[pattern] += 1
        held[pattern] += int(redis.memory_usage(name, samples=0) or 0)
    return {pattern: Size(counts[pattern], held[pattern]) for pattern in sorted(counts)}


def _key(number: int) -> ApiKey:
    token = from_token(generate(), f"team-{number % 40}/service-{number}", 1_700_000_000)
    return replace(token, limit_usd_nanos=100_000_000_000, limit_reset="monthly", requests_per_minute=600)


def _generations(keys: list[ApiKey], started: float) -> Iterator[Generation]:
    for number in range(len(keys) * GENERATIONS_EACH):
        yield Generation(
            id=f"gen-{int(started)}-{number:012x}",
            started=started,
            request_id=f"req-{number:012x}",
            key=keys[number % len(keys)].hash,
            ended=started + 4.2,
            asked="acme/large",
            model=f"acme/large-{number // len(keys) % MODELS}",
            provider="acme",
            is_stream=True,
            status=200,
            end="ok",
            finish_reason="stop",
            upstream_id=f"chatcmpl-{number:029x}",
            first_content_ms=412,
            duration_ms=4_200,
            prompt_tokens=1_180,
            completion_tokens=240,
            cost_usd_nanos=775_000,
            user_agent="AsyncOpenAI/Python 3.51.0",
            attempts=(GenerationAttempt("acme", 200, "ok", 4_200),),
        )


async def _call(money: MoneyStore, call: Call) -> None:
    """Until it is answered: one that was done is not done again."""
    for _ in range(_TRIES):
        with contextlib.suppress(MoneyAway):
            await money.call(call)
            return
    raise NotReady("the store does not answer in time")


async def _fill(url: str) -> None:
    client = connect(url)
    try:
        keys = [_key(number) for number in range(KEYS)]
        store, money = KeyStore(client), MoneyStore(client)
        for key in keys:
            await store.add(key)
        charges = [charge_of(one) for one in _generations(keys, clock.wall())]
        for number, first in enumerate(range(0, len(charges), _AT_ONCE), 1):
            await _call(money, Call(_WORKER, number, settled=charges[first : first + _AT_ONCE]))
    finally:
        await client.aclose()


def stored() -> Stored:
    """Fill a store of its own, and look."""
    with tempfile.TemporaryDirectory(prefix="sizing-") as folder, Stage(Path(folder), has_gateway=False) as stage:
        before = int(stage.info("memory")["used_memory"])
        uvloop.run(_fill(stage.redis_url))
        grown = int(stage.info("memory")["used_memory"]) - before
        return Stored(sizes(stage.redis), grown)
