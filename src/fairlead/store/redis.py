"""The connection to Redis or Valkey: plain, TLS, unix socket, Sentinel, Cluster; and what differs between them."""

from collections.abc import Sequence
from typing import cast
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from fairlead.store import cluster, sentinel, server
from fairlead.store.server import Call

Client = Redis | RedisCluster


def connect(url: str) -> Client:
    """Return a client for `url`; nothing is sent yet.

    `redis://`, `rediss://`, `unix://`, `redis+sentinel://[user:password@]host:port[,host:port…]/NAME[/DB]`,
    `redis+cluster://[user:password@]host:port[,host:port…]`. Every command ends within about half a second, if need
    be with a RedisError: whoever calls goes on without Redis when it does not answer.
    """
    parts = urlsplit(url)
    if parts.scheme == "redis+sentinel":
        return sentinel.connect(parts)
    if parts.scheme == "redis+cluster":
        return cluster.connect(parts)
    return server.connect(url)


async def subscriber(client: Client) -> Redis:
    """Return a client to subscribe with; it is closed with `client`. Ask anew after each failure.

    All nodes of a cluster tell what is published on one of them: it is one that answers now. Raises RedisError.
    """
    return await client.subscriber() if isinstance(client, cluster.Cluster) else cast(Redis, client)


async def run_scripts(client: Client, script: str, calls: Sequence[Call]) -> list[object]:
    """Run a Lua script once per call, all in one round trip (to each node); return each call's reply or RedisError.

    Nothing is raised. A call that ended in a ConnectionError or a TimeoutError may have been run, or may be yet; after
    a connection that broke, all of that connection are sent once more, so that a call may be run twice.
    """
    if not calls:
        return []
    if isinstance(client, cluster.Cluster):
        return await client.run_scripts(script, calls)
    return await server.run_scripts(cast(Redis, client), script, calls)
