"""The processes of one run: three providers of one model, a store, the gateway with its workers."""

import asyncio
import http.client
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from bench.processes import NotReady, Processes, free_port
from fairlead import clock
from fairlead.store.embedded import find_server

KEY = "sk-bench"
FIRST_TOKEN_S = {"quick": 0.06, "fair": 0.08, "slow": 0.10}
"""Median of each provider. The first, which gets most of the traffic, is the one that fails."""
BAD = "quick"
_HERE = Path(__file__).parents[2]


class Provider:
    """A simulated provider. What is done to it returns at once, but for `restart`."""

    def __init__(self, processes: Processes, name: str) -> None:
        self.name = name
        self.port = free_port()
        self._processes = processes
        self._control: http.client.HTTPConnection | None = None

    def start(self) -> None:
        """Return once it answers."""
        command = [sys.executable, "-m", "bench.faults.provider", "--name", self.name, "--port", str(self.port)]
        command += ["--first-token-s", str(FIRST_TOKEN_S[self.name])]
        self._processes.start(self.name, command, {}, None, _HERE)
        self._processes.wait_until_ready(self.name, f"http://127.0.0.1:{self.port}/v1/models")
        # Kept, since a provider that resets connections would reset this one too.
        self._control = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5.0)
        self.does()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its process."""
        self._processes.signal(self.name, number)

    def does(self, **script: object) -> None:
        """Let it treat requests as `fairlead.demo.Script` says; without arguments as usual."""
        assert self._control is not None, "not started"
        self._control.request("PUT", "/demo/script", json.dumps({"default": script}))
        answer = self._control.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()

    def close(self) -> None:
        """Let go of it; `Processes` ends the process."""
        if self._control is not None:
            self._control.close()


class Fleet:
    """Use `with`. `settings` are environment variables of the gateway, over those set here."""

    def __init__(
        self, folder: Path, workers: int, models: Sequence[str], settings: Mapping[str, str] | None = None
    ) -> None:
        self.workers = workers
        self.models = tuple(models)
        self.url = ""
        self._folder = folder
        self._settings = settings or {}
        self._processes = Processes(folder)
        self.providers = {name: Provider(self._processes, name) for name in FIRST_TOKEN_S}
        self._store = Redis(host="127.0.0.1", port=free_port(), socket_timeout=5.0)

    @property
    def bad(self) -> Provider:
        return self.providers[BAD]

    def __enter__(self) -> "Fleet":
        self._processes.__enter__()
        try:
            for provider in self.providers.values():
                provider.start()
            self._start_store()
            self._start_gateway()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()
        for provider in self.providers.values():
            provider.close()
        self._processes.__exit__(None, None, None)

    def _start_store(self) -> None:
        port = str(self._store.connection_pool.connection_kwargs["port"])
        command = [find_server().path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        self._processes.start("store", command, {}, None, self._folder)
        deadline = clock.monotonic() + 10.0
        while True:
            try:
                self._store.ping()
                return
            except RedisError:
                if clock.monotonic() > deadline:
                    raise NotReady(f"the store does not answer:\n{self._processes.output('store')}") from None

    def _start_gateway(self) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        kwargs = self._store.connection_pool.connection_kwargs
        env = {
            "FAIRLEAD_PORT": str(port),
            "FAIRLEAD_WORKERS": str(self.workers),
            "FAIRLEAD_API_KEYS": KEY,
            "FAIRLEAD_DATA_DIR": str(self._folder),
            "FAIRLEAD_REDIS_URL": f"redis://{kwargs['host']}:{kwargs['port']}",
            "FAIRLEAD_DRAIN_DELAY_S": "0",
            "FAIRLEAD_DRAIN_TIMEOUT_S": "1",
            "FAIRLEAD_LOG_FORMAT": "json",
        }
        for provider in self.providers.values():
            tree = f"FAIRLEAD_PROVIDERS__{provider.name.upper()}__"
            env[f"{tree}BASE_URL"] = f"http://127.0.0.1:{provider.port}/v1"
            env[f"{tree}MODELS"] = ",".join(self.models)
        command = [str(Path(sys.executable).parent / "fairlead"), "serve"]
        self._processes.start("gateway", command, {**env, **self._settings}, None, self._folder)
        self._processes.wait_until_ready("gateway", f"{self.url}/readyz")

    def signal_store(self, number: signal.Signals) -> None:
        """Send a signal to the store's process."""
        self._processes.signal("store", number)

    def store_commands(self) -> dict[str, dict[str, float]]:
        """Of each command that the store has run: `calls`, `usec` (CPU time, all of them)."""
        said = self._store.info("commandstats")
        return {name.removeprefix("cmdstat_"): counts for name, counts in said.items()}

    def log(self) -> str:
        """What the gateway has printed."""
        return self._processes.output("gateway")

    async def restart(self, provider: Provider) -> None:
        """Start a killed provider again on its port; returns once it answers."""
        await asyncio.to_thread(provider.start)
