"""Numbers that outlive the process that counts: each worker's own, in a file that all of them can read.

    a directory, private to one process tree
      0.slots  1.slots  …    one for each worker that lives; locked (flock) by the one whose it is

A worker that starts takes over a file whose owner has ended, of whatever cause, and counts on in it; so nothing is lost
with a worker but what it had not yet counted, and there are never more files than there have been workers at once. The
values of gauges go with their owner: they are read only while the lock is held.

Why not prometheus_client's own multiprocess files: a record of ten updates took 30 µs there and a scrape of four
processes with 200 sets of labels 1.0 s, of which a reload leaves one more process behind each time.

Layout, native byte order, all of it in units of eight bytes:

    0        units in use, written last: who reads meanwhile sees the series before it, whole
    1…       series: length of the name in bytes and number of values (two uint32), the name, the values (doubles)

A double is stored at once, so a reader may see one number of a series newer than another, but never half of one.
"""

import contextlib
import fcntl
import mmap
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SIZE_BYTES = 2 * 1024 * 1024
"""About 2 000 pairs of a model and a provider. Written whole at the start: a full disk is to be told then, by an error,
not later by a signal (SIGBUS)."""
PIECE_BYTES = 16 * 1024
"""Written at a time. Newer kernels (ext4 of Linux 6.18) keep together in memory what is written at once, and give all
of it to whoever touches a byte: 2 MB of each worker for some 10 KB that it uses."""
SEPARATOR = "\x1f"
_UNIT = 8
_HEAD = struct.Struct("=II")
_USED = struct.Struct("=Q")
_SUFFIX = ".slots"

Name = tuple[str, ...]
"""Of a series: the metric, then the values of its labels."""


@dataclass(slots=True)
class Table:
    """One worker's series, at one moment."""

    series: list[tuple[Name, list[float]]]
    is_live: bool
    """Whether its owner is."""


class Slots:
    """The numbers of this worker. `values[place(…) + n]` may be read and written; the same place for the same name.

    Without a directory they are this process's own, and end with it. Raises OSError if there is no room for a file.
    """

    def __init__(self, directory: Path | None = None, size_bytes: int = SIZE_BYTES) -> None:
        self._fd = -1
        self._directory = directory
        self._size_units = size_bytes // _UNIT
        if directory is None:
            self._memory = mmap.mmap(-1, size_bytes)
        else:
            self._fd = _take_over(directory, size_bytes)
            self._memory = mmap.mmap(self._fd, size_bytes)
        self.values = memoryview(self._memory).cast("d")
        self._places = {(name, count): place for name, place, count in _entries(self._memory)}
        self._mend()

    @classmethod
    def opened(cls, directory: Path | None, tell: Callable[[str], object]) -> "Slots":
        """Return slots in that directory if that can be; else this process's own, which `tell` is told."""
        try:
            return cls(directory)
        except OSError as error:
            tell(f"no room for what is counted ({error}): /metrics of this worker tells of it alone")
            return cls()

    def place(self, name: Name, count: int = 1) -> int:
        """Return where the `count` values of a series begin; all 0.0 if it is new. -1: there is no room left."""
        found = self._places.get((name, count))
        return self._add(name, count) if found is None else found

    def _add(self, name: Name, count: int) -> int:
        encoded = SEPARATOR.join(part.replace(SEPARATOR, " ") for part in name).encode()
        used = _used(self._memory)
        begin = used + 1 + -(-len(encoded) // _UNIT)
        if begin + count > self._size_units:
            return -1
        _HEAD.pack_into(self._memory, used * _UNIT, len(encoded), count)
        self._memory[(used + 1) * _UNIT : (used + 1) * _UNIT + len(encoded)] = encoded
        _USED.pack_into(self._memory, 0, begin + count)
        self._places[name, count] = begin
        return begin

    def _mend(self) -> None:
        """Drop what stands behind the last series that can be read: a file may have been spoilt."""
        end = max([1, *(place + count for (_, count), place in self._places.items())])
        if end != _USED.unpack_from(self._memory, 0)[0]:
            self._memory[end * _UNIT :] = bytes(len(self._memory) - end * _UNIT)
            _USED.pack_into(self._memory, 0, end)

    def read(self) -> list[Table]:
        """Return what every worker has counted, this one included. Blocks: to be run in a thread."""
        if self._directory is None:
            return [Table(_series(bytes(self._memory)), is_live=True)]
        return read_tables(self._directory)

    def close(self) -> None:
        """Let go of the file: what has been counted stays in it."""
        self.values.release()
        self._memory.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read_tables(directory: Path) -> list[Table]:
    """Return the series of all workers, living and dead, in the order of their files."""
    tables = []
    with _locked(directory, fcntl.LOCK_SH):  # while we look whether a file has an owner, nobody takes one over
        for path in _files(directory):
            with path.open("rb") as file:
                is_live = not _lock(file.fileno(), fcntl.LOCK_SH)
                tables.append(Table(_series(file.read(SIZE_BYTES)), is_live))
    return tables


def _take_over(directory: Path, size_bytes: int) -> int:
    """Return a file, locked: one that has lost its owner, else a new one."""
    with _locked(directory, fcntl.LOCK_EX):
        files = _files(directory)
        for path in files:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            if os.fstat(fd).st_size == size_bytes and _lock(fd, fcntl.LOCK_EX):
                return fd
            os.close(fd)
        number = 1 + max((int(path.stem) for path in files), default=-1)
        return _new_file(directory / f"{number}{_SUFFIX}", size_bytes)


def _new_file(path: Path, size_bytes: int) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        content = _USED.pack(1).ljust(size_bytes, b"\0")
        while content:
            content = content[os.write(fd, content[:PIECE_BYTES]) :]
    except BaseException:
        os.close(fd)
        path.unlink()
        raise
    return fd


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob(f"*{_SUFFIX}"), key=lambda path: int(path.stem))


@contextlib.contextmanager
def _locked(directory: Path, how: int) -> Iterator[None]:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, how)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, how: int) -> bool:
    """Lock without waiting; False if another has it."""
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _used(content: bytes | mmap.mmap) -> int:
    if len(content) < _UNIT:  # whoever made the file was killed before its first write
        return 1
    used: int = _USED.unpack_from(content, 0)[0]
    return min(max(used, 1), len(content) // _UNIT)  # 0: memory as it comes


def _entries(content: bytes | mmap.mmap) -> Iterator[tuple[Name, int, int]]:
    """Yield each series: name, where its values begin, how many there are. Ends where no series can stand."""
    at, end = 1, _used(content)
    while at < end:
        length, count = _HEAD.unpack_from(content, at * _UNIT)
        begin = at + 1 + -(-length // _UNIT)
        try:
            name = content[(at + 1) * _UNIT : (at + 1) * _UNIT + length].decode()
        except UnicodeDecodeError:
            return
        if begin + count > end:
            return
        yield tuple(name.split(SEPARATOR)), begin, count
        at = begin + count


def _series(content: bytes) -> list[tuple[Name, list[float]]]:
    return [
        (name, list(struct.unpack_from(f"={count}d", content, begin * _UNIT)))
        for name, begin, count in _entries(content)
    ]
