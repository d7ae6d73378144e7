"""OAuth codes in Redis, and the secret that consent pages are signed with.

    fl:1:oauth:code:{<sha256>}   what the code's app asked for, as JSON (access/key_request.py)
    fl:1:oauth:secret            32 random bytes, made by whoever needs them first; the same for all workers

How old a code is, the store's clock alone says: those of two workers may differ. A code is remembered for longer than
it works, to tell that it came too late.
"""

import secrets
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import cast

import msgspec

from fairlead.access.key_request import KeyRequest, unpack
from fairlead.access.pkce import code_hash
from fairlead.store import PREFIX
from fairlead.store.redis import Client

CODE_LIFE_S = 600
REMEMBERED_S = 3_600

_TAKE = """
local found, left_ms = redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])
redis.call('DEL', KEYS[1])
return {found, left_ms}"""
_SECRET = """
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])"""


@dataclass(frozen=True, slots=True)
class Taken:
    """A code that existed until now."""

    request: KeyRequest
    is_expired: bool


class CodeStore:
    """Every method raises redis' RedisError when Redis is away."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def add(self, code: str, request: KeyRequest) -> bool:
        """Keep a code, from now on good for CODE_LIFE_S; False if there is such a code already."""
        life_s = CODE_LIFE_S + REMEMBERED_S
        return bool(await self._client.set(_key(code), request.packed(), ex=life_s, nx=True))

    async def take(self, code: str) -> Taken | None:
        """Return what a code is for, and forget it, in one step: of two who take it, one finds nothing.

        Should the connection break on the way back, the code is gone and nobody has it. What cannot be read is none.
        """
        found, left_ms = cast("tuple[bytes | None, int]", await self._eval(_TAKE, _key(code)))
        try:
            return None if found is None else Taken(unpack(found), is_expired=left_ms <= REMEMBERED_S * 1000)
        except msgspec.DecodeError:
            return None

    async def secret(self) -> bytes:
        """Return what consent pages are signed with. Nobody remembers it: a store that lost it makes another."""
        return cast(bytes, await self._eval(_SECRET, f"{PREFIX}oauth:secret", secrets.token_bytes(32)))

    async def _eval(self, script: str, key: str, *arguments: bytes) -> object:
        return await cast(Awaitable[object], self._client.eval(script, 1, key, *arguments))


def _key(code: str) -> str:
    return f"{PREFIX}oauth:code:{{{code_hash(code)}}}"
