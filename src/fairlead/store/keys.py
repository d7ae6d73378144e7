"""API keys in Redis, and the worker's memory of them.

    fl:1:key:{<sha256>}   hash: what is known of the key, see `key_fields.py`
    fl:1:keys             set of all hashes
    fl:1:keys:changed     channel: the hash of a key that was changed or deleted

A worker that has seen a key does not ask again: changes are pushed. While Redis is away what is remembered goes on
working; when the subscription stands again, all of it is read anew, since changes may have been missed.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from fairlead.access.admit import refuse_unknown
from fairlead.access.keys import ApiKey, is_well_formed, key_hash
from fairlead.errors import ApiError, Unreadable
from fairlead.store import PREFIX
from fairlead.store.key_fields import fields_of, key_of, set_and_gone
from fairlead.store.redis import Client, run_scripts, subscriber
from fairlead.store.subscription import listen

CHANGED = f"{PREFIX}keys:changed"
ALL = f"{PREFIX}keys"

MAX_REMEMBERED = 100_000
"""Keys in a worker's memory, some 80 MB at the most; beyond it all are forgotten at once and looked up anew."""
MAX_STRANGERS = 10_000
"""Well-formed keys that the store does not know, remembered so that a client that insists costs no more look-ups."""
READ_AT_ONCE = 500
"""Keys in one round trip; a few milliseconds of one Redis."""
RESUBSCRIBE_S = 1.0
# Change and news of it in one step: were whoever makes the change to die in between, every worker would go on with
# what it remembers. A key that is gone stays gone: HSET alone would make a new one, without a name, that works.
# ARGV: channel, hash, how many fields to set, these with their values, fields to remove.
_CHANGE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
local last = 3 + 2 * tonumber(ARGV[3])
for n = 4, last, 2 do redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1]) end
for n = last + 1, #ARGV do redis.call('HDEL', KEYS[1], ARGV[n]) end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return redis.call('HGETALL', KEYS[1])"""
_GET = "return redis.call('HGETALL', KEYS[1])"
_DELETE = """
local found = redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return found"""


def _key(digest: str) -> str:
    return f"{PREFIX}key:{{{digest}}}"


