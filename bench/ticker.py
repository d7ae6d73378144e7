"""A clock that calls back at a fixed rate, precise to some ten microseconds.

Timers of asyncio and of libuv are kept in whole milliseconds, which is more than the overhead that is to be measured.
The kernel's timerfd is not, and counts the expiries that a busy process missed. `os.timerfd_create` is Python 3.13.
"""

import asyncio
import ctypes
import os
import struct
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

_CLOCK_MONOTONIC = 1
_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000
_ABSOLUTE = 1


class Ticker:
    """While entered, calls `on_tick(expired)` on the running loop, `rate_hz` times a second.

    `expired` is above one after a late wake-up. `started_at` (`time.perf_counter` seconds) is the zero of the clock:
    the n-th expiry, counted from one, is due at `started_at + n / rate_hz`.
    """

    def __init__(self, rate_hz: float, on_tick: Callable[[int], None]) -> None:
        self._interval_ns = round(1e9 / rate_hz)
        self._on_tick = on_tick
        self.started_at = 0.0

    def __enter__(self) -> Self:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        started_ns = time.perf_counter_ns()
        first_ns = started_ns + self._interval_ns
        spec = struct.pack(
            "@llll", *divmod(self._interval_ns, 1_000_000_000), *divmod(first_ns, 1_000_000_000)
        )  # struct itimerspec: interval, then first expiry, each in seconds and nanoseconds
        if libc.timerfd_settime(self._fd, _ABSOLUTE, spec, None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")
        self.started_at = started_ns / 1e9
        asyncio.get_running_loop().add_reader(self._fd, self._read)
        return self

    def _read(self) -> None:
        try:
            expired = int.from_bytes(os.read(self._fd, 8), "little")
        except BlockingIOError:
            return
        self._on_tick(expired)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)
