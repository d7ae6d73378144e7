"""A channel that is listened to for as long as its server answers."""

from collections.abc import AsyncGenerator
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

QUIET_S = 2.0
"""Without a message the subscription is tried with a ping; without an answer for as long again it is taken for dead: a
firewall has forgotten it, or a master that hangs has been replaced. Neither says anything, and meanwhile what is
published is missed: a key that is disabled goes on working."""


async def listen(server: Redis, channel: str) -> AsyncGenerator[bytes | None, None]:
    """Yield None once the subscription stands, then what is published; end when nothing is answered any more.

    Raises RedisError and OSError. To be closed by who does not read to the end.
    """
    async with server.pubsub(ignore_subscribe_messages=False) as subscription:
        await subscription.subscribe(channel)
        is_asked = False
        while True:
            try:
                message: Any = await subscription.get_message(timeout=QUIET_S)
            except ResponseError:  # the ping is refused, as by one that cannot write to its disk: that is an answer too
                is_asked = False
                continue
            if message is None and is_asked:
                return
            if message is None:
                await subscription.ping()
            elif message["type"] == "subscribe":
                yield None
            elif message["type"] == "message":
                yield message["data"]
            is_asked = message is None
