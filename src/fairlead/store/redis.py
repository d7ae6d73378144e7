"""The connection to Redis or Valkey: plain, TLS, unix socket, Sentinel, Cluster."""

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

Client = Redis | RedisCluster

TIMEOUT_S = 0.25
CONNECT_TIMEOUT_S = 0.5
MAX_CONNECTIONS = 16
"""Of one worker to a single Redis."""


def connect(url: str) -> Client:
    """Return a client for `url`; nothing is sent yet.

    `redis://`, `rediss://`, `unix://`, `redis+sentinel://[user:password@]host:port[,host:port…]/NAME[/DB]`,
    `redis+cluster://host:port`. Time-outs are short and there is one retry: whoever calls goes on without Redis when
    it does not answer (the defaults of redis-py would wait for up to a minute).
    """
    options: dict[str, Any] = {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 1, (RedisConnectionError,)),
    }
    parts = urlsplit(url)
    if parts.scheme == "redis+sentinel":
        return _through_sentinel(url, options)
    if parts.scheme == "redis+cluster":
        return RedisCluster.from_url(url.replace("redis+cluster", "redis", 1), **options)
    # Waits its turn for a connection; the pool that `from_url` makes by itself would refuse the 17th caller at once.
    pool = BlockingConnectionPool.from_url(url, max_connections=MAX_CONNECTIONS, timeout=TIMEOUT_S, **options)
    return Redis.from_pool(pool)


def _through_sentinel(url: str, options: dict[str, Any]) -> Client:
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    name, _, db = parts.path.strip("/").partition("/")
    login = {"username": unquote(user) or None, "password": unquote(password) or None}
    sentinel_password = parse_qs(parts.query).get("sentinel_password", [None])[0]
    places = [urlsplit(f"//{place}") for place in hosts.split(",")]
    sentinels = [(place.hostname or "", place.port or 26379) for place in places]
    sentinel = Sentinel(  # type: ignore[no-untyped-call]  # redis-py leaves it without types
        sentinels,
        sentinel_kwargs={"password": sentinel_password, "socket_timeout": TIMEOUT_S},
        **options,
        **login,
        db=int(db or 0),
    )
    client: Client = sentinel.master_for(name or "mymaster")
    return client
