"""A lock that ends with whoever holds it, whatever the cause of death."""

import fcntl
import os
from pathlib import Path
from typing import Final


class LockFile:
    """flock(2) on a file that also says who holds it.

    The lock belongs to the open file: a child that inherits `fileno()` holds it as well, until the last copy is closed.
    The file is never deleted: a second holder could then lock a new file of the same name.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._fd = -1

    def take(self) -> bool:
        """Lock, without waiting; True if it is ours, now or before. Raises OSError when the file cannot be opened."""
        if self._fd < 0:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                return False
            except BaseException:
                os.close(fd)
                raise
            self._fd = fd
        return True

    def fileno(self) -> int:
        """To be inherited by a child; only while the lock is ours."""
        return self._fd

    def read(self) -> str:
        """What the last holder wrote; empty if nobody ever did."""
        return self.path.read_text() if self.path.exists() else ""

    def write(self, words: str) -> None:
        """Say who holds it. Only while the lock is ours."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, words.encode(), 0)

    def let_go(self) -> None:
        """Close our copy. (LOCK_UN would take the lock from a child that inherited it, too.)"""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
