"""A store with a million keys: written as `store.keys` writes them, many at a time."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from redis import Redis

from bench.window import BadRun
from fairlead.access.keys import ApiKey, from_token, generate, key_hash
from fairlead.store import PREFIX
from fairlead.store.embedded import EmbeddedStore
from fairlead.store.key_fields import fields_of, key_of
from fairlead.store.keys import ALL

_AT_ONCE = 1_000
_PIPELINED = 10
_CREATED = 1_700_000_000
# What KeyStore.add does, of many keys in one step. ARGV: how the name of a key begins, how many of the next are fields
# and values, these, hashes.
_ADD = """
local fields = {}
for n = 3, 2 + ARGV[2] do fields[n - 2] = ARGV[n] end
for n = 3 + ARGV[2], #ARGV do
  redis.call('SADD', KEYS[1], ARGV[n])
  redis.call('HSET', ARGV[1] .. '{' .. ARGV[n] .. '}', unpack(fields))
end"""


@dataclass(frozen=True, slots=True)
class Filled:
    """What writing so many keys took, and what the store holds for each."""

    keys: int
    write_s: float
    bytes_per_key: float
    store_mb: float
    """All of the store's memory."""
    disk_mb: float


def fill(folder: Path, keys: int, fresh: int, core: int) -> tuple[Filled, list[str]]:
    """Make a store in `folder`, a gateway's data directory, with `keys` keys; return no more than `fresh` of them.

    The others are hashes of which nobody knows the key. Raises BadRun when a key cannot be read back as it was meant.
    """
    tokens = [generate() for _ in range(min(keys, fresh))]
    store = EmbeddedStore(folder)
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        store.start()
        os.sched_setaffinity(0, ours)
        with Redis.from_url(store.url, socket_timeout=60.0) as redis:
            filled = _filled(redis, keys, [key_hash(token.encode()) for token in tokens], folder)
            _check(redis, keys, tokens[0])
    finally:
        os.sched_setaffinity(0, ours)
        store.stop()
    return filled, tokens


def _key(token: str) -> ApiKey:
    return replace(from_token(token, "team/service", _CREATED), limit_usd_nanos=10**14, limit_reset="monthly")


def _filled(redis: Redis, keys: int, real: Sequence[str], folder: Path) -> Filled:
    fields = [text for pair in fields_of(_key(generate())).items() for text in pair]
    before = int(redis.info("memory")["used_memory"])
    began_at = time.perf_counter()
    pipe = redis.pipeline(transaction=False)
    for number, hashes in enumerate(_hashes(keys, real), 1):
        pipe.eval(_ADD, 1, ALL, f"{PREFIX}key:", str(len(fields)), *fields, *hashes)
        if number % _PIPELINED == 0:
            pipe.execute()
    pipe.execute()
    took_s = time.perf_counter() - began_at
    held = int(redis.info("memory")["used_memory"])
    disk = sum(file.stat().st_size for file in (folder / "store").rglob("*") if file.is_file())
    return Filled(keys, took_s, (held - before) / keys, held / 1024**2, disk / 1024**2)


def _hashes(keys: int, real: Sequence[str]) -> Iterator[Sequence[str]]:
    yield real
    for first in range(len(real), keys, _AT_ONCE):
        yield [key_hash(b"%d" % number) for number in range(first, min(keys, first + _AT_ONCE))]


def _check(redis: Redis, keys: int, token: str) -> None:
    meant, count = _key(token), redis.scard(ALL)
    fields = cast(dict[bytes, bytes], redis.hgetall(f"{PREFIX}key:{{{meant.hash}}}"))
    found = key_of(meant.hash, fields) if fields else None
    if found is None or replace(found, label=meant.label) != meant or count != keys:
        raise BadRun(f"of {keys} keys that were written {count} are there, and one reads {found}")
