"""The simulated providers, a process of its own: `python -m fairlead.demo`."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Final

from fairlead.clock import monotonic
from fairlead.errors import ConfigError
from fairlead.supervisor.worker import how_ended

COMMAND: Final = (sys.executable, "-m", "fairlead.demo")

_START_LIMIT_S: Final = 30.0
_STOP_LIMIT_S: Final = 5.0
_LOOK_S: Final = 0.005
_PORT_TRIES: Final = 3
"""Between our finding a port free and the demo's taking it, somebody else may."""


class Demo:
    """Ports are chosen at the first start and kept, so that the URLs the workers know stay good after a restart.

    `pause(seconds)` sleeps, and may raise to end the start.
    """

    name = "demo"

    def __init__(
        self, personalities: Sequence[str], *, pause: Callable[[float], None], command: Sequence[str] = COMMAND
    ) -> None:
        self._personalities = tuple(personalities)
        self._pause = pause
        self._command = tuple(command)
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.base_urls: dict[str, str] = {}

    def begin(self) -> None:
        """Start the process; it comes up while others do. Raises ConfigError."""
        self._port = _free_ports(len(self._personalities))
        self.restart()

    def start(self) -> None:
        """Return once all of them listen. Raises ConfigError."""
        for _ in range(_PORT_TRIES):
            if self._process is None:
                self.begin()
            if self._hear_urls():
                return
            self.stop()
            if _are_free(self._port, len(self._personalities)):
                break  # then they were not the trouble
        raise ConfigError("FAIRLEAD_DEMO: the simulated providers did not start; set FAIRLEAD_DEMO=off")

    def how_it_ended(self) -> str | None:
        """None while it runs."""
        code = None if self._process is None else self._process.poll()
        return None if code is None else how_ended(code)

    def restart(self) -> None:
        """Start the process on the known ports, without waiting until it listens."""
        self.stop()
        named = [word for name in self._personalities for word in ("--personality", name)]
        self._process = subprocess.Popen(
            [*self._command, "--with-parent", "--announce", *named, "--port", str(self._port)],
            stdin=subprocess.PIPE,  # its end, which tells of ours
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": os.pathsep.join(sys.path)},  # provider keys are none of its business
            start_new_session=True,  # Ctrl-C is for the supervisor; the demo goes after the workers
        )

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._process is None:
            return
        with self._process as process:
            process.terminate()
            try:
                process.wait(_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
        self._process = None

    def _hear_urls(self) -> bool:
        """Read a line of JSON for each personality; False when the process ends or falls silent before the last."""
        assert self._process is not None
        assert self._process.stdout is not None
        announced = self._process.stdout.fileno()
        os.set_blocking(announced, False)
        deadline = monotonic() + _START_LIMIT_S
        heard = b""
        while heard.count(b"\n") < len(self._personalities):
            try:
                part = os.read(announced, 65536)
            except BlockingIOError:
                if monotonic() > deadline:
                    return False
                self._pause(_LOOK_S)
                continue
            if not part:
                return False
            heard += part
        providers = [json.loads(line) for line in heard.splitlines()]
        self.base_urls = {provider["name"]: provider["base_url"] for provider in providers}
        return True


def _free_ports(count: int) -> int:
    """The first of `count` free ports in a row on loopback. (The demo takes the ports after the one it is given.)"""
    for _ in range(100):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if _are_free(port, count):
            return port
    raise ConfigError("FAIRLEAD_DEMO: no free ports on 127.0.0.1 for the simulated providers; set FAIRLEAD_DEMO=off")


def _are_free(port: int, count: int) -> bool:
    try:
        with contextlib.ExitStack() as held:
            for each in range(port, port + count):
                held.enter_context(socket.socket()).bind(("127.0.0.1", each))
    except (OSError, OverflowError):  # in use; beyond 65535
        return False
    return True
