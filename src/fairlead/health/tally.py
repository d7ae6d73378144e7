"""What a worker has seen of one endpoint since it last told the fleet.

Plain counts, since this is the hot path: a tick, at most a tenth of a second later under load, makes decayed sums of
them as of its own instant. Averages are ratios of sums that are late alike, so the delay does not show in them.
"""

from dataclasses import dataclass

from fairlead.health import sums as ix
from fairlead.health.sums import add_span


@dataclass(slots=True)
class Tally:
    """Counts, and seconds × requests. `area_…` are integrals over the tick, but for rounding not negative."""

    waited_s: float = 0.0
    """As it passes, where a wait is overdue."""
    arrived_s: float = 0.0
    """The same when the first token has come: who waits in an outage says nothing of what is usual."""
    first_tokens: int = 0
    attempts: int = 0
    failures: int = 0
    ended: int = 0
    cut: int = 0
    generation_s: float = 0.0
    tokens: int = 0
    area_in_flight: float = 0.0
    area_waiting: float = 0.0
    loads: int = 0
    load: float = 0.0
    load_squared: float = 0.0
    wait: float = 0.0
    load_wait: float = 0.0
    """Regression of wait = ln(first-token time) on load = ln(in flight + 1)."""

    def regress(self, load: float, wait: float) -> None:
        self.loads += 1
        self.load += load
        self.load_squared += load * load
        self.wait += wait
        self.load_wait += load * wait

    def sums(self, seconds: float, fleet: float = 1.0) -> list[float]:
        """Return it as decayed sums; it was collected over the last `seconds`.

        `fleet`: how many workers it stands for, when this one is cut off from the others. What waits stays its own,
        since it is compared with the first tokens, of which it sees only its own.
        """
        found = [
            self.waited_s, self.waited_s, self.waited_s, self.waited_s, self.arrived_s,
            self.first_tokens, self.first_tokens, self.first_tokens, self.first_tokens,
            self.attempts, self.attempts, self.failures, self.failures,
            self.ended, self.ended, self.cut, self.cut,
            self.generation_s, self.tokens,
            0.0, 0.0, 0.0,
            self.loads, self.load, self.load_squared, self.wait, self.load_wait,
        ]  # fmt: skip
        add_span(found, ix.C, max(0.0, self.area_in_flight) * fleet, seconds)
        add_span(found, ix.C3, max(0.0, self.area_in_flight) * fleet, seconds)
        add_span(found, ix.W, max(0.0, self.area_waiting), seconds)
        return found
