"""Model lists of providers, fetched by one worker and read by all.

fl:1:discovered:<slug>:<hash of base URL>         the list as the provider sent it, with a time to live
fl:1:discovered:<slug>:<hash of base URL>:claim   held by the worker that is fetching it
"""

import hashlib

from redis.exceptions import RedisError

from fairlead.catalog.model import Provider
from fairlead.store import PREFIX
from fairlead.store.redis import Client

CLAIM_S = 30


class DiscoveredStore:
    """While Redis is away nothing is found and every claim succeeds: each worker then asks for itself."""

    def __init__(self, client: Client, keep_s: float) -> None:
        self._client = client
        self._keep_s = max(1, int(keep_s))

    async def get(self, provider: Provider) -> bytes | None:
        try:
            found: bytes | None = await self._client.get(_key(provider))  # type: ignore[assignment]  # no decoding
        except (RedisError, OSError):
            return None
        return found

    async def put(self, provider: Provider, listing: bytes) -> None:
        try:
            await self._client.set(_key(provider), listing, ex=self._keep_s)
        except (RedisError, OSError):
            return

    async def claim(self, provider: Provider) -> bool:
        """Whether the caller is the one to ask the provider now."""
        try:
            return bool(await self._client.set(f"{_key(provider)}:claim", 1, nx=True, ex=CLAIM_S))
        except (RedisError, OSError):
            return True


def _key(provider: Provider) -> str:
    return f"{PREFIX}discovered:{provider.slug}:{hashlib.sha256(provider.base_url.encode()).hexdigest()[:12]}"
