"""Replies to be told again, in Redis, and in front of that the few that this worker has just seen.

    fl:1:{cache}:<name>   an entry, with a time to live: b"\\x01", then deflated msgpack (`Entry`)
    fl:1:{cache}:order    sorted set: names by the order of their coming
    fl:1:{cache}:sizes    hash: name → bytes; "" → their sum; "n" → how many have come so far

Room. All entries together take no more than `max_bytes`: each is counted with its length and OVERHEAD_BYTES for its
name and its place in the two lists, and one that comes in makes room by removing those that came first. Approximately:
what has expired counts until it is the oldest, and is removed by the next that comes; and when Redis itself evicts one
of the two lists, the count begins anew, so that until the old entries expire there may be twice as much. An entry for
which more than MOST_EVICTED would have to go is not kept. All is in one slot, so that it can be counted in one step; in
a cluster one node has it.

Nobody waits for longer than WAIT_S, and nothing here raises. While Redis is away nothing is found.
"""

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from fairlead import clock
from fairlead.store import PREFIX
from fairlead.store.redis import Client
from fairlead.tasks import Tasks

SLOT = f"{PREFIX}{{cache}}:"
ORDER = f"{SLOT}order"
SIZES = f"{SLOT}sizes"
OVERHEAD_BYTES = 512
"""Names of 85 bytes for the key, and of 64 in a sorted set and in a hash: some 450 bytes in Valkey 9."""
WAIT_S = 0.05
AWAY_S = 1.0
"""After Redis has failed to answer it is not asked for so long."""
MOST_EVICTED = 1_000
"""In one step, which takes a few milliseconds of Redis then."""
MOST_WAITING = 32
"""Entries on their way to Redis; further ones are dropped."""
FRONT_S = 1.0
"""So old may be what the front has of an entry that another worker has cleared."""
FRONT_BYTES = 8 * 1024 * 1024
_LARGE_BYTES = 64 * 1024
"""Deflating more than that is left to a thread: some 0.3 ms."""
_ENTRY_EXTRA_BYTES = 4_096
"""Of an entry beside its template, at the most."""
_FORMAT = b"\x01"

_GET = "return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}"
_FORGET = """
local entry, order, sizes, name = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local function forget(one)
  local bytes = redis.call('HGET', sizes, one)
  redis.call('ZREM', order, one)
  if bytes then
    redis.call('HDEL', sizes, one)
    redis.call('HINCRBY', sizes, '', -bytes)
  end
end
redis.call('DEL', entry)
forget(name)
"""
# ARGV: name, value, its time to live in ms, bytes to count for it, most bytes, most to evict, prefix of entries,
# seconds that the lists are kept for.
_PUT = f"""{_FORGET}
local value, ttl_ms, bytes, most = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
if redis.call('EXISTS', sizes) == 0 then redis.call('DEL', order) end
for evicted = 0, tonumber(ARGV[6]) do
  local oldest = redis.call('ZRANGE', order, 0, 0)[1]
  if not oldest then
    redis.call('DEL', sizes)
    break
  end
  local is_full = tonumber(redis.call('HGET', sizes, '') or 0) + bytes > most
  if not is_full and redis.call('EXISTS', ARGV[7] .. oldest) == 1 then break end
  if evicted == tonumber(ARGV[6]) then
    if is_full then return 0 end
    break
  end
  redis.call('DEL', ARGV[7] .. oldest)
  forget(oldest)
end
redis.call('SET', entry, value, 'PX', ttl_ms)
redis.call('ZADD', order, redis.call('HINCRBY', sizes, 'n', 1), name)
redis.call('HSET', sizes, name, bytes)
redis.call('HINCRBY', sizes, '', bytes)
redis.call('EXPIRE', order, ARGV[8])
redis.call('EXPIRE', sizes, ARGV[8])
return 1"""
_LISTS_LIFE_S = 2 * 86_400
"""Longer than any entry's."""


class Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A reply, and what is to be said with it."""

    source_id: str
    """Id of the generation that it comes from."""
    ttl_s: int
    """As it was when it was kept."""
    model: str
    provider: str
    finish_reason: str
    headers: list[tuple[bytes, bytes]]
    template: bytes
    """See wire/replay.py."""


@dataclass(frozen=True, slots=True)
class Hit:
    entry: Entry
    left_s: float
    """Until it expires."""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Entry)


def pack(entry: Entry) -> bytes:
    return _FORMAT + zlib.compress(_ENCODER.encode(entry), 1)


def unpack(data: bytes, max_bytes: int) -> Entry | None:
    """Return the entry; None for what is not whole, not ours, of another version, or larger than `max_bytes`."""
    if not data.startswith(_FORMAT):
        return None
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(data[len(_FORMAT) :], max_bytes)
        return _DECODER.decode(found) if inflater.eof and not inflater.unused_data else None
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError):
        return None


class Front:
    """What a worker remembers: at most FRONT_BYTES, each for FRONT_S; what has not been used for longest goes first."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, tuple[Entry, float, float]] = OrderedDict()
        """Entry, when it is forgotten, when it expires; times of `clock.monotonic`."""
        self.size = 0

    def get(self, name: str, now: float) -> Hit | None:
        found = self._entries.get(name)
        if found is None:
            return None
        entry, until, expires = found
        if now >= min(until, expires):
            self.forget(name)
            return None
        self._entries.move_to_end(name)
        return Hit(entry, expires - now)

    def put(self, name: str, hit: Hit, now: float) -> None:
        self.forget(name)
        self._forget_past(now)
        self._entries[name] = hit.entry, now + FRONT_S, now + hit.left_s
        self.size += _bytes_of(hit.entry)
        while self.size > FRONT_BYTES:
            self.forget(next(iter(self._entries)))

    def _forget_past(self, now: float) -> None:
        """Forget what is past its time, up to the first that is not: what was used later is looked at later."""
        while self._entries:
            name, (_, until, expires) = next(iter(self._entries.items()))
            if now < min(until, expires):
                return
            self.forget(name)

    def forget(self, name: str) -> None:
        if (found := self._entries.pop(name, None)) is not None:
            self.size -= _bytes_of(found[0])


def _bytes_of(entry: Entry) -> int:
    return len(entry.template) + OVERHEAD_BYTES


class ResponseStore:
    """`now` tells monotonic seconds. What takes longer than whoever asks should wait goes on among `tasks`."""

    def __init__(
        self,
        client: Client,
        tasks: Tasks,
        max_entry_bytes: int,
        max_bytes: int,
        now: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._client = client
        self._tasks = tasks
        self._max_entry_bytes = max_entry_bytes
        self._most_inflated = max_entry_bytes + _ENTRY_EXTRA_BYTES
        self._max_bytes = max_bytes
        self._now = now
        self._front = Front()
        self._away_until = 0.0
        self._waiting = 0

    async def get(self, name: str) -> Hit | None:
        """Return what is kept under a name. Waits for WAIT_S at most."""
        now = self._now()
        if (hit := self._front.get(name, now)) is not None:
            return hit
        if now < self._away_until:
            return None
        answer = await self._ask(_GET, [f"{SLOT}{name}"])
        found, left_ms = cast("tuple[bytes | None, int]", answer) if answer is not None else (None, 0)
        entry = unpack(found, self._most_inflated) if found is not None and left_ms > 0 else None
        if entry is None:
            return None
        hit = Hit(entry, left_ms / 1000)
        self._front.put(name, hit, self._now())
        return hit

    async def clear(self, name: str) -> None:
        """Forget what is kept under a name. Waits for WAIT_S at most; should Redis need longer, it is done later."""
        self._front.forget(name)
        _ = await self._ask(_FORGET, [f"{SLOT}{name}", ORDER, SIZES], name)

    async def put(self, name: str, entry: Entry) -> None:
        """Keep an entry instead of the one that there is. For the background: it takes as long as Redis does."""
        if len(entry.template) > self._max_entry_bytes:
            return
        self._front.put(name, Hit(entry, entry.ttl_s), self._now())
        if self._waiting >= MOST_WAITING:
            return
        self._waiting += 1
        try:
            is_large = len(entry.template) > _LARGE_BYTES
            value = await asyncio.to_thread(pack, entry) if is_large else pack(entry)
            size = len(value) + OVERHEAD_BYTES
            if size <= self._max_bytes:
                keys = [f"{SLOT}{name}", ORDER, SIZES]
                ttl_ms = entry.ttl_s * 1000
                _ = await self._eval(
                    _PUT, keys, name, value, ttl_ms, size, self._max_bytes, MOST_EVICTED, SLOT, _LISTS_LIFE_S
                )
        except (RedisError, OSError):
            return
        finally:
            self._waiting -= 1

    def _eval(self, script: str, keys: Sequence[str], *arguments: bytes | str | int) -> Awaitable[object]:
        return cast(Awaitable[object], self._client.eval(script, len(keys), *keys, *cast(Any, arguments)))

    async def _ask(self, script: str, keys: Sequence[str], *arguments: str) -> object:
        """Return what a script answers; None if Redis fails, or takes too long.

        What takes too long is not broken off: a connection that is never given the time to be made is never there.
        """
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._tasks.start("response cache", self._answer(answer, script, keys, arguments))
        try:
            async with asyncio.timeout(WAIT_S):
                return await answer
        except TimeoutError:
            self._away_until = self._now() + AWAY_S
            return None

    async def _answer(
        self, answer: "asyncio.Future[object]", script: str, keys: Sequence[str], arguments: Sequence[str]
    ) -> None:
        found: object = None
        try:
            found = await self._eval(script, keys, *arguments)
        except (RedisConnectionError, RedisTimeoutError, OSError):
            self._away_until = self._now() + AWAY_S
        except RedisError:  # what stands there is not ours
            pass
        if not answer.done():
            answer.set_result(found)
