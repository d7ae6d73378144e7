"""The charges of one worker that the store has not confirmed: told in batches, the oldest first; on disk until then.

What is too much for the memory is on disk only, and read from there when the rest has been told. A charge may be told
twice by that; it counts once.
"""

import functools
from collections import Counter
from collections.abc import Callable, Sequence

from fairlead.access.spend import INSTANCE
from fairlead.store.money import Charge
from fairlead.store.unsettled import Unsettled, read

AT_ONCE = 500
"""Charges in one call: some 10 ms of Redis."""
MAX_KEPT = 20_000
"""Charges in memory while the store is away, some 20 MB; what is beyond goes to the disk."""


class Backlog:
    """What cannot be written is kept in memory: `tell` is told so in a line, and when it can be again; `report` of
    other faults of the disk.
    """

    def __init__(self, disk: Unsettled | None, report: Callable[[OSError], None], tell: Callable[[str], None]) -> None:
        self._disk = disk
        self._report = report
        self._tell = tell
        self._is_disk_well = True
        self._charges: list[Charge] = []
        self._taken = self._confirmed = 0
        """How many charges have ever been in memory, and how many of them have been confirmed."""
        self._after: list[tuple[int, Callable[[], None]]] = []
        """What can be done once so many have been confirmed: files are not needed any more."""
        self._is_full = False
        """Whether some of the charges are on disk only."""
        self._on_disk: Counter[str] = Counter()
        """Nano-USD of those, by account."""

    def __len__(self) -> int:
        return len(self._charges)

    def add(self, *charges: Charge) -> None:
        """Keep charges until they are confirmed."""
        if self._are_written(charges) and len(self._charges) >= MAX_KEPT:
            self._is_full = True
            for charge in charges:
                self._on_disk.update(_used(charge))
        else:
            self._take(charges)

    def adopt(self) -> list[str]:
        """Take over what dead workers have left on disk; return whose it was."""
        found: list[str] = []
        if self._disk is None:
            return found
        try:
            for directory, charges in self._disk.orphans():
                found.append(directory.name)
                self._take(charges)
                self._after.append((self._taken, functools.partial(self._disk.bury, directory)))
        except OSError as error:
            self._report(error)
        return found

    def batch(self) -> Sequence[Charge]:
        """Return those that are to be told next."""
        if self._charges and not self._is_full:
            self._seal()
        return self._charges[:AT_ONCE]

    def later(self) -> Counter[str]:
        """Return what has been used by those that are not in that batch: nano-USD by account."""
        found = self._on_disk.copy()
        for charge in self._charges[AT_ONCE:]:
            found.update(_used(charge))
        return found

    def confirm(self, count: int) -> None:
        """The store has so many of the batch, from its beginning."""
        del self._charges[:count]
        self._confirmed += count
        if self._is_full and len(self._charges) < AT_ONCE:
            self._is_full = False
            self._on_disk.clear()
            self._seal(is_wanted=True)
        try:
            while self._after and self._after[0][0] <= self._confirmed:
                self._after.pop(0)[1]()
        except OSError as error:
            self._report(error)

    def close(self) -> None:
        """What has not been confirmed stays on disk, for others to find."""
        if self._disk is not None:
            self._disk.close()

    def _take(self, charges: Sequence[Charge]) -> None:
        self._charges += charges
        self._taken += len(charges)

    def _are_written(self, charges: Sequence[Charge]) -> bool:
        if self._disk is None:
            return False
        try:
            self._disk.append(*charges)
        except OSError as error:
            if self._is_disk_well:
                self._is_disk_well = False
                self._tell(
                    f"charges cannot be written to the disk ({error}): were this worker killed now, those that the"
                    " store has not confirmed yet would be lost; set FAIRLEAD_DATA_DIR to a directory that can be"
                    " written to, and has room"
                )
            return False
        if not self._is_disk_well:
            self._is_disk_well = True
            self._tell("charges are written to the disk again")
        return True

    def _seal(self, *, is_wanted: bool = False) -> None:
        """Begin a new file. The one so far can go once the store has confirmed all that is in it.

        `is_wanted`: what is in it was too much for the memory, and is taken in now.
        """
        try:
            path = self._disk.seal() if self._disk is not None else None
            if path is None:
                return
            if is_wanted:
                self._take(read(path))
            self._after.append((self._taken, functools.partial(path.unlink, missing_ok=True)))
        except OSError as error:
            self._report(error)


def _used(charge: Charge) -> dict[str, int]:
    return {charge.key: charge.amounts[0], INSTANCE: charge.amounts[0]}
