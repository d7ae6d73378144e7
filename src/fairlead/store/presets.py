"""Presets in Redis.

    fl:1:preset:{<slug>}    hash: id, name, description, status, created, updated, status_updated, creator,
                            last (number of the newest version), designated (of the one in use);
                            of each version c:<n> → its config, s:<n> → its system prompt as JSON,
                            m:<n> → "<id> <created> <creator>"
    fl:1:presets            set of all slugs
    fl:1:presets:changed    channel: the slug of a preset that was changed or deleted

Versions are never changed. The newest MOST_VERSIONS are kept, and the designated one is always among them.
"""

import contextlib
import re
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import msgspec
from redis.exceptions import RedisError

from fairlead.errors import FairleadError, Unreadable
from fairlead.store import PREFIX
from fairlead.store.redis import Client, run_scripts
from fairlead.wire.preset_config import Config

CHANGED = f"{PREFIX}presets:changed"
ALL = f"{PREFIX}presets"

MOST_PRESETS = 1_000
"""Every worker holds all of them."""
MOST_VERSIONS = 100
READ_AT_ONCE = 20
"""Presets in one round trip: 2.5 MB if each is as large as it may be."""

Status = Literal["active", "disabled", "archived"]

_HEAD = ("id", "name", "description", "status", "created", "updated", "status_updated", "creator", "last")

# KEYS: the preset. ARGV: channel, slug, id for a new preset, id for the version, Unix seconds, who, config, prompt,
# most versions. With the same config as the designated version nothing is written: to deploy again changes nothing.
_PUT = """
local key = KEYS[1]
local is_new = redis.call('EXISTS', key) == 0
if not is_new then
    if redis.call('HGET', key, 'status') ~= 'active' then return 0 end
    local used = redis.call('HGET', key, 'designated')
    local config, prompt = redis.call('HGET', key, 'c:' .. used), redis.call('HGET', key, 's:' .. used)
    if config == ARGV[7] and prompt == ARGV[8] then return 1 end
else
    redis.call('HSET', key, 'id', ARGV[3], 'name', ARGV[2], 'status', 'active')
    redis.call('HSET', key, 'created', ARGV[5], 'creator', ARGV[6])
end
local n = redis.call('HINCRBY', key, 'last', 1)
redis.call('HSET', key, 'designated', n, 'updated', ARGV[5],
    'c:' .. n, ARGV[7], 's:' .. n, ARGV[8], 'm:' .. n, ARGV[4] .. ' ' .. ARGV[5] .. ' ' .. ARGV[6])
local old = n - tonumber(ARGV[9])
if old > 0 then redis.call('HDEL', key, 'c:' .. old, 's:' .. old, 'm:' .. old) end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1"""

# ARGV: names of fields. What is said of the designated version comes after them.
_GET = """
local found = redis.call('HMGET', KEYS[1], unpack(ARGV))
local n = redis.call('HGET', KEYS[1], 'designated')
if not n then return {} end
for _, part in ipairs({'c:', 's:', 'm:'}) do found[#found + 1] = redis.call('HGET', KEYS[1], part .. n) end
found[#found + 1] = n
return found"""

# ARGV: channel, slug, number of the version to designate or '', then fields with their values.
_CHANGE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if ARGV[3] ~= '' then
    if redis.call('HEXISTS', KEYS[1], 'c:' .. ARGV[3]) == 0 then return 1 end
    redis.call('HSET', KEYS[1], 'designated', ARGV[3])
end
for n = 4, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1]) end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 2"""

_DELETE = """
local found = redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return found"""

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class NotActive(FairleadError):
    """The preset is disabled or archived: nothing is added to it."""


class TooMany(FairleadError):
    """There are MOST_PRESETS."""


class NoVersion(FairleadError):
    """The preset has no version of this number."""


@dataclass(frozen=True, slots=True)
class Version:
    """One state of a preset's configuration. `created` is Unix seconds; `creator`: `admin` or `key:<hash>`."""

    number: int
    id: str
    created: int
    creator: str
    config: Config


@dataclass(frozen=True, slots=True)
class StoredPreset:
    """A preset with the version in use. Times are Unix seconds."""

    slug: str
    id: str
    name: str
    description: str
    status: Status
    created: int
    updated: int
    status_updated: int | None
    creator: str
    last: int
    """The number of its newest version."""
    designated: Version


