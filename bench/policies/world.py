"""Five unequal providers and what happens to them, in the simulator's own terms; the real ones follow the same."""

import math
from collections.abc import Callable, Mapping

from bench.simulate.draws import FIRST_TOKEN_CV
from bench.simulate.faults import DOWN, Condition, Fault
from bench.simulate.requests import Traffic
from bench.simulate.scenario import Scenario
from bench.simulate.world import Spec

MEDIANS_S: Mapping[str, float] = {"p60": 0.060, "p80": 0.080, "p110": 0.110, "p150": 0.150, "p220": 0.220}
"""Of the first token, by provider. The first is the best, and the one that something happens to."""
PLACES: Mapping[str, int] = {name: place for place, name in enumerate(MEDIANS_S)}
SPREAD = math.sqrt(math.log1p(FIRST_TOKEN_CV**2))
"""Sigma of the log-normal with the simulator's coefficient of variation."""
RATE_HZ = 60.0
TOKENS = 10
TOKENS_PER_S = 250.0
PROMPT_TOKENS = 20
GATEWAYS = 2
RETRY_AFTER_S = 2
_OVERHEAD_S = 0.008
"""The first token comes 4 ms after the event that names the role; the rest is gateway and client."""

_BEST = 0


def _specs() -> list[Spec]:
    mean = math.sqrt(1 + FIRST_TOKEN_CV**2)  # of a log-normal, by its median
    return [
        Spec(
            service_s=median_s * mean,
            tokens_per_s=TOKENS_PER_S,
            rtt_s=_OVERHEAD_S,
            prefill_per_s=math.inf,
            retry_after_s=RETRY_AFTER_S,
        )
        for median_s in MEDIANS_S.values()
    ]


def _scenario(name: str, seconds: float, condition: Condition | None = None) -> Scenario:
    """The best fares like that in the middle third."""
    traffic = Traffic(RATE_HZ, burst=1.0, prompt_tokens=PROMPT_TOKENS, output_tokens=TOKENS)
    faults = [Fault(_BEST, seconds / 3, 2 * seconds / 3, condition)] if condition else []
    return Scenario(name, seconds, _specs(), traffic, faults)


def steady(seconds: float) -> Scenario:
    """Nothing happens."""
    return _scenario("steady", seconds)


def brown_out(seconds: float) -> Scenario:
    """The best takes six times as long."""
    return _scenario("brown-out", seconds, Condition(slow=6.0))


def hard_down(seconds: float) -> Scenario:
    """The best refuses connections."""
    return _scenario("hard-down", seconds, DOWN)


def storm(seconds: float) -> Scenario:
    """The best answers 429 to everything."""
    return _scenario("storm", seconds, Condition(limited=1.0))


def newcomer(seconds: float) -> Scenario:
    """The best is not there before a third of the time has passed."""
    plain = _scenario("newcomer", seconds)
    everyone = tuple(range(len(MEDIANS_S)))
    listings = [(0.0, everyone[1:]), (seconds / 3, everyone)]
    return Scenario(plain.name, seconds, plain.specs, plain.traffic, listings=listings)


SCENARIOS: Mapping[str, Callable[[float], Scenario]] = {
    "steady": steady,
    "brown-out": brown_out,
    "hard-down": hard_down,
    "storm": storm,
    "newcomer": newcomer,
}
