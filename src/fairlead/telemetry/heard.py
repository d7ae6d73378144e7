"""News that every worker hears are counted by one: by whoever has them first."""

import contextlib
import fcntl
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

MOST = 256
"""News remembered; an outage of a large provider makes some hundred at once, each heard by all within milliseconds."""
_TRIES = 100
_ENTRY = struct.Struct("=Qd")
_FILE = "heard"


class Heard:
    """What the workers of one process tree have heard lately: a short list in their directory, under a lock.

    Without a directory this process is the only one. The lock is held for microseconds, and never waited for: who does
    not get it takes the news for new.
    """

    def __init__(self, directory: Path | None, clock: Callable[[], float]) -> None:
        self._fd = -1
        self._clock = clock
        """Of the machine, not of the process: all of them compare its times."""
        if directory is not None:
            with contextlib.suppress(OSError):  # then some news are counted more than once
                self._fd = os.open(directory / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def is_first(self, news: str, within_s: float) -> bool:
        """Return whether nobody has heard it within so many seconds, and remember that it has been heard now."""
        if self._fd < 0:
            return True
        if not self._lock():
            return True
        try:
            return self._note(_digest(news), self._clock(), within_s)
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _note(self, digest: int, now: float, within_s: float) -> bool:
        content = os.pread(self._fd, MOST * _ENTRY.size, 0)
        entries = [*_ENTRY.iter_unpack(content[: len(content) // _ENTRY.size * _ENTRY.size])]
        if any(known == digest and now - at < within_s for known, at in entries):
            return False
        oldest = min(range(len(entries)), key=lambda n: entries[n][1]) if len(entries) >= MOST else len(entries)
        os.pwrite(self._fd, _ENTRY.pack(digest, now), oldest * _ENTRY.size)
        return True

    def _lock(self) -> bool:
        for _ in range(_TRIES):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            return True
        return False

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _digest(news: str) -> int:
    """64 bits, the same in every process."""
    encoded = news.encode()
    return zlib.crc32(encoded) << 32 | zlib.adler32(encoded)
