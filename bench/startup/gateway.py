"""One start of the gateway as a newcomer has it: embedded store, simulated providers; watched from outside."""

import http.client
import json
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import fairlead
from bench import procfs
from bench.processes import NotReady, Processes, free_port
from bench.procfs import Memory
from fairlead.access.keys import DEMO_KEY

SOURCE = str(Path(fairlead.__file__).parents[1])
MODEL = "demo/chat"
LIMIT_S = 60.0
IDLE_S = 3.0
"""Until a worker has done what is to be done after a start."""
_FAIRLEAD = (sys.executable, "-m", "fairlead")
_LOOK_S = 0.002

_ROLES = (
    ("resource_tracker", "tracker"),
    ("spawn_main", "worker"),
    ("fairlead.demo", "demo"),
    ("-server", "store"),
    ("fairlead", "supervisor"),
)
"""What a command line contains, and whose it is; the first that fits."""


@dataclass(frozen=True, slots=True)
class Start:
    """Times are seconds since the command was executed."""

    listening_s: float
    """Until a connection is taken, by the kernel."""
    ready_s: float
    """Until /readyz answers 200."""
    answer_s: float
    """Until POST /v1/chat/completions has answered 200."""
    again_s: float
    """What the same request took then: the simulated provider waits before it answers."""
    cpu_s: float
    """What all processes had spent by the first answer. Other work on the machine changes it little."""
    memory: dict[str, list[Memory]]
    """Of each role's processes."""


def role_of(command: str) -> str:
    """Whose a command line is."""
    return next((role for part, role in _ROLES if part in command), "other")


def version_s(folder: Path) -> float:
    """How long `fairlead --version` takes."""
    begun = time.perf_counter()
    subprocess.run([*_FAIRLEAD, "--version"], env=_env(folder), cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def start(folder: Path, workers: int) -> Start:
    """Start and end a gateway. Raises NotReady and OSError."""
    port = free_port()
    env = {
        **_env(folder),
        "FAIRLEAD_DATA_DIR": str(folder / "data"),
        "FAIRLEAD_PORT": str(port),
        "FAIRLEAD_WORKERS": str(workers),
    }
    with Processes(folder) as processes:
        begun = time.perf_counter()
        root = processes.start("gateway", [*_FAIRLEAD, "serve"], env, None, folder)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
        while not _is_open(connection):
            processes.check("gateway")
            if time.perf_counter() - begun > LIMIT_S:
                raise NotReady(f"the gateway did not listen within {LIMIT_S:g} s")
            time.sleep(_LOOK_S)
        listening_s = time.perf_counter() - begun
        _ask(connection, "GET", "/readyz")  # waits in the kernel's queue until a worker serves
        ready_s = time.perf_counter() - begun
        _chat(connection)
        answer_s = time.perf_counter() - begun
        cpu_s = sum(procfs.cpu_ns(procfs.tree([root])).values()) / 1e9
        asked = time.perf_counter()
        _chat(connection)
        again_s = time.perf_counter() - asked
        connection.close()
        time.sleep(IDLE_S)
        return Start(listening_s, ready_s, answer_s, again_s, cpu_s, _memory(root))


def _env(folder: Path) -> dict[str, str]:
    return {"HOME": str(folder), "PYTHONPATH": SOURCE}


def _is_open(connection: http.client.HTTPConnection) -> bool:
    with suppress(ConnectionRefusedError):
        connection.connect()
        return True
    return False


def _chat(connection: http.client.HTTPConnection) -> None:
    body = {"model": MODEL, "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]}
    _ask(connection, "POST", "/v1/chat/completions", json.dumps(body))


def _ask(connection: http.client.HTTPConnection, method: str, path: str, body: str | None = None) -> None:
    connection.request(method, path, body, {"authorization": f"Bearer {DEMO_KEY}"})
    reply = connection.getresponse()
    text = reply.read()
    if reply.status != 200:
        raise NotReady(f"{method} {path} answered {reply.status}: {text[:200]!r}")


def _memory(root: int) -> dict[str, list[Memory]]:
    found: dict[str, list[Memory]] = {}
    for pid, held in procfs.memory(procfs.tree([root])).items():
        command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        found.setdefault(role_of(command), []).append(held)
    return found
