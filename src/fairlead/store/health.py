"""What the fleet knows of its endpoints, in Redis.

    fl:1:{<group>}:health2  hash: e:<endpoint> → packed record, w:<worker> → packed number and time of its last flush
    fl:1:health:changes     channel: [group, endpoint, kind, seconds, why, epoch], JSON

All records of a group are in one hash, so that one script sees them together and a Cluster keeps them in one slot.
"""

import asyncio
import contextlib
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import cast

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from fairlead import clock
from fairlead.errors import FairleadError
from fairlead.health import breaker, merge, record, sums
from fairlead.health.board import FLUSH_S, HealthBoard
from fairlead.health.breaker import BreakerLimits
from fairlead.health.endpoint import VERDICTS
from fairlead.health.merge import Probe
from fairlead.health.record import Change, Flush, Record, Snapshot, State, Why, is_plausible, pack_increment, unpack
from fairlead.store import PREFIX
from fairlead.store.redis import Client, run_scripts, subscriber
from fairlead.store.subscription import listen

CHANGES = f"{PREFIX}health:changes"
TTL_S = 86_400
FORGET_S = 3_600
"""A record or a worker of which nothing has been heard for as long is dropped from its group."""
URGENT_S = 0.005
"""How long news that is urgent waits for more of its kind."""
RETRY_S = 0.5
"""How often a store that is away is tried again."""
RESUBSCRIBE_S = 1.0

_SCRIPT = Path(__file__).with_name("health.lua")


class StoreAway(FairleadError):
    """The store did not answer, or not as it should."""


def script(limits: BreakerLimits) -> str:
    """Return the text of the script for these limits, which stand before it as constants."""
    constants: dict[str, object] = {f.name.upper(): getattr(limits, f.name) for f in fields(limits)}
    constants |= {name.upper(): n for n, name in enumerate(record.HEADER, 1)}
    constants |= {
        name: getattr(sums, name) + record.HEADER_COUNT + 1
        for name in (
            "E1", "E5", "E20", "E120", "U120", "N1", "N5", "N20", "N120", "A2", "A20", "F2", "F20", "S3", "M3",
        )
    }  # fmt: skip
    constants |= {
        name: "{" + ", ".join(str(index + record.HEADER_COUNT + 1) for index in getattr(breaker, name)) + "}"
        for name in ("ERRORS", "LATENCIES")
    }
    constants["TIMES"] = "{" + ", ".join(str(record.HEADER.index(name) + 1) for name in record.TIMES) + "}"
    constants |= {
        "SUM_COUNT": sums.COUNT, "HEADER_COUNT": record.HEADER_COUNT, "NEWS_COUNT": record.INCREMENT_HEADER,
        "HEALTHY": int(State.HEALTHY), "EJECTED": int(State.EJECTED), "PROBING": int(State.PROBING),
        "NOTHING": int(Why.NOTHING), "BY_ROW": int(Why.IN_A_ROW), "BY_SHARE": int(Why.SHARE),
        "BY_BREAKS": int(Why.BROKEN_OFF), "BY_SLOWNESS": int(Why.SLOW), "BY_PROBE": int(Why.PROBE),
        "CAP_START": breaker.CAP_START, "WORKER_S": merge.WORKER_S, "FORGET_S": FORGET_S, "TTL_S": TTL_S,
    }  # fmt: skip
    # One table: Lua allows 200 locals in a function, and 60 names from outside.
    lines = [f"{name} = {value}," for name, value in constants.items()]
    half_lives = ", ".join(str(half_life) for half_life in sums.HALF_LIVES_S)
    prelude = "\n".join(["local K = {", *lines, f"HALF_LIVES = {{{half_lives}}}}}"])
    return f"{prelude}\n{_SCRIPT.read_text(encoding='utf-8')}"


class HealthStore:
    """Merges workers' news. Raises nothing: what could not be done is an answer too."""

    def __init__(self, client: Client, limits: BreakerLimits) -> None:
        self._client = client
        self._script = script(limits)

    async def merge(self, flushes: Sequence[Flush]) -> list[Snapshot | StoreAway]:
        """Send flushes, all in one round trip; return the answer to each."""
        replies = await run_scripts(self._client, self._script, [_merge_call(flush) for flush in flushes])
        return [_snapshot(reply) for reply in replies]

    async def end_probes(self, results: Sequence[tuple[str, str, int, Probe]], jitter: float) -> list[bool]:
        """Report how probes ended; return which reports arrived."""
        calls = [
            (_key(group), ["probe", CHANGES, group, endpoint, str(epoch), result.name.lower(), f"{jitter:.6f}"])
            for group, endpoint, epoch, result in results
        ]
        replies = await run_scripts(self._client, self._script, calls)
        return [isinstance(reply, int) for reply in replies]


def _key(group: str) -> str:
    return f"{PREFIX}{{{group}}}:health{record.LAYOUT}"


