"""Starts simulated providers and the gateway, lets locust ask, and ends them all.

    python -m bench.run_locust [--scenario steady|mixed] [--users 50] [--seconds 30] [--through fairlead|nginx|direct]

`steady` has one provider whose times are fixed, so that what the gateway adds can be told; `mixed` has three with
times and failures of their own, which the gateway must hide. locust has its own environment, bench/.venv, since
importing it changes the process (`make bench-locust` makes it).
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType

from bench import machine, targets
from bench.processes import NotReady, Processes
from bench.targets import HERE, Target

_KEY = "sk-bench"
_LOCUST = HERE / ".venv" / "bin" / "locust"
_FIRST_EVENT_S, _TOKEN_S, _TOKENS = 0.050, 0.010, 20
"""Of the steady provider. Its first event names the role; the first token comes one step later."""
_MIXED_PROVIDERS = ("demo-swift", "demo-steady", "demo-thrifty")
_MIXED_MODELS = "demo/chat,demo/chat-mini"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.run_locust", description=__doc__.partition("\n")[0])
    parser.add_argument("--scenario", choices=["steady", "mixed"], default="steady")
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--through", default="fairlead", help="a target of targets.toml, or `direct`")
    args = parser.parse_args()
    if args.scenario == "mixed" and args.through != "fairlead":
        parser.error("mixed needs somebody who chooses among three providers: fairlead")
    if not _LOCUST.exists():
        parser.error("locust is not installed in bench/.venv: `make bench-locust` does it")
    return args


def _simulators(scenario: str) -> list[str]:
    command = [sys.executable, "-m", "fairlead.demo", "--announce"]
    if scenario == "mixed":
        return command + [word for name in _MIXED_PROVIDERS for word in ("--personality", name)]
    script = f"first_token_delay_s={_FIRST_EVENT_S}; token_delay_s={_TOKEN_S}; tokens={_TOKENS}"
    return [*command, "--personality", "demo", "--script", script]


def _announced(processes: Processes, count: int, timeout_s: float = 20.0) -> dict[str, str]:
    """The base URL of each simulator, by its name. Raises NotReady."""
    deadline = time.perf_counter() + timeout_s
    while time.perf_counter() < deadline:
        output = processes.output("simulators")
        lines = [line for line in output.splitlines() if line.startswith("{")]
        if len(lines) == count and output.endswith("\n"):
            return {line["name"]: line["base_url"] for line in map(json.loads, lines)}
        time.sleep(0.02)
    raise NotReady(f"the simulators did not announce themselves:\n{processes.output('simulators')}")


def _with_providers(target: Target, base_urls: Mapping[str, str]) -> Target:
    """fairlead with the mixed providers in the place of the one that targets.toml gives it."""
    env = {name: value for name, value in target.env.items() if "_PROVIDERS__" not in name}
    for name, base_url in base_urls.items():
        slug = name.removeprefix("demo-").upper()
        env[f"FAIRLEAD_PROVIDERS__{slug}__BASE_URL"] = base_url
        env[f"FAIRLEAD_PROVIDERS__{slug}__MODELS"] = _MIXED_MODELS
    return replace(target, env=env)


def _start(args: argparse.Namespace, processes: Processes, folder: Path) -> str:
    """Start the simulators and who is asked; return the base URL of the latter."""
    cores = machine.assign()
    processes.start("simulators", _simulators(args.scenario), {}, cores.upstream, HERE.parent)
    base_urls = _announced(processes, len(_MIXED_PROVIDERS) if args.scenario == "mixed" else 1)
    first = next(iter(base_urls.values()))
    if args.through == "direct":
        return first.removesuffix("/v1")
    target = {target.name: target for target in targets.load()}[args.through]
    if args.scenario == "mixed":
        target = _with_providers(target, base_urls)
    port = int(first.removesuffix("/v1").rpartition(":")[2])
    place = folder / target.name
    running = targets.start(target, processes, upstream_port=port, key=_KEY, core=cores.target, folder=place)
    return running.chat_url.removesuffix("/v1/chat/completions")


def _locust(args: argparse.Namespace, host: str, folder: Path) -> int:
    upstream_s = _FIRST_EVENT_S + _TOKEN_S if args.scenario == "steady" else 0.0
    command = [str(_LOCUST), "--locustfile", str(HERE / "locustfile.py"), "--headless", "--skip-log-setup"]
    command += ["--host", host, "--users", str(args.users), "--spawn-rate", str(args.users), "--reset-stats"]
    command += ["--run-time", f"{args.seconds}s", "--stop-timeout", "10"]
    env = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "LOCUST_SCENARIO": args.scenario,
        "LOCUST_MODEL": "demo/chat" if args.scenario == "mixed" else "bench/echo",
        "LOCUST_KEY": _KEY,
        "LOCUST_UPSTREAM_FIRST_TOKEN_S": str(upstream_s),
    }
    process = subprocess.Popen(command, env=env, cwd=folder, stdin=subprocess.DEVNULL)
    try:
        return process.wait(args.seconds + 60)
    except subprocess.TimeoutExpired:
        print("bench: locust did not end in time", file=sys.stderr)
        return 1
    finally:
        process.kill()
        process.wait()


def _ended(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> int:
    """Run from the command line; 0 when nothing failed."""
    args = _arguments()
    signal.signal(signal.SIGTERM, _ended)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, Processes(Path(name)) as processes:
        folder = Path(name)
        folder.chmod(0o755)  # nginx, started by root, works as another user
        try:
            host = _start(args, processes, folder)
        except NotReady as problem:
            raise SystemExit(f"bench: {problem}") from problem
        print(f"{args.scenario}, {args.users} users, {args.seconds} s, through {args.through}", flush=True)
        return _locust(args, host, folder)


if __name__ == "__main__":
    sys.exit(main())
