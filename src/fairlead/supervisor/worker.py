"""One worker process, seen from both ends of its control pipe.

    worker → supervisor     "ready"           it serves
                            "alive"           its event loop turns; once a second, if it is watched
                            "leaving"         it drains, for whatever reason; its slot needs another
                            "failed: why"     it cannot start; the last word
    supervisor → worker     the end of file   stop accepting now, finish what is open, exit

The end of file is what a worker reads when the supervisor lets it go, and also when the supervisor died of whatever
cause: one path for both.
"""

import contextlib
import multiprocessing
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, Generic, TypeVar

from fairlead.errors import FairleadError
from fairlead.supervisor.signals import terminal_signals_blocked

START_FAILED: Final = 3
"""Exit code of what cannot start: of a worker, and then of the whole program."""

_READY: Final = b"ready"
_ALIVE: Final = b"alive"
_LEAVING: Final = b"leaving"
_FAILED: Final = b"failed: "

S = TypeVar("S")


class Control:
    """The worker's end of the control pipe. `is_watched`: the supervisor wants to hear that it is alive."""

    def __init__(self, connection: "Connection[bytes, bytes]", *, is_watched: bool = False) -> None:
        self._connection = connection
        self._is_watched = is_watched
        self.is_ready = False

    def fileno(self) -> int:
        """Readable once the supervisor has let go of this worker, or is gone. Nothing is ever to be read."""
        return self._connection.fileno()

    def ready(self) -> None:
        """Say that requests are served."""
        self.is_ready = True
        self._say(_READY)

    def alive(self) -> None:
        """Say that the event loop turns. A supervisor that does not listen is not waited for."""
        if self._is_watched:
            room = select.poll()
            room.register(self._connection, select.POLLOUT)
            if room.poll(0):
                self._say(_ALIVE)

    def leaving(self) -> None:
        """Say that this worker ends as soon as it can."""
        self._say(_LEAVING)

    def failed(self, why: str) -> None:
        """Say, in one line, why this worker cannot start."""
        self._say(_FAILED + why.encode())

    def _say(self, word: bytes) -> None:
        with contextlib.suppress(OSError):  # the supervisor is gone; the end of file tells the same
            self._connection.send_bytes(word)


@dataclass(frozen=True, slots=True)
class WorkerStart(Generic[S]):
    """All that a worker process is given."""

    slot: int
    """0 ≤ slot < the number of workers; a replacement gets the slot of the one it replaces."""
    settings: S
    sockets: tuple[socket.socket, ...]
    """Listening; to be served, and closed by this worker only."""
    control: Control
    redis_url: str
    """Of the store in use, the operator's or the embedded one."""
    demo: Mapping[str, str]
    """Base URL of each simulated provider, by name."""
    metrics: Path | None = None
    """Where all workers put what they count, for each of them to read; None: it counts for itself."""


WorkerMain = Callable[[WorkerStart[S]], None]
"""Runs one worker until it is told to end. Must be picklable: a function of a module."""


class State(Enum):
    """STARTING → READY → LEAVING → ENDED, and from each of them to ENDED at any time."""

    STARTING = "starting"
    READY = "ready"
    LEAVING = "leaving"
    ENDED = "ended"


class Worker:
    """The supervisor's handle of a worker process. `observe` is the only place that moves its state."""

    def __init__(
        self, main: WorkerMain[S], start: Callable[[Control], WorkerStart[S]], now: float, *, is_watched: bool = False
    ) -> None:
        """Start the process; `start` makes its WorkerStart around the pipe's other end."""
        spawn = multiprocessing.get_context("spawn")
        self._control: Connection[bytes, bytes] | None
        self._control, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_run, args=(main, start(Control(theirs, is_watched=is_watched))))
        resource_tracker.ensure_running()  # its first start resets the signal mask
        self.started_at: Final = now
        self.state = State.STARTING
        self.was_ready = False
        self._has_pulse = False
        self.ending = ""
        """How it ended, once it has: "signal 9", "exit code 3", or why it could not start."""
        try:
            with terminal_signals_blocked():
                self._process.start()
        except OSError as error:  # no memory, too many processes
            self.state = State.ENDED
            self.ending = str(error)
            self.let_go()
        theirs.close()

    def observe(self) -> None:
        """Take in what the worker said and whether it has ended."""
        if self.state is State.ENDED:
            return
        exit_code = self._process.exitcode  # before the words: those of a process that has ended are all there
        while (word := self._next_word()) is not None:
            if word == _READY:
                self.state = State.READY
                self.was_ready = self._has_pulse = True
            elif word == _ALIVE:
                self._has_pulse = True
            elif word == _LEAVING:
                self.state = State.LEAVING
            elif word.startswith(_FAILED):
                self.ending = word.removeprefix(_FAILED).decode()
        if exit_code is not None:
            self.state = State.ENDED
            self.ending = self.ending or how_ended(exit_code)
            self.let_go()
            self._process.close()

    @property
    def control(self) -> "Connection[bytes, bytes] | None":
        """To wait on; None once nothing more can come."""
        return self._control

    def _next_word(self) -> bytes | None:
        try:
            if self._control is not None and self._control.poll():
                return self._control.recv_bytes()
        except (EOFError, OSError):
            self.let_go()
        return None

    def take_pulse(self) -> bool:
        """Whether it has said since the last call that it serves or is alive."""
        had, self._has_pulse = self._has_pulse, False
        return had

    def let_go(self) -> None:
        """Make it stop accepting at once and end when it is idle. It says nothing more."""
        if self._control is not None:
            self._control.close()
            self._control = None

    def terminate(self) -> None:
        """Make it turn readiness off, go on for its drain delay, then end when it is idle."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now."""
        self._signal(signal.SIGKILL)

    def reap(self) -> None:
        """Wait for the end of a process that was killed."""
        if self.state is not State.ENDED:
            self._process.join()
            self.observe()

    def _signal(self, number: signal.Signals) -> None:
        if self.state is not State.ENDED:
            (self._process.kill if number == signal.SIGKILL else self._process.terminate)()


def how_ended(exit_code: int) -> str:
    """An exit code as subprocess and multiprocessing give it, in words."""
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"


def _run(main: WorkerMain[S], start: WorkerStart[S]) -> None:
    """The first function in the new process."""
    try:
        main(start)
    except BaseException as error:
        if start.control.is_ready:
            raise  # a crash: with its traceback
        start.control.failed(in_one_line(error))
        sys.exit(START_FAILED)


def in_one_line(error: BaseException) -> str:
    """Our own errors speak for themselves; of others the place is told too."""
    text = " ".join(str(error).split())
    if isinstance(error, FairleadError):
        return text
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {text} ({Path(last.filename).name}:{last.lineno})"
