"""Charges that the store has not confirmed yet, on disk: what a worker has charged outlives it.

    FAIRLEAD_DATA_DIR/unsettled/<worker>/
      lock         held by the worker while it lives
      <n>.jsonl    one charge per line; removed when the store has confirmed all of them

A charge is written when its request ends, before the caller has the last byte: a kill costs nothing that was answered,
however long the store has been away. Whoever finds the files of a dead worker charges what is in them; a charge that is
told twice counts once. Written is written to the kernel, not to the disk: the death of the machine costs the charges of
the last moment (a tenth of a second with the store at hand).
"""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from fairlead.store.lockfile import LockFile
from fairlead.store.money import Charge

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Charge)


class Unsettled:
    """The files of one worker. Every method may raise OSError."""

    def __init__(self, data_dir: Path, worker: str) -> None:
        self._all = data_dir / "unsettled"
        self._dir = self._all / worker
        self._lock = LockFile(self._dir / "lock")
        self._number = 0
        self._fd = -1
        self._adopted: dict[Path, LockFile] = {}

    def append(self, *charges: Charge) -> None:
        """Write charges down."""
        if self._fd < 0:
            self._fd = self._opened(self._path(self._number + 1))
            self._number += 1
        lines = _ENCODER.encode_lines(list(charges))  # with a tuple msgspec 0.22 forgets 48 bytes
        if (written := os.write(self._fd, lines)) != len(lines):
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)  # or the next line would be unreadable too
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _opened(self, path: Path) -> int:
        """Make a file. Nearly always its directory is there, and ours: a caller waits for this."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        if self._lock.fileno() >= 0:
            with contextlib.suppress(FileNotFoundError):  # somebody has removed it
                return os.open(path, flags, 0o600)
        self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.take()
        return os.open(path, flags, 0o600)

    def seal(self) -> Path | None:
        """Begin a new file; return the one with all charges since the last time, None if there are none."""
        if self._fd < 0:
            return None
        os.close(self._fd)
        self._fd = -1
        return self._path(self._number)

    def _path(self, number: int) -> Path:
        return self._dir / f"{number}.jsonl"

    def orphans(self) -> Iterator[tuple[Path, list[Charge]]]:
        """Yield the directory of each dead worker with what it had charged. It is ours until `bury`."""
        for directory in sorted(self._all.glob("*/")):
            if directory == self._dir or directory in self._adopted:
                continue
            lock = LockFile(directory / "lock")
            try:
                if not lock.take():
                    continue
            except FileNotFoundError:  # another one has buried it meanwhile
                continue
            self._adopted[directory] = lock
            yield directory, [charge for path in sorted(directory.glob("*.jsonl")) for charge in read(path)]

    def bury(self, directory: Path) -> None:
        """Remove what a dead worker has left: the store has confirmed it."""
        shutil.rmtree(directory, ignore_errors=True)
        if (lock := self._adopted.pop(directory, None)) is not None:
            lock.let_go()

    def close(self) -> None:
        """Leave: with files, if there are any, for others to find."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._dir.exists() and not any(self._dir.glob("*.jsonl")):
            shutil.rmtree(self._dir, ignore_errors=True)
        self._lock.let_go()


def read(path: Path) -> list[Charge]:
    """Return the charges in a file. What a crash has cut off is left out."""
    found = []
    for line in path.read_bytes().splitlines():
        try:
            found.append(_DECODER.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    return found
