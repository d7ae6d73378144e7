"""Starts what is measured, waits until it answers, and ends it by its pid whatever happens."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from bench import procfs

_STOP_S = 8.0
_POLL_S = 0.02


class NotReady(Exception):
    """A process ended, or did not answer in time; the text has the end of its log."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Processes:
    """The processes of one round. On exit each gets SIGTERM; what is left of its tree after that is killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def start(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        core: int | Collection[int] | None,
        cwd: Path,
    ) -> int:
        """Start `command` on one core or some (None: on ours) and return its pid. Its output goes to a file of its own.

        The environment is `env` and a search path, nothing else: a key or a setting of the person who measures must
        not change what is measured.
        """
        cores = {core} if isinstance(core, int) else core
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"PATH": f"{os.defpath}:/usr/sbin:/usr/local/bin", "HOME": str(cwd), **env},
                cwd=cwd,
                preexec_fn=None if cores is None else lambda: os.sched_setaffinity(0, cores),
            )
        self._running[name] = process
        return process.pid

    def wait_until_ready(self, name: str, url: str, timeout_s: float = 20.0) -> None:
        """Return when a GET of `url` answers 200. Raises NotReady."""
        deadline = time.perf_counter() + timeout_s
        last = "no answer yet"
        while time.perf_counter() < deadline:
            self.check(name)
            try:
                with urllib.request.urlopen(url, timeout=1.0):
                    return
            except (urllib.error.URLError, OSError) as error:
                last = str(error)
            time.sleep(_POLL_S)
        raise NotReady(f"{name} did not answer {url} in {timeout_s:g} s: {last}\n{self._log_end(name)}")

    def check(self, name: str) -> None:
        """Raise NotReady if the process has ended."""
        process = self._running.get(name)
        if process is not None and process.poll() is not None:
            raise NotReady(f"{name} ended with status {process.returncode}\n{self._log_end(name)}")

    def output(self, name: str) -> str:
        """What the process has written so far."""
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal. One that is killed has ended when this returns, and may be started again."""
        process = self._running[name]
        process.send_signal(number)
        if number is signal.SIGKILL:
            process.wait()

    def _log_end(self, name: str) -> str:
        return self.output(name)[-2000:] if name in self._running else ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        trees = {name: procfs.tree([process.pid]) for name, process in self._running.items()}
        for process in self._running.values():
            process.terminate()
            process.send_signal(signal.SIGCONT)  # who is stopped hears of nothing else
        deadline = time.perf_counter() + _STOP_S
        for name, process in self._running.items():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.perf_counter()))
            above = procfs.parents()
            for pid in trees[name]:
                if pid in above:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            process.wait()
        self._running.clear()
