"""One Redis or Valkey server, or what answers like one: its connections, and scripts run on it."""

import asyncio
import functools
import hashlib
from collections.abc import Sequence
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

TIMEOUT_S = 0.25
CONNECT_TIMEOUT_S = 0.5
LIMIT_S = 0.5
"""Of a command, where more than one server may have to be asked before it is done."""
MAX_CONNECTIONS = 16
"""Of one worker to a single Redis."""

Call = tuple[str, Sequence[bytes | str]]
"""One run of a script: its key, its arguments."""


def options() -> dict[str, Any]:
    """Short time-outs and one retry, so that whoever calls can go on without Redis when it does not answer.

    The defaults of redis-py would wait for up to a minute.
    """
    return {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 1, (RedisConnectionError,)),
    }


def connect(url: str) -> Redis:
    """Return a client for a redis, rediss or unix URL; nothing is sent yet."""
    # Waits its turn for a connection; the pool that `from_url` makes by itself would refuse the 17th caller at once.
    pool = BlockingConnectionPool.from_url(url, max_connections=MAX_CONNECTIONS, timeout=TIMEOUT_S, **options())
    return Redis.from_pool(pool)


async def run_scripts(server: Redis, script: str, calls: Sequence[Call]) -> list[object]:
    """See `fairlead.store.redis.run_scripts`."""
    sha = _sha(script)
    commands = [("EVALSHA", sha, 1, key, *arguments) for key, arguments in calls]
    replies = await _send(server, commands)
    unknown = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if unknown:
        _, *again = await _send(server, [("SCRIPT LOAD", script), *(commands[n] for n in unknown)])
        for n, reply in zip(unknown, again, strict=True):
            replies[n] = reply
    return replies


@functools.cache  # a handful, of up to 16 KB, ten times a second
def _sha(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


async def _send(server: Redis, commands: Sequence[Sequence[Any]]) -> list[object]:
    """The reply or error of each command; all go over one connection, and so an error of that is everyone's."""
    try:
        async with asyncio.timeout(LIMIT_S), server.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            replies: list[object] = await pipeline.execute(raise_on_error=False)
    except RedisError as error:
        return [error] * len(commands)
    except TimeoutError:
        return [RedisTimeoutError(f"no answer within {LIMIT_S} s")] * len(commands)
    return replies
