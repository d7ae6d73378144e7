"""Whom we measure: the tables of targets.toml, and gateways that run already (`--target NAME=URL`)."""

import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import procfs
from bench.processes import NotReady, Processes, free_port
from bench.request import ECHO_MODEL, Request, build_request, chat_body

HERE = Path(__file__).parent
PEERS = HERE / ".peers"
"""Where other gateways are installed, each in a folder with the name of its environment."""
_CHAT = "/v1/chat/completions"
_SAYS_WHERE = re.compile(r"listening at (http://127\.0\.0\.1:\d+)")
_PREPARE_S = 20.0


@dataclass(frozen=True, slots=True)
class Target:
    """One server to measure. With a `url` it runs already and is neither started nor ended by us."""

    name: str
    command: tuple[str, ...] = ()
    version: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    fill: Mapping[str, str] = field(default_factory=dict)
    """Words for `files` and `command` beside those that all targets have."""
    ready: str = "/"
    """A GET of this answers 200 once it is ready; empty if it says so by saying where it listens."""
    env: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None
    about: str = ""
    """What of it is measured, for the reader of the table."""
    environment: str = ""
    """The folder of `bench/peers/environments` that it is installed from; empty for a program of the system."""
    path: str = _CHAT
    model: str = "@model@"
    """How it wants the models named."""
    prepare: tuple[str, ...] = ()
    """A command to run once it is ready, whose last line is the key to use."""
    start_s: float = 20.0
    is_port_its_own: bool = False
    """It says `listening at URL`, instead of being told a port."""


@dataclass(frozen=True, slots=True)
class Running:
    """A target that answers at `chat_url`."""

    name: str
    chat_url: str
    headers: Mapping[str, str]
    roots: tuple[int, ...]
    """The processes that it is made of, with all their descendants."""
    model: str = "@model@"

    def chat(self, *, model: str = ECHO_MODEL, size_bytes: int = 1024, stream_events: int = 0) -> Request:
        """A chat request for it; with `stream_events` one for a stream of so many."""
        body = chat_body(size_bytes, model=self.model.replace("@model@", model), stream_events=stream_events)
        return build_request(self.chat_url, self.headers, body)

    def pids(self) -> list[int]:
        """All processes of the target that are alive now."""
        return procfs.tree(list(self.roots))


Fill = Callable[[str], str]


def _filler(values: Mapping[str, object]) -> Fill:
    def fill(text: str) -> str:
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        return text

    return fill


def _static() -> dict[str, object]:
    return {
        "python": sys.executable,
        "bin": Path(sys.executable).parent,
        "bench": HERE,
        "peers": PEERS,
        "source": HERE.parent / "src",
    }


def load(path: Path = HERE / "targets.toml") -> list[Target]:
    """The declared targets, in order."""
    return [_target(name, table) for name, table in tomllib.loads(path.read_text()).items()]


def _target(name: str, table: dict[str, Any]) -> Target:
    lists = {key: tuple(value) for key, value in table.items() if isinstance(value, list)}
    return Target(name, **{**table, **lists})


def is_installed(target: Target) -> bool:
    """Whether the program that the target's command names can be run."""
    return target.url is not None or shutil.which(_filler(_static())(target.command[0])) is not None


def installed(asked: Iterable[Target]) -> list[Target]:
    """Those of them that can be measured; of the others it is told on standard error."""
    found = []
    for target in asked:
        if is_installed(target):
            found.append(target)
        else:
            print(f"bench: {target.name} is left out: {target.command[0]} is not installed", file=sys.stderr)
    return found


def version(target: Target) -> str:
    """What the target says of its version, in one line."""
    if not target.version:
        return "not asked"
    fill = _filler(_static())
    command = [fill(word) for word in target.version]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "no answer"
    return (answer.stdout + answer.stderr).strip().partition("\n")[0] or "no answer"


def start(target: Target, processes: Processes, *, upstream_port: int, key: str, core: int, folder: Path) -> Running:
    """Start a declared target on one core, its files in `folder`. Raises NotReady."""
    if target.url is not None:
        return _attach(target, target.url, key)
    port = free_port()
    folder.mkdir(mode=0o755, parents=True)
    values = {"port": port, "spare": free_port(), "upstream": upstream_port, "tmp": folder, "key": key, **target.fill}
    fill = _filler(_static() | values)
    for name in target.files:
        (folder / name).write_text(fill((HERE / "targets" / name).read_text()))
    env = {name: fill(value) for name, value in target.env.items()}
    pid = processes.start(target.name, [fill(word) for word in target.command], env, core, folder)
    url = f"http://127.0.0.1:{port}"
    if target.is_port_its_own:
        url = _where(target, processes)
    if target.ready:
        processes.wait_until_ready(target.name, url + target.ready, target.start_s)
    if target.prepare:
        key = _prepared(target, [fill(word) for word in target.prepare], env, folder)
        fill = _filler(_static() | values | {"key": key})
    headers = {name: fill(value) for name, value in target.headers.items()}
    return Running(target.name, url + target.path, headers, (pid,), target.model)


def _where(target: Target, processes: Processes) -> str:
    deadline = time.perf_counter() + target.start_s
    while time.perf_counter() < deadline:
        if found := _SAYS_WHERE.search(processes.output(target.name)):
            return found[1]
        processes.check(target.name)
        time.sleep(0.02)
    said = processes.output(target.name)[-2000:]
    raise NotReady(f"{target.name} did not say in {target.start_s:g} s where it listens\n{said}")


def _prepared(target: Target, command: list[str], env: Mapping[str, str], folder: Path) -> str:
    answer = subprocess.run(
        command, capture_output=True, text=True, timeout=_PREPARE_S, check=False, cwd=folder, env={**env}
    )
    lines = answer.stdout.split()
    if answer.returncode or not lines:
        raise NotReady(f"{target.name} could not be prepared: {answer.stderr[-500:]}")
    return lines[-1]


def _attach(target: Target, url: str, key: str) -> Running:
    parts = urlsplit(url)
    roots = procfs.listeners(parts.port or 80)
    if not roots:
        raise SystemExit(f"bench: nothing that we can see listens at {url}, the target {target.name}")
    chat_url = url if parts.path not in ("", "/") else url.rstrip("/") + _CHAT
    return Running(target.name, chat_url, {"Authorization": f"Bearer {key}"}, tuple(roots))
