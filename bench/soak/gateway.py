"""The gateway that is soaked: two workers, an embedded store, and everything short that can be made short."""

import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redis import Redis

import fairlead
from bench import procfs
from bench.processes import NotReady, Processes
from fairlead import clock
from fairlead.store.embedded import url_of_running

WORKERS = 2
API_KEY = "sk-soak-client-7d2f94b1c6"
ADMIN_KEY = "sk-soak-admin-30e8c5a7f19b42d6"
MAX_BODY_BYTES = 65_536
LIMITS_USD = (0.5, 1000.0, 1000.0)
"""Of keys by the day. The first is used up soon; the others are leased in parts by the workers until the end."""
PAUSE_MS = 700
"""Longer than a worker waits for the store."""
_FAIRLEAD = (sys.executable, "-m", "fairlead")
_SOURCE = str(Path(fairlead.__file__).parents[1])
_URL = re.compile(r"base URLs +(http://\S+?)/v1 ")
_START_S = 30.0
_POLL_S = 0.05
_MOST_LOOKS = 200

SETTINGS = {
    "FAIRLEAD_PORT": "0",
    "FAIRLEAD_WORKERS": str(WORKERS),
    "FAIRLEAD_API_KEYS": API_KEY,
    "FAIRLEAD_ADMIN_KEY": ADMIN_KEY,
    "FAIRLEAD_LOG_FORMAT": "json",
    "FAIRLEAD_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
    "FAIRLEAD_TIMEOUT_FIRST_BYTE_S": "0.5",
    "FAIRLEAD_TIMEOUT_IDLE_S": "0.5",
    "FAIRLEAD_TIMEOUT_TOTAL_S": "10",
    "FAIRLEAD_RECEIVE_TIMEOUT_S": "2",
    "FAIRLEAD_PROBE_MIN_S": "0.1",
    "FAIRLEAD_PROBE_MAX_S": "0.5",
    "FAIRLEAD_UPSTREAM_KEEP_ALIVE_S": "1",
    "FAIRLEAD_HEDGE": "on",
    "FAIRLEAD_DRAIN_DELAY_S": "0",
    "FAIRLEAD_DRAIN_TIMEOUT_S": "2",
}


class Gateway:
    """Use `with`. `env` declares the providers."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._env = {**SETTINGS, "FAIRLEAD_DATA_DIR": str(folder / "data"), "PYTHONPATH": _SOURCE, **env}
        self._processes = Processes(folder)
        self._eyes: dict[int, http.client.HTTPConnection] = {}
        """A connection to each worker, by its pid; it stays open, and so is none of what comes and goes."""
        self.port = 0
        self.pid = 0
        self.limited: list[str] = []
        """The keys with a limit."""

    def __enter__(self) -> "Gateway":
        self._processes.__enter__()
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for eye in self._eyes.values():
            eye.close()
        self._processes.__exit__(None, None, None)

    def _start(self) -> None:
        self.pid = self._processes.start("gateway", [*_FAIRLEAD, "serve"], self._env, None, self._folder)
        deadline = clock.monotonic() + _START_S
        while (found := _URL.search(self.log())) is None:
            if self.pid not in procfs.parents() or clock.monotonic() > deadline:
                raise NotReady(f"the gateway did not start:\n{self.log()[-2000:]}")
            time.sleep(_POLL_S)
        self.port = int(found[1].rpartition(":")[2])
        self._processes.wait_until_ready("gateway", f"http://127.0.0.1:{self.port}/readyz")
        for _ in range(_MOST_LOOKS):  # that all go to one of two workers has a chance of 2^-199
            eye = self._connect()
            self._eyes.setdefault(figures_of(eye)["worker"], eye)
            if len(self._eyes) == WORKERS:
                break
        url = url_of_running(self._folder / "data")
        if len(self._eyes) < WORKERS or url is None:
            raise NotReady("not all workers answer" if url else "the store does not answer")
        self.store = Redis.from_url(url, decode_responses=True, single_connection_client=True)
        self.limited = [self._new_key(limit_usd) for limit_usd in LIMITS_USD]

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10.0)

    def _new_key(self, limit_usd: float) -> str:
        eye = next(iter(self._eyes.values()))
        body = json.dumps({"name": "limited", "limit": limit_usd, "limit_reset": "daily"})
        eye.request("POST", "/v1/keys", body, {"authorization": f"Bearer {ADMIN_KEY}"})
        answer = eye.getresponse()
        told = json.loads(answer.read())
        if answer.status != 201:
            raise NotReady(f"no key could be made: {told}")
        return str(told["key"])

    @property
    def workers(self) -> list[int]:
        """The pids of the workers that there were at the start."""
        return sorted(self._eyes)

    def figures(self) -> dict[int, dict[str, Any]]:
        """What each worker says of itself. Raises OSError when one has died."""
        return {pid: figures_of(eye) for pid, eye in sorted(self._eyes.items())}

    def trouble(self, turn: int) -> None:
        """Let the store have a fault: it cuts off all who are connected, or says nothing for a while, in turns."""
        if turn % 2:
            self.store.client_pause(PAUSE_MS)
            return
        for kind in ("normal", "pubsub"):
            self.store.client_kill_filter(_type=kind, skipme=True)

    def difference(self) -> str:
        """What `fairlead reconcile` says if a counter is not the ledger's sum."""
        done = subprocess.run(
            [*_FAIRLEAD, "reconcile"], env=self._env, cwd=self._folder, capture_output=True, text=True, check=False
        )
        return f"{done.stdout}{done.stderr}".strip() if done.returncode else ""

    def log(self) -> str:
        """What it has printed."""
        return self._processes.output("gateway")

    def complaints(self) -> list[str]:
        """Lines of the log that a healthy gateway does not write, whatever providers and callers do."""
        _, _, told = self.log().partition("    -d ")
        return [line for line in told.splitlines()[1:] if is_complaint(line)]


def figures_of(eye: http.client.HTTPConnection) -> dict[str, Any]:
    eye.request("GET", "/readyz?verbose")
    told: dict[str, Any] = json.loads(eye.getresponse().read())
    return told


def is_complaint(line: str) -> bool:
    """Whether a line of the log tells of a fault of ours: an error, a worker that died, what is no log at all."""
    try:
        told = json.loads(line)
    except ValueError:
        return bool(line.strip())
    return told.get("level") in ("error", "critical") or "died" in str(told.get("event"))