class PresetStore:
    """Every method raises redis' RedisError when Redis is away, and those that return presets Unreadable."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def put(self, slug: str, config: Config, *, creator: str, now: int) -> StoredPreset:
        """Make a preset, or a new version of it, which is in use from now on.

        What is configured already makes no new version. Raises NotActive, TooMany.
        """
        if not await self._client.sismember(ALL, slug):
            # Two at once may exceed it by one; it only bounds memory.
            if await self._client.scard(ALL) >= MOST_PRESETS:
                raise TooMany(f"there are {MOST_PRESETS} presets")
            await self._client.sadd(ALL, slug)  # first: what works can always be found in the list
        ids = [str(uuid.uuid4()), str(uuid.uuid4())]
        content = [config.text, msgspec.json.encode(config.system_prompt)]
        found = await self._eval(_PUT, slug, CHANGED, slug, *ids, str(now), creator, *content, str(MOST_VERSIONS))
        stored = await self.get(slug)
        if not found or stored is None:
            raise NotActive(slug)
        return stored

    async def get(self, slug: str) -> StoredPreset | None:
        return _preset(slug, await self._eval(_GET, slug, *_HEAD))

    async def versions(self, slug: str, newest: int, count: int) -> list[Version]:
        """Return up to `count` versions from number `newest` downwards; without those that are not kept any more."""
        numbers = range(newest, max(newest - count, 0), -1)
        fields = [f"{part}:{n}" for n in numbers for part in "csm"]
        values = cast("list[bytes | None]", await self._client.hmget(_key(slug), fields)) if fields else []
        parts = zip(numbers, values[::3], values[1::3], values[2::3], strict=True)
        with _readable(slug):
            return [found for n, *said in parts if (found := _version(n, *said)) is not None]

    async def list(self, leave_out: Callable[[str, Unreadable], None] | None = None) -> list[StoredPreset]:
        """All presets, by slug. Of those that are nonsense `leave_out` is told, if given; else Unreadable is raised."""
        slugs = sorted(bytes(slug).decode() for slug in cast(set[bytes], await self._client.smembers(ALL)))
        found: list[StoredPreset] = []
        for start in range(0, len(slugs), READ_AT_ONCE):
            some = slugs[start : start + READ_AT_ONCE]
            replies = await run_scripts(self._client, _GET, [(_key(slug), _HEAD) for slug in some])
            for slug, reply in zip(some, replies, strict=True):
                if isinstance(reply, RedisError):
                    raise reply
                try:
                    one = _preset(slug, reply)
                except Unreadable as error:
                    if leave_out is None:
                        raise
                    leave_out(slug, error)
                    continue
                if one is not None:
                    found.append(one)
        return found

    async def change(
        self, slug: str, changes: Mapping[str, str | int], *, designated: int | None, now: int
    ) -> StoredPreset | None:
        """Change `name`, `description`, `status`, and which version is in use; None where there is no such preset.

        Raises NoVersion.
        """
        values = {**changes, "updated": now} | ({"status_updated": now} if "status" in changes else {})
        pairs = [str(part) for pair in values.items() for part in pair]
        number = "" if designated is None else str(designated)
        found = await self._eval(_CHANGE, slug, CHANGED, slug, number, *pairs)
        if found == 1:
            raise NoVersion(f"{slug} has no version {designated}")
        return await self.get(slug) if found else None

    async def delete(self, slug: str) -> bool:
        """Remove a preset with its versions, for ever. Return whether there was one."""
        found = await self._eval(_DELETE, slug, CHANGED, slug)
        await self._client.srem(ALL, slug)
        return bool(found)

    async def _eval(self, script: str, slug: str, *arguments: str | bytes) -> Any:
        return await cast(Awaitable[object], self._client.eval(script, 1, _key(slug), *cast(Any, arguments)))


def _key(slug: str) -> str:
    return f"{PREFIX}preset:{{{slug}}}"


@contextlib.contextmanager
def _readable(slug: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, RecursionError, msgspec.DecodeError) as error:
        remedy = "HSET what is wrong, or DEL it and make it anew"
        raise Unreadable(f"the preset {_key(slug)} cannot be read ({error}): {remedy}") from error


def _preset(slug: str, reply: Any) -> StoredPreset | None:
    """Read what _GET returns. Raises Unreadable."""
    if not reply:
        return None
    with _readable(slug):
        return _read(slug, reply)


def _read(slug: str, reply: Any) -> StoredPreset | None:
    said: Sequence[bytes | None] = reply
    head = {name: (value or b"").decode() for name, value in zip(_HEAD, said, strict=False)}
    number = int(said[-1] or b"0")
    designated = _version(number, *said[-4:-1])
    if designated is None:
        return None
    return StoredPreset(
        slug,
        head["id"],
        head["name"],
        head["description"],
        _status(head["status"]),
        int(head["created"]),
        int(head["updated"]),
        int(head["status_updated"]) if head["status_updated"] else None,
        head["creator"],
        int(head["last"]),
        designated,
    )


def _version(number: int, config: bytes | None, prompt: bytes | None, said: bytes | None) -> Version | None:
    if config is None or prompt is None or said is None:
        return None
    id, created, creator = said.decode().split(" ", 2)
    told = Config(config, msgspec.json.decode(prompt, type=str | None))
    _ = told.members()
    return Version(number, id, int(created), creator, told)


def _status(text: str) -> Status:
    if text not in get_args(Status):
        raise ValueError(f"there is no status {text[:40]!r}")
    return cast(Status, text)