class KeyStore:
    """Create, list and change stored keys.

    Every method raises redis' RedisError when Redis is away, and those that return keys Unreadable.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def add(self, key: ApiKey) -> None:
        await self._client.sadd(ALL, key.hash)  # first: a key that works can always be found in the list
        await self._client.hset(_key(key.hash), mapping=cast(Any, fields_of(key)))
        await self._client.publish(CHANGED, key.hash)

    async def get(self, digest: str) -> ApiKey | None:
        found = cast(dict[bytes, bytes], await self._client.hgetall(_key(digest)))
        return key_of(digest, found) if found else None

    async def get_each(self, digests: Sequence[str]) -> list[ApiKey | RedisError | Unreadable | None]:
        """Many keys in one round trip, each for itself: a node of a cluster may be away. Raises nothing."""
        replies = await run_scripts(self._client, _GET, [(_key(digest), ()) for digest in digests])
        return [
            reply if isinstance(reply, RedisError) else _read_one(digest, reply)
            for digest, reply in zip(digests, replies, strict=True)
        ]

    async def list(self) -> list[ApiKey]:
        """All keys, oldest first."""
        digests = [bytes(digest).decode() for digest in cast(set[bytes], await self._client.smembers(ALL))]
        found: list[ApiKey] = []
        for start in range(0, len(digests), READ_AT_ONCE):
            for key in await self.get_each(digests[start : start + READ_AT_ONCE]):
                if isinstance(key, RedisError | Unreadable):
                    raise key
                if key is not None:
                    found.append(key)
        return sorted(found, key=lambda key: (key.created, key.hash))

    async def count(self) -> int:
        return int(await self._client.scard(ALL))

    async def change(self, digest: str, changes: Mapping[str, object]) -> ApiKey | None:
        """Give attributes of ApiKey new values, all in one step; None where there is no such key, which is left so.

        Returns the key as it then is.
        """
        values, gone = set_and_gone(changes)
        pairs = [text for pair in values.items() for text in pair]
        found = await self._eval(_CHANGE, digest, CHANGED, digest, str(len(values)), *pairs, *gone)
        return _from_pairs(digest, found)

    async def set_disabled(self, digest: str, is_disabled: bool) -> None:
        """Change a key; one that does not exist is left so."""
        await self.change(digest, {"is_disabled": is_disabled})

    async def delete(self, digest: str) -> bool:
        """Return whether there was such a key."""
        found = await self._eval(_DELETE, digest, CHANGED, digest)
        await self._client.srem(ALL, digest)
        return bool(found)

    async def _eval(self, script: str, digest: str, *arguments: str) -> object:
        return await cast(Awaitable[object], self._client.eval(script, 1, _key(digest), *arguments))


def _from_pairs(digest: str, found: Any) -> ApiKey | None:
    """A hash as a script sees it: names and values by turns."""
    return key_of(digest, dict(zip(found[::2], found[1::2], strict=True))) if found else None


def _read_one(digest: str, found: Any) -> ApiKey | Unreadable | None:
    try:
        return _from_pairs(digest, found)
    except Unreadable as error:
        return error


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """Turn a failure of the store within into the refusal of a request: ApiError 503; 500 for what cannot be read."""
    try:
        yield
    except (RedisError, OSError) as error:
        text = "The store cannot be reached. Try again shortly"
        raise ApiError(503, text, error_type="server", headers={"retry-after": "1"}) from error
    except Unreadable as error:
        raise ApiError(500, f"In the store {error}", error_type="server") from error


class KeyRing:
    """The keys that this worker knows. `find` is on the hot path; it asks Redis only for a key never seen before."""

    def __init__(self, store: KeyStore, fixed: Iterable[ApiKey]) -> None:
        self._store = store
        self._fixed = {key.hash: key for key in fixed}
        self._known: dict[str, ApiKey] = {}
        self._strangers: set[str] = set()
        self.is_store_away = False
        """Whether the subscription is broken: what is known works, what is not cannot be looked up."""
        self._changes = 0
        """Counts what was pushed: an answer that may be older than the last of it is not remembered."""

    def find(self, token: bytes) -> ApiKey | None:
        """Return the key if this worker knows it."""
        return self.known(key_hash(token))

    def known(self, digest: str) -> ApiKey | None:
        """The same by the key's hash."""
        return self._fixed.get(digest) or self._known.get(digest)

    async def look_up(self, token: bytes) -> ApiKey:
        """Find a key that `find` does not know.

        Raises ApiError: 401 if there is no such key, 503 if Redis is away and the key has never been seen here, 500 if
        what is known of it cannot be read.
        """
        digest = key_hash(token)
        if not is_well_formed(token) or digest in self._strangers:
            raise refuse_unknown(token)
        changes = self._changes
        try:
            key = await self._store.get(digest)
        except (RedisError, OSError) as error:
            raise ApiError(
                503,
                "The key store cannot be reached, and this key has not been seen here before. Try again shortly",
                error_type="server",
                headers={"retry-after": "1"},
            ) from error
        except Unreadable as error:
            raise ApiError(500, f"In the store {error}", error_type="server") from error
        if changes == self._changes:
            self._remember(digest, key)
        if key is None:
            raise refuse_unknown(token)
        return key

    def _remember(self, digest: str, key: ApiKey | None) -> None:
        if key is None:
            self._known.pop(digest, None)
            if len(self._strangers) >= MAX_STRANGERS:
                self._strangers.clear()
            self._strangers.add(digest)
            return
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[digest] = key

    def forget(self, digest: str) -> None:
        """A key has changed."""
        self._changes += 1
        self._known.pop(digest, None)
        self._strangers.discard(digest)

    async def recheck_all(self) -> None:
        """Changes may have been missed: read every key anew. Until its turn comes, each works as it did.

        Raises RedisError when some could not be read; those go on as they did.
        """
        self._changes += 1
        self._strangers.clear()
        known = list(self._known)
        fault = None
        for start in range(0, len(known), READ_AT_ONCE):
            digests = known[start : start + READ_AT_ONCE]
            changes = self._changes
            found = await self._store.get_each(digests)
            faults = [key for key in found if isinstance(key, RedisError)]
            if len(faults) == len(digests):
                raise faults[0]
            fault = faults[0] if faults else fault
            for digest, key in zip(digests, found, strict=True):
                if isinstance(key, Unreadable):
                    self._known.pop(digest, None)  # whoever shows it is told
                elif changes == self._changes and not isinstance(key, RedisError):
                    self._remember(digest, key)
        if fault is not None:
            raise fault

    async def follow(self, client: Client, tell: Callable[[str], None] = lambda _: None) -> None:
        """Apply pushed changes for ever. Run as a background task; `tell` is told when the store goes and returns."""
        while True:
            reason = "it does not answer"
            try:
                await self._follow_once(await subscriber(client), tell)
            except (RedisError, OSError) as error:
                reason = str(error) or type(error).__name__
            if not self.is_store_away:
                self.is_store_away = True
                tell(f"store away, known keys go on: {reason}")
            await asyncio.sleep(RESUBSCRIBE_S)

    async def _follow_once(self, client: Redis, tell: Callable[[str], None]) -> None:
        async with contextlib.aclosing(listen(client, CHANGED)) as changes:
            async for digest in changes:
                if digest is not None:
                    self.forget(digest.decode("ascii", "replace"))
                    continue
                await self.recheck_all()  # whatever changed before this moment may have been missed
                if self.is_store_away:
                    self.is_store_away = False
                    tell("store back")
