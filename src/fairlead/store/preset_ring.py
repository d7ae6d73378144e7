"""The worker's memory of all presets, so that no request waits for Redis.

Changes are pushed, as those of keys are; when the subscription stands (again), all are read anew, since changes may
have been missed. While Redis is away what is remembered goes on working.
"""

import asyncio
import contextlib
import difflib
from collections.abc import Mapping

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from fairlead.errors import ApiError, Unreadable
from fairlead.store.keys import RESUBSCRIBE_S
from fairlead.store.presets import CHANGED, PresetStore, StoredPreset
from fairlead.store.redis import Client, subscriber
from fairlead.store.subscription import listen
from fairlead.wire.cache_key import PresetCache
from fairlead.wire.preset import Preset


class PresetRing:
    """What `wire.preset.Presets` asks for. `default` is the slug of the preset of requests that name none, or empty.

    A default preset that is not there refuses every request: it may be what keeps prompts from being trained on. One
    that was disabled or archived is off, as whoever did that wanted.
    """

    def __init__(self, store: PresetStore, default: str = "") -> None:
        self._store = store
        self._default = default
        self._usable: dict[str, Preset] = {}
        self._off: dict[str, str] = {}
        """Slug → why it cannot be used."""
        self._unreadable: dict[str, Unreadable] = {}
        self.is_read = False
        """Whether the presets have been read at least once."""

    def find(self, slug: str) -> Preset:
        """Return a preset.

        Raises ApiError: 404 if there is none, 400 if it is off, 500 if it is nonsense, 503 if none could be read yet.
        """
        found = self._usable.get(slug)
        if found is None:
            raise self._refusal(slug[:100])
        return found

    def default(self) -> Preset | None:
        """Return what applies to requests that name no preset. Raises ApiError 503 if it is not known, or 500."""
        if not self._default:
            return None
        found = self._usable.get(self._default)
        if self._default in self._unreadable:
            raise self._refusal(self._default)
        if found is None and self._default not in self._off:
            text = (
                f"The preset {self._default!r}, which FAIRLEAD_DEFAULT_PRESET lays under every request, is not there. "
                f"The operator makes it: POST /v1/presets/{self._default}/chat/completions, with the admin key"
            )
            raise ApiError(503, text, error_type="server", headers={"retry-after": "1"})
        return found

    def _refusal(self, slug: str) -> ApiError:
        if not self.is_read:
            text = f"The store cannot be reached, so the preset {slug!r} is not known yet. Try again shortly"
            return ApiError(503, text, error_type="server", headers={"retry-after": "1"})
        if slug in self._unreadable:
            return ApiError(500, f"In the store {self._unreadable[slug]}", error_type="server", param="preset")
        if slug in self._off:
            return ApiError(400, f"The preset {slug!r} is {self._off[slug]}", param="preset")
        close = difflib.get_close_matches(slug, self._usable, n=3, cutoff=0.5)
        hint = f"Did you mean {', '.join(close)}?" if close else "GET /v1/presets lists them."
        return ApiError(404, f"There is no preset {slug!r}. {hint}", error_type="not_found", param="preset")

    async def start(self) -> None:
        """Read all presets, if Redis answers: requests may come before the subscription stands."""
        with contextlib.suppress(RedisError, OSError):
            await self.read_all()

    async def read_all(self) -> None:
        """Read every preset. Raises RedisError, and then remembers what it did; one that is nonsense is no reason."""
        unreadable: dict[str, Unreadable] = {}
        found = await self._store.list(unreadable.__setitem__)
        self._usable, self._off, self._unreadable = {}, {}, unreadable
        for one in found:
            self._remember(one)
        self.is_read = True

    async def read(self, slug: str) -> None:
        """Read one preset anew: it has changed. Raises RedisError."""
        found, fault = None, None
        try:
            found = await self._store.get(slug)
        except Unreadable as error:
            fault = error
        for known in (self._usable, self._off, self._unreadable):
            known.pop(slug, None)
        if found is not None:
            self._remember(found)
        elif fault is not None:
            self._unreadable[slug] = fault

    def _remember(self, one: StoredPreset) -> None:
        if one.status == "active":
            try:
                self._usable[one.slug] = preset_of(one)
            except msgspec.DecodeError as error:
                self._unreadable[one.slug] = Unreadable(f"the preset {one.slug!r} has a wrong configuration: {error}")
        else:
            self._off[one.slug] = one.status

    async def follow(self, client: Client) -> None:
        """Apply pushed changes for ever. Run as a background task; what was missed is read when Redis is back."""
        while True:
            with contextlib.suppress(RedisError, OSError):
                await self._follow_once(await subscriber(client))
            await asyncio.sleep(RESUBSCRIBE_S)

    async def _follow_once(self, client: Redis) -> None:
        async with contextlib.aclosing(listen(client, CHANGED)) as changes:
            async for slug in changes:
                if slug is None:
                    await self.read_all()  # whatever changed before this moment may have been missed
                else:
                    await self.read(slug.decode("utf-8", "replace"))


def preset_of(stored: StoredPreset) -> Preset:
    """Return what is laid under requests: the configuration of the designated version."""
    config = stored.designated.config
    members = config.members()
    return Preset(
        stored.slug,
        members,
        b"" if config.system_prompt is None else msgspec.json.encode(config.system_prompt),
        _cache(members),
    )


def _cache(members: Mapping[str, bytes]) -> PresetCache | None:
    is_enabled = msgspec.json.decode(members.get("cache_enabled", b"null"), type=bool | None)
    ttl_s = msgspec.json.decode(members.get("cache_ttl_seconds", b"null"), type=int | None)
    return None if is_enabled is ttl_s is None else PresetCache(is_enabled, ttl_s)
