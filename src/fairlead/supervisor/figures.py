"""The directory in which workers put what they count: of one process tree, gone with it.

    <temporary files>/fairlead-metrics-…/
      owner             locked by the supervisor for as long as it lives
      0.slots …         telemetry/slots.py

A supervisor that is killed leaves its directory behind, of 2 MiB for each worker; the next one of the same user takes
it away.
"""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from fairlead.store.lockfile import LockFile

_PREFIX = "fairlead-metrics-"
_OWNER = "owner"


class FiguresDir:
    """`path` is there until `close`. Raises OSError where no temporary files can be made. `place`: where they are."""

    def __init__(self, place: Path | None = None) -> None:
        place = place or Path(tempfile.gettempdir())
        for left in place.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):  # another user's, or another is taking it away
                _remove_if_left(left)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
            self._lock = LockFile(self.path / _OWNER)
            if self._lock.take() and self._lock.path.exists():
                return
            self._lock.let_go()  # another saw it before it was locked, and takes it away

    def close(self) -> None:
        """Remove it. What cannot be removed is left to the next start."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.let_go()


def _remove_if_left(path: Path) -> None:
    owner = path / _OWNER
    if not path.is_symlink() and path.stat().st_uid == os.getuid() and owner.exists():
        lock = LockFile(owner)
        if lock.take():
            shutil.rmtree(path, ignore_errors=True)
            lock.let_go()
