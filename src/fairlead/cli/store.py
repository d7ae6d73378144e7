"""The store, as the commands reach it that read and write it without a gateway."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from fairlead.store.redis import Client

T = TypeVar("T")


def with_store(use: "Callable[[Client], Awaitable[T]]") -> T:
    """Run `use` on the store that the configuration names: of a running gateway, or started for the moment.

    Ends the process with 1, saying why, when the store cannot be reached.
    """
    from redis.exceptions import RedisError

    from fairlead.config import load_process
    from fairlead.store.embedded import EmbeddedStore, url_of_running

    settings = load_process().settings
    try:
        if settings.redis_url is not None:
            return asyncio.run(_use(settings.redis_url.reveal(), use))
        if (url := url_of_running(settings.data_dir)) is not None:
            return asyncio.run(_use(url, use))
        store = EmbeddedStore(settings.data_dir)
        store.start()
        try:
            return asyncio.run(_use(store.url, use))
        finally:
            store.stop()
    except (RedisError, OSError) as error:
        click.echo(f"fairlead: the store cannot be reached: {error}", err=True)
        sys.exit(1)


async def _use(url: str, use: "Callable[[Client], Awaitable[T]]") -> T:
    from fairlead.store.redis import connect

    client = connect(url)
    try:
        return await use(client)
    finally:
        await client.aclose()
