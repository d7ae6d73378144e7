"""How soon to start again what has ended. Pure."""

from dataclasses import dataclass
from typing import Final

_STEADY_S: Final = 10.0
"""Who lived this long ended for a reason of its own; who did not is likely to end again at once."""
_FIRST_S: Final = 0.1
_LONGEST_S: Final = 5.0


@dataclass(slots=True)
class RestartDelay:
    """The first restart is immediate; each further one after a short life waits twice as long, up to 5 s."""

    _last_s: float | None = None

    def after(self, lived_s: float) -> float:
        """Seconds to wait before the next start of something that has lived `lived_s`."""
        if lived_s >= _STEADY_S or self._last_s is None:
            self._last_s = 0.0
        else:
            self._last_s = min(max(_FIRST_S, self._last_s * 2), _LONGEST_S)
        return self._last_s
