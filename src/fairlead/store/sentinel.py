"""The master that Redis Sentinel names."""

import asyncio
from typing import Any, cast
from urllib.parse import SplitResult, parse_qs, unquote

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from fairlead.store import server
from fairlead.store.places import places


def connect(url: SplitResult) -> Redis:
    """Return a client for a redis+sentinel URL; nothing is sent yet."""
    user, _, password = url.netloc.rpartition("@")[0].partition(":")
    name, _, db = url.path.strip("/").partition("/")
    sentinel = Sentinel(  # type: ignore[no-untyped-call]  # redis-py leaves it without types
        places(url, 26379),
        sentinel_kwargs={
            "password": parse_qs(url.query).get("sentinel_password", [None])[0],
            "socket_timeout": server.TIMEOUT_S,
            "socket_connect_timeout": server.TIMEOUT_S,
            "retry": Retry(NoBackoff(), 0),  # another sentinel is asked instead
        },
        username=unquote(user) or None,
        password=unquote(password) or None,
        db=int(db or 0),
        max_connections=server.MAX_CONNECTIONS,
        timeout=server.LIMIT_S,
        **server.options(),
    )
    return cast(Redis, sentinel.master_for(name or "mymaster", _Master, _Pool, connection_class=_Connection))


class _Master(Redis):
    async def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            async with asyncio.timeout(server.LIMIT_S):
                return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except TimeoutError:
            raise RedisTimeoutError(f"no answer from sentinels and master within {server.LIMIT_S} s") from None


class _Connection(SentinelManagedConnection):
    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        # Left to the library, a connection that broke is made anew to where the master was.
        await self.connect()  # type: ignore[no-untyped-call]
        await super().send_packed_command(command, check_health)

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except ResponseError as error:
            if "-READONLY " not in str(error):
                raise
            # So says Redis 6.2 of a script, on a master that has been demoted. Of a command the library knows it.
            await self.disconnect()
            raise RedisConnectionError("the former master takes no more writes") from error


class _Pool(SentinelConnectionPool, BlockingConnectionPool):
    """Asks the sentinels whenever it makes a connection."""

    async def get_master_address(self) -> Any:
        sentinels = self.sentinel_manager.sentinels
        first = sentinels[0]
        try:
            return await super().get_master_address()  # type: ignore[no-untyped-call]
        except BaseException:
            if sentinels[0] is first:  # there may have been no time to ask the others; they are asked first next time
                sentinels.append(sentinels.pop(0))
            raise

    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.aclose()
