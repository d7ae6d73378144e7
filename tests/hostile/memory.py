"""How much memory the workers of a gateway have taken at most while something was done to them."""

import re
from pathlib import Path

_PEAK = re.compile(r"VmHWM:\s+([0-9]+) kB")
_NOW = re.compile(r"VmRSS:\s+([0-9]+) kB")
_FORGET_PEAK = "5"  # proc(5), clear_refs


class Memory:
    """Made before, asked after."""

    def __init__(self, gateway):
        self._before = {pid: _bytes_of(pid, _NOW) for pid in gateway.workers()}
        for pid in self._before:
            Path(f"/proc/{pid}/clear_refs").write_text(_FORGET_PEAK)

    @property
    def grown_bytes(self):
        """Of the worker that has grown most, at its largest."""
        return max(_bytes_of(pid, _PEAK) - before for pid, before in self._before.items())


def _bytes_of(pid, pattern):
    return 1024 * int(pattern.search(Path(f"/proc/{pid}/status").read_text())[1])