def _merge_call(flush: Flush) -> tuple[str, list[bytes | str]]:
    arguments: list[bytes | str] = [
        "merge", CHANGES, flush.group, flush.worker,
        str(flush.number), str(int(flush.can_probe)), f"{flush.jitter:.6f}",
    ]  # fmt: skip
    for endpoint, increment in flush.increments.items():
        arguments += [endpoint, pack_increment(increment)]
    return _key(flush.group), arguments


def _snapshot(reply: object) -> Snapshot | StoreAway:
    if isinstance(reply, Exception):
        return StoreAway(str(reply) or type(reply).__name__)
    try:
        now, workers, granted, known = cast("tuple[bytes, int, list[bytes], list[bytes]]", reply)
        return Snapshot(
            _finite(now),
            workers,
            {name.decode(): _record(data) for name, data in zip(known[::2], known[1::2], strict=True)},
            {name.decode(): int(epoch) for name, epoch in zip(granted[::2], granted[1::2], strict=True)},
        )
    except (TypeError, ValueError, struct.error) as error:
        return StoreAway(f"an answer that cannot be read: {error}")


def _finite(text: bytes) -> float:
    """Raises ValueError."""
    if not math.isfinite(number := float(text)):
        raise ValueError("it is no number")
    return number


def _record(data: bytes) -> Record:
    """Raises ValueError and struct.error for what no script of ours has written."""
    found = unpack(data)
    if not is_plausible(found) or not 0 <= found.cool_why < len(VERDICTS):
        raise ValueError("a record holds numbers that cannot be")
    return found


class HealthSync:
    """Carries a board's news to the store, and the fleet's back. Three background tasks: `run`, `judge` and `follow`.

    Nothing on the path of a request waits for any.
    """

    def __init__(
        self, board: HealthBoard, store: HealthStore, tell: Callable[[str], None], jitter: Callable[[], float]
    ) -> None:
        self._board = board
        self._store = store
        self._tell = tell
        self._jitter = jitter
        self._wanted = asyncio.Event()
        self.commands = 0
        """Sent to the store so far."""
        self._away: set[str] = set()
        """Groups whose part of the store does not answer."""
        board.urgent = self._wanted.set

    async def run(self) -> None:
        """Flush for ever."""
        while True:
            if self._board.is_alone:
                await asyncio.sleep(RETRY_S)
            else:
                await self._until_wanted()
            self._wanted.clear()
            await self.flush()

    async def _until_wanted(self) -> None:
        """Wait for the next tick, or for news that are urgent and a moment longer: they rarely come alone."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                await self._wanted.wait()
            await asyncio.sleep(URGENT_S)

    async def judge(self) -> None:
        """While the store is away, judge here, for ever: however long its answers take."""
        while True:
            await asyncio.sleep(FLUSH_S)
            self._judge()

    def _judge(self) -> None:
        for change in self._board.go_alone(clock.monotonic(), self._away):
            self._board.tell(change)

    async def flush(self) -> None:
        """Tell the store what is new, and take in its answers."""
        board = self._board
        board.suspect()
        now = clock.monotonic()
        flushes = board.flushes(now)
        self._away.intersection_update(group.name for group in board.groups)
        flushes += [board.reading(name, now) for name in self._away.difference(flush.group for flush in flushes)]
        results = board.results()
        self.commands += len(flushes) + len(results)
        answers = await self._store.merge(flushes)
        now = clock.monotonic()
        for flush, answer in zip(flushes, answers, strict=True):
            if isinstance(answer, Snapshot):
                board.learn(flush, answer, now)
                self._away.discard(flush.group)
            else:
                self._away.add(flush.group)
        arrived = await self._store.end_probes(results, self._jitter())
        board.keep_results([result for result, is_there in zip(results, arrived, strict=True) if not is_there])
        failures = [answer for answer in answers if not isinstance(answer, Snapshot)]
        if failures and not board.is_alone:
            self._tell(f"health store away, this worker judges by itself: {failures[0]}")
            self._judge()
        elif board.is_alone and not self._away:
            self._tell("health store back")
        board.is_alone = bool(self._away)

    async def follow(self, client: Client) -> None:
        """Apply the changes that other workers cause, as they are published, for ever.

        Whatever is missed comes with the next flush.
        """
        while True:
            with contextlib.suppress(RedisError, OSError):
                await self._follow_once(await subscriber(client))
            await asyncio.sleep(RESUBSCRIBE_S)

    async def _follow_once(self, client: Redis) -> None:
        async with contextlib.aclosing(listen(client, CHANGES)) as changes:
            async for data in changes:
                if data is not None:
                    self._hear(data)

    def _hear(self, data: bytes) -> None:
        change = _change(data)
        if change is not None:
            self._board.hear(change, clock.monotonic())
            self._board.tell(change)


def _change(data: bytes) -> Change | None:
    """Return what was published; None for what another version, or nobody of ours, has put on the channel."""
    try:
        group, endpoint, kind, seconds, why, epoch = orjson.loads(data)
        change = Change(str(group), str(endpoint), str(kind), float(seconds), int(why), int(epoch))
        _ = VERDICTS[change.why] if kind == "cooling" else Why(change.why)
    except (ValueError, TypeError, LookupError):
        return None
    return change if change.kind in ("cooling", "ejected", "probing", "recovered") else None
