"""Signals as bytes to read, so that the supervisor's loop waits for them like for anything else."""

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Self

_STOP = frozenset({signal.SIGTERM, signal.SIGINT})
_WATCHED = _STOP | {signal.SIGHUP, signal.SIGCHLD}
_TERMINAL = frozenset({signal.SIGINT, signal.SIGHUP})
"""Sent to all processes of a terminal at once; only the supervisor acts on them."""


class Stopped(Exception):
    """The program was told to stop while it was still starting."""


class Signals:
    """While entered (in the main thread), the watched signals do nothing but arrive here."""

    def __init__(self) -> None:
        self._reader = -1
        self._restore = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._reader, writer = os.pipe()
        for end in (self._reader, writer):
            self._restore.callback(os.close, end)
            os.set_blocking(end, False)
        self._restore.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(writer, warn_on_full_buffer=False))
        for number in _WATCHED:
            self._restore.callback(signal.signal, number, signal.signal(number, _only_wake))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._restore.close()

    def fileno(self) -> int:
        """Readable when a signal has arrived."""
        return self._reader

    def take(self) -> list[signal.Signals]:
        """What has arrived since the last call, in order."""
        with contextlib.suppress(BlockingIOError):
            return [signal.Signals(number) for number in os.read(self._reader, 4096) if number in _WATCHED]
        return []

    def pause(self, seconds: float) -> None:
        """Sleep while starting; raises Stopped at once when told to stop. Other signals only end the sleep."""
        select.select([self._reader], [], [], seconds)
        if is_stop(self.take()):
            raise Stopped


def is_stop(arrived: list[signal.Signals]) -> bool:
    """Whether one of them asks the program to end."""
    return not _STOP.isdisjoint(arrived)


@contextlib.contextmanager
def terminal_signals_blocked() -> Iterator[None]:
    """A process started inside never sees Ctrl-C or the closing of the terminal, not even before its first line runs.

    (A mask is inherited by the child; here the signals wait, none is lost.)
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def has_terminal() -> bool:
    """Whether a terminal controls us. After its window was closed the answer is no."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _only_wake(number: int, frame: FrameType | None) -> None:
    """The interpreter has written the number to the pipe; without a handler it would not."""
