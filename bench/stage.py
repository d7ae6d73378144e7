"""The processes that one measurement needs: a provider, a store, and a gateway."""

import sys
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from redis import Redis
from redis.exceptions import RedisError

import fairlead
from bench import procfs
from bench.processes import NotReady, Processes, free_port
from bench.request import HOLD_MODEL, Request, build_request, chat_body
from fairlead.store.embedded import find_server, url_of_running

KEY = "sk-bench-sizing"
_SOURCE = str(Path(fairlead.__file__).parents[1])
_HERE = Path(__file__).parents[1]
_START_S = 20.0
_READY_S = 120.0
"""A store may have a million keys to read first."""


@dataclass(frozen=True, slots=True)
class Places:
    """Who runs on which cores; None: wherever the system likes."""

    gateway: Collection[int] | None = None
    upstream: int | None = None


class Stage:
    """Use `with`. There are `models` times `providers` endpoints, all of them one cheap upstream.

    The store is a process beside the gateway that keeps nothing on disk, or with `is_embedded` the gateway's own, with
    what `folder` has of it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 1,
        models: int = 1,
        providers: int = 1,
        events_per_s: int = 50,
        has_gateway: bool = True,
        is_embedded: bool = False,
        places: Places = Places(),
        upstream: Path | None = None,
    ) -> None:
        self.workers = workers
        self.models = [f"bench/m{number}" for number in range(models)]
        self.endpoints = models * providers
        self._folder = folder
        self._providers = providers
        self._events_per_s = events_per_s
        self._has_gateway = has_gateway
        self._is_embedded = is_embedded
        self._places = places
        self._upstream = upstream
        self._processes = Processes(folder)
        self._upstream_port = free_port()
        self.port = free_port()
        self.redis = Redis(host="127.0.0.1", port=free_port(), socket_timeout=10.0)
        self.start_s = 0.0
        """What it took the gateway to be ready."""
        self._roots: list[int] = []

    def __enter__(self) -> Self:
        self._processes.__enter__()
        try:
            if not self._is_embedded:
                self._start_store()
            if self._has_gateway:
                self._start_upstream()
                self._start_gateway()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.redis.close()
        self._processes.__exit__(None, None, None)

    def _start_store(self) -> None:
        port = str(self.redis.connection_pool.connection_kwargs["port"])
        command = [find_server().path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        self._processes.start("store", command, {}, None, self._folder)
        deadline = time.perf_counter() + _START_S
        while True:
            try:
                self.redis.ping()
                return
            except RedisError:
                if time.perf_counter() > deadline:
                    raise NotReady(f"the store does not answer:\n{self._processes.output('store')}") from None
                time.sleep(0.02)

    def _start_upstream(self) -> None:
        program = [str(self._upstream)] if self._upstream else ["-m", "bench.upstream"]
        command = [sys.executable, *program, "--port", str(self._upstream_port)]
        command += ["--events-per-s", str(self._events_per_s)]
        self._processes.start("upstream", command, {"PYTHONPATH": _SOURCE}, self._places.upstream, _HERE)
        self._processes.wait_until_ready("upstream", f"http://127.0.0.1:{self._upstream_port}/v1/models")

    def _start_gateway(self) -> None:
        env = {
            "PYTHONPATH": _SOURCE,
            "FAIRLEAD_PORT": str(self.port),
            "FAIRLEAD_WORKERS": str(self.workers),
            "FAIRLEAD_API_KEYS": KEY,
            "FAIRLEAD_DATA_DIR": str(self._folder),
            **({} if self._is_embedded else {"FAIRLEAD_REDIS_URL": self.redis_url}),
            "FAIRLEAD_DRAIN_DELAY_S": "0",
            "FAIRLEAD_DRAIN_TIMEOUT_S": "1",
            "FAIRLEAD_LOG_LEVEL": "warning",
            "FAIRLEAD_MAX_IN_FLIGHT": "100000",
            "FAIRLEAD_UPSTREAM_MAX_CONNECTIONS": "100000",
            "FAIRLEAD_TIMEOUT_TOTAL_S": "3600",
            "FAIRLEAD_TIMEOUT_IDLE_S": "3600",
        }
        for number in range(self._providers):
            tree = f"FAIRLEAD_PROVIDERS__P{number}__"
            env[f"{tree}BASE_URL"] = f"http://127.0.0.1:{self._upstream_port}/v1"
            env[f"{tree}MODELS"] = ",".join([*self.models, HOLD_MODEL])
            env[f"{tree}PRICE_PROMPT"] = "0.25"
            env[f"{tree}PRICE_COMPLETION"] = "2"
        command = [sys.executable, "-m", "fairlead", "serve"]
        self._roots = [self._processes.start("gateway", command, env, self._places.gateway, self._folder)]
        began_at = time.perf_counter()
        self._processes.wait_until_ready("gateway", f"{self.url}/readyz", _READY_S)
        self.start_s = time.perf_counter() - began_at
        if self._is_embedded and (url := url_of_running(self._folder)):
            self.redis.close()
            self.redis = Redis.from_url(url, socket_timeout=10.0)

    @property
    def redis_url(self) -> str:
        return f"redis://127.0.0.1:{self.redis.connection_pool.connection_kwargs['port']}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(self, model: str, *, stream_events: int = 0, key: str = KEY) -> Request:
        """A chat of 1 KB with this gateway."""
        body = chat_body(model=model, stream_events=stream_events)
        return build_request(f"{self.url}/v1/chat/completions", {"Authorization": f"Bearer {key}"}, body)

    def pids(self) -> list[int]:
        """All processes of the gateway."""
        return procfs.tree(self._roots)

    def worker_pids(self) -> list[int]:
        """Those that serve: not the supervisor, nor what Python keeps beside it."""
        return [pid for pid in self.pids() if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def info(self, section: str) -> dict[str, Any]:
        """What the store says of itself."""
        told: dict[str, Any] = self.redis.info(section)
        return told
