"""What a run amounted to: counted while it goes on, summed up at its end.

A caller's cost is first token + ALPHA x generation, in seconds, times price^gamma where the scenario's callers look at
prices. A request that failed, or broke off, counts as a first token after 15 s.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.simulate.attempt import Attempt, EndpointId, Outcome
from bench.simulate.faults import Fault
from bench.simulate.requests import Request
from bench.simulate.scenario import ALPHA, Scenario
from bench.simulate.shares import BIN_S, Shares

FAILED_S = 15.0
WARM_UP_S = 5.0
"""Requests before that are not counted."""
CACHED_PRICE = 0.1
OUTPUT_PRICE = 4.0
"""Price of a cached prompt token and of an output token, in prompt tokens."""

EJECTED_SHARE = 0.02
RECOVERED_SHARE = 0.5
_FORMER_S = 5.0
_WORTH_TIMING = 0.05
"""An endpoint with a smaller share than that before its fault tells nothing about ejection."""


@dataclass(slots=True)
class Figures:
    """One run of one policy. Times are in seconds, shares between 0 and 1."""

    requests: int
    success: float
    p50_s: float
    p99_s: float
    """Of the first token, as the caller sees it: with all that was tried before."""
    cost_s: float
    price: float
    """Mean paid per answered request, in thousands of prompt tokens at price 1."""
    store_calls_hz: float
    eject_s: list[float] = field(default_factory=list)
    """Of each timed fault: from its start to the first second in which the endpoint has at most 2 % of the attempts."""
    recover_s: list[float] = field(default_factory=list)
    """From its end to the first second in which the endpoint has half of its former share, or until something else
    changes. None for an endpoint that was not let go."""
    waste: float | None = None
    """Share of attempts that went to an endpoint between its ejection and the end of its fault; None without one."""


class Tally:
    """Counts for `Figures`."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._first_s: list[float] = []
        self._costs: list[float] = []
        self._paid = 0.0
        self._failed = 0
        self._price_factors = scenario.price_factors()
        self._bins = [[0] * (int(scenario.seconds / BIN_S) + 1) for _ in scenario.specs]

    def began(self, now: float, endpoint: EndpointId) -> None:
        """An attempt was made."""
        place = int(now / BIN_S)
        if place < len(self._bins[endpoint]):
            self._bins[endpoint][place] += 1

    def answered(self, request: Request, attempt: Attempt, first_s: float, outcome: Outcome) -> None:
        """A request got all it waited for, its first token `first_s` after it had come in."""
        if request.at < WARM_UP_S:
            return
        fresh = request.prompt_tokens - outcome.cached_tokens
        tokens = fresh + CACHED_PRICE * outcome.cached_tokens + OUTPUT_PRICE * outcome.tokens
        self._first_s.append(first_s)
        self._costs.append((first_s + ALPHA * outcome.generation_s) * self._price_factors[attempt.endpoint])
        self._paid += tokens * self._scenario.specs[attempt.endpoint].price / 1000

    def failed(self, request: Request) -> None:
        """A request got nothing, or not all."""
        if request.at >= WARM_UP_S:
            self._first_s.append(FAILED_S)
            self._costs.append(FAILED_S)
            self._failed += 1

    def figures(self, store_calls: int) -> Figures:
        """Sum up."""
        count = len(self._first_s)
        figures = Figures(
            requests=count,
            success=1 - self._failed / count,
            p50_s=quantile(self._first_s, 0.5),
            p99_s=quantile(self._first_s, 0.99),
            cost_s=sum(self._costs) / count,
            price=self._paid / max(1, count - self._failed),
            store_calls_hz=store_calls / self._scenario.seconds,
        )
        shares = Shares(self._bins)
        wasted = attempts = 0
        for fault in self._scenario.faults:
            former = shares.of(fault.endpoint, fault.start - _FORMER_S, fault.start)
            if fault.is_timed and former > _WORTH_TIMING:
                ejected_at = fault.start + self._time_fault(fault, former, shares, figures)
                wasted += shares.count(fault.endpoint, ejected_at, fault.end)
                attempts += shares.total(ejected_at, fault.end)
        figures.waste = wasted / attempts if attempts else None
        return figures

    def _time_fault(self, fault: Fault, former: float, shares: Shares, figures: Figures) -> float:
        """Note how long it took to let go of an endpoint and to take it back; return the former."""
        eject_s = shares.wait(fault.endpoint, fault.start, fault.end, lambda share: share <= EJECTED_SHARE)
        figures.eject_s.append(eject_s)
        changes = [time for other in self._scenario.faults for time in (other.start, other.end)]
        until = min((time for time in changes if time > fault.end), default=self._scenario.seconds)
        recover_s = shares.wait(fault.endpoint, fault.end, until, lambda share: share >= RECOVERED_SHARE * former)
        if eject_s < fault.end - fault.start:  # what was never let go need not be taken back
            figures.recover_s.append(recover_s)
        return eject_s


def quantile(values: Sequence[float], q: float) -> float:
    """The value that a share `q` of `values` does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]
