"""A Redis Cluster that fails as a single Redis does: soon, with a RedisError, and only where a node is away."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from contextvars import ContextVar
from itertools import chain
from typing import Any, cast
from urllib.parse import SplitResult

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.exceptions import AskError, ClusterDownError, RedisClusterException, RedisError, SlotNotCoveredError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from fairlead.clock import monotonic
from fairlead.store import server
from fairlead.store.places import places
from fairlead.store.server import Call

REFRESH_S = 1.0
"""The cluster is asked no more often than this who serves which slots."""
_MAP_IS_OLD = (RedisConnectionError, RedisTimeoutError, ClusterDownError, AskError)
_LIBRARY_FAULTS = (RedisClusterException, LookupError)
"""How redis-py says that no node can be reached or that a slot has no owner; neither is a RedisError."""

_WITHIN_COMMAND = ContextVar("within a command", default=False)


def connect(url: SplitResult) -> RedisCluster:
    """Return a client for a redis+cluster URL; nothing is sent yet."""
    first, *others = places(url, 6379)
    cluster = Cluster.from_url(
        _url_of_one(url, *first),
        startup_nodes=[ClusterNode(*place) for place in others],
        require_full_coverage=False,  # whether it is required, the servers know
        **server.options(),
    )
    cast(Cluster, cluster).url = url
    return cluster


def _url_of_one(url: SplitResult, host: str, port: int | str) -> str:
    credentials, at, _ = url.netloc.rpartition("@")
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return url._replace(scheme="redis", netloc=f"{credentials}{at}{place}").geturl()


class _KeyFirst:
    """All commands that are sent here begin with their key.

    The library would ask one node for that, again at each change of nodes, and have no cluster when that one is away.
    """

    async def initialize(self, node: ClusterNode) -> None:
        pass

    async def get_keys(self, *command: Any) -> Any:
        return command[1:2]


class Cluster(RedisCluster):
    """Its scripts do not go through the library's pipeline: that fails as a whole when one node is dead, after the
    others have done their part, and asks them for it once more."""

    url: SplitResult

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands_parser: Any = _KeyFirst()
        self._turns = asyncio.Semaphore(server.MAX_CONNECTIONS)
        self._servers: dict[str, Redis] = {}
        self._refresh_at = 0.0

    async def initialize(self, *args: Any, **options: Any) -> RedisCluster:
        """Find out who serves which slots, unless that is known. Raises RedisError."""
        try:
            _ = await super().initialize(*args, **options)
        except _LIBRARY_FAULTS as error:
            # All may have moved elsewhere; the library forgets what it was told at first.
            self.nodes_manager.startup_nodes |= {node.name: node for node in self.startup_nodes}
            raise RedisConnectionError(f"no cluster: {error}") from error
        return self

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        within = _WITHIN_COMMAND.set(True)
        try:
            async with asyncio.timeout(server.LIMIT_S), self._turns:
                _ = await self.initialize()  # left to the library, the first commands go to nodes at random
                return await super().execute_command(*args, **options)
        except TimeoutError:
            raise RedisTimeoutError(f"no answer from the cluster within {server.LIMIT_S} s") from None
        except _LIBRARY_FAULTS as error:
            raise RedisConnectionError(f"no node for {args[0]}: {error}") from error
        finally:
            _WITHIN_COMMAND.reset(within)

    async def subscriber(self) -> Redis:
        """See `fairlead.store.redis.subscriber`."""
        _ = await self.initialize()
        for node in random.sample(nodes := self.get_nodes(), len(nodes)):
            try:
                await self._server(node).ping()
            except RedisError:
                await self._refresh(node)
            else:
                return self._server(node)
        raise RedisConnectionError("no node of the cluster answers")

    async def run_scripts(self, script: str, calls: Sequence[Call]) -> list[object]:
        """See `fairlead.store.redis.run_scripts`."""
        try:
            async with asyncio.timeout(server.LIMIT_S):
                _ = await self.initialize()
        except (RedisError, TimeoutError) as error:
            return [RedisConnectionError(str(error))] * len(calls)
        replies: dict[int, object] = {}
        turns: dict[ClusterNode, list[int]] = {}
        for n, (key, _) in enumerate(calls):
            try:
                turns.setdefault(cast(ClusterNode, self.get_node_from_key(key)), []).append(n)
            except SlotNotCoveredError as error:
                replies[n] = RedisConnectionError(str(error))
        answers = await asyncio.gather(
            *(server.run_scripts(self._server(node), script, [calls[n] for n in turn]) for node, turn in turns.items())
        )
        replies.update(zip(chain(*turns.values()), chain(*answers), strict=True))
        faults = [n for n, reply in replies.items() if isinstance(reply, _MAP_IS_OLD)]
        if faults:
            await self._refresh(next((node for node, turn in turns.items() if faults[-1] in turn), None))
        moved = [n for n, reply in replies.items() if isinstance(reply, AskError)]  # MovedError is one too
        found = await asyncio.gather(*(self._run_wherever(script, *calls[n]) for n in moved))
        replies.update(zip(moved, found, strict=True))
        return [replies[n] for n in range(len(calls))]

    async def _run_wherever(self, script: str, key: str, arguments: Sequence[bytes | str]) -> object:
        """Run a script where the library, which follows redirections, finds its key."""
        try:
            return await self.execute_command("EVAL", script, 1, key, *arguments)
        except RedisError as error:
            return error

    async def _refresh(self, node: ClusterNode | None) -> None:
        """Ask who serves which slots, unless that was just done; rather not `node`, which has failed."""
        if monotonic() < self._refresh_at:
            return
        self._refresh_at = monotonic() + REFRESH_S
        with contextlib.suppress(RedisError, *_LIBRARY_FAULTS, TimeoutError):  # then what is known stays
            async with asyncio.timeout(server.TIMEOUT_S):
                await self.nodes_manager.initialize(last_failed_node_name=node.name if node else None)
        for name in self._servers.keys() - {node.name for node in self.get_nodes()}:
            await self._servers.pop(name).aclose()

    def _server(self, node: ClusterNode) -> Redis:
        """A client of one node alone."""
        if node.name not in self._servers:
            self._servers[node.name] = server.connect(_url_of_one(self.url, node.host, node.port))
        return self._servers[node.name]

    async def aclose(self) -> None:
        """Close all connections. The library does so by itself when a slot has no owner; that is no end for scripts."""
        await super().aclose()
        if _WITHIN_COMMAND.get():
            return
        for one in self._servers.values():
            await one.aclose()
