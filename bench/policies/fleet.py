"""One run on real processes: a store, two gateways ruled by one policy, locust; the providers are in this process."""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from redis import Redis
from redis.exceptions import RedisError

import fairlead
from bench.policies.busy import Busy, Meter
from bench.policies.providers import CHAT, Providers
from bench.policies.seat import FIRST_BYTE_S
from bench.policies.world import GATEWAYS
from bench.processes import NotReady, Processes, free_port
from bench.simulate.harness import MOST_ATTEMPTS
from bench.simulate.requests import arrivals
from bench.simulate.scenario import Scenario
from fairlead import clock
from fairlead.access.keys import DEMO_KEY
from fairlead.store.embedded import find_server

HERE = Path(__file__).parent
LOCUST = HERE.parent / ".venv" / "bin" / "locust"
USERS = 600
"""How many may wait at once; with more than that callers would come late, and the results say so."""
PROVIDERS, CALLERS = "upstreams, bench", "callers (locust)"
_READY_S = 60.0
_LEAD_S = 0.2
_LAST_S = 20.0
"""How long after the end the last answers may come, and locust may take to write them down."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request. Seconds; `at` counts from the beginning, `first_s` is None without any content."""

    at: float
    first_s: float | None
    how: str
    """`ok`, `status 503`, `cut`, or the name of an error."""
    paid_nanos: int = 0
    """What the gateway said that it cost, in billionths of a dollar."""
    late_s: float = 0.0
    """How much later it was asked than it should have been: locust had other things to do."""


@dataclass(frozen=True, slots=True)
class Run:
    """What came of it."""

    answers: Sequence[Answer]
    busy: Busy


async def run(scenario: Scenario, policy: str, folder: Path, seed: int, setting: str = "") -> Run:
    """Let the policy face the scenario. The same seed has the same arrivals for every policy. Raises NotReady.

    `setting` is for the product's own policy: as `bench.tune.setting` writes it.
    """
    async with Providers(scenario, seed) as providers:
        with Processes(folder) as processes:
            ruled_by = ["--policy", policy, *(["--setting", setting] if setting else [])]
            begins_at, meter = await asyncio.to_thread(
                _start, processes, folder, scenario, ruled_by, providers.base_urls, seed
            )
            await asyncio.sleep(begins_at - clock.monotonic())
            meter.begin()
            await providers.perform(begins_at)
            busy = meter.end()
            answers = folder / "answers"
            text = await asyncio.to_thread(_awaited, "locust's answers", lambda: _read(answers), _LAST_S)
    return Run([Answer(*answer) for answer in json.loads(text)], busy)


def _start(
    processes: Processes,
    folder: Path,
    scenario: Scenario,
    ruled_by: Sequence[str],
    base_urls: Mapping[str, str],
    seed: int,
) -> tuple[float, Meter]:
    """Start all; return when the callers begin, on this machine's monotonic clock, and who is to be looked at."""
    ports = [free_port() for _ in range(GATEWAYS)]
    hosts = [f"http://127.0.0.1:{port}" for port in ports]
    pids = {PROVIDERS: os.getpid(), CALLERS: _start_locust(processes, folder, hosts, scenario, seed)}
    pids["store"], redis_url = _start_store(processes, folder)
    for place, port in enumerate(ports):
        pids[f"gateway {place}"] = _start_gateway(processes, folder, port, ruled_by, redis_url, base_urls)
    for port in ports:
        processes.wait_until_ready(f"gateway-{port}", f"http://127.0.0.1:{port}/readyz", _READY_S)
    _awaited("locust", lambda: "ready\n" in processes.output("locust") or None, _READY_S)
    begins_at = clock.monotonic() + _LEAD_S
    new = folder / "begin.new"
    new.write_text(str(begins_at))
    new.rename(folder / "begin")
    return begins_at, Meter(pids)


def _start_store(processes: Processes, folder: Path) -> tuple[int, str]:
    port = free_port()
    command = [find_server().path, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    pid = processes.start("store", command, {}, None, folder)
    with Redis(host="127.0.0.1", port=port, socket_timeout=5.0) as store:
        _awaited("the store", lambda: _pong(store), _READY_S)
    return pid, f"redis://127.0.0.1:{port}"


def _start_gateway(
    processes: Processes, folder: Path, port: int, ruled_by: Sequence[str], redis_url: str, base_urls: Mapping[str, str]
) -> int:
    command = [sys.executable, "-m", "bench.policies.gateway", *ruled_by, "--port", str(port)]
    command += ["--redis-url", redis_url]
    for name, base_url in base_urls.items():
        command += ["--provider", f"{name}={base_url}"]
    env = {
        "PYTHONPATH": str(Path(fairlead.__file__).parents[1]),  # the source that the simulator runs, wherever it is
        "FAIRLEAD_PORT": str(port),
        "FAIRLEAD_WORKERS": "1",
        "FAIRLEAD_DATA_DIR": str(folder),
        "FAIRLEAD_DRAIN_DELAY_S": "0",
        "FAIRLEAD_DRAIN_TIMEOUT_S": "1",
        "FAIRLEAD_LOG_LEVEL": "warning",
        "FAIRLEAD_DISCOVERY_INTERVAL_S": "1",
        # As in the simulator.
        "FAIRLEAD_MAX_ATTEMPTS": str(MOST_ATTEMPTS),
        "FAIRLEAD_TIMEOUT_FIRST_BYTE_S": str(FIRST_BYTE_S),
    }
    return processes.start(f"gateway-{port}", command, env, None, HERE.parents[1])


def _start_locust(processes: Processes, folder: Path, hosts: Sequence[str], scenario: Scenario, seed: int) -> int:
    requests = arrivals(scenario.traffic, scenario.seconds, random.Random(arrivals_seed(scenario, seed)))
    asks = folder / "asks"
    asks.write_text(json.dumps([[request.at, request.worker % GATEWAYS] for request in requests]))
    command = [str(LOCUST), "--locustfile", str(HERE / "locustfile.py"), "--headless", "--skip-log-setup"]
    command += ["--users", str(USERS), "--spawn-rate", str(USERS), "--only-summary"]
    command += ["--run-time", f"{int(scenario.seconds + _READY_S)}s"]
    env = {
        "PATH": os.defpath,
        "LOCUST_HOSTS": ",".join(hosts),
        "LOCUST_BEGIN": str(folder / "begin"),
        "LOCUST_ASKS": str(asks),
        "LOCUST_ANSWERS": str(folder / "answers"),
        "LOCUST_KEY": DEMO_KEY,
        "LOCUST_BODY": json.dumps(CHAT),
        "LOCUST_SECONDS": str(scenario.seconds),
    }
    return processes.start("locust", command, env, None, folder)


def arrivals_seed(scenario: Scenario, seed: int) -> str:
    """Of the generator that draws when requests come, here and in the simulator."""
    return f"{scenario.name}/{seed}/arrivals"


def _awaited(what: str, look: Callable[[], T | None], timeout_s: float) -> T:
    deadline = time.perf_counter() + timeout_s
    while (found := look()) is None:
        if time.perf_counter() > deadline:
            raise NotReady(f"{what}: nothing in {timeout_s:g} s")
        time.sleep(0.02)
    return found


def _pong(store: Redis) -> bool | None:
    try:
        return bool(store.ping())
    except RedisError:
        return None


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None
