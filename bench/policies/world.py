"""The stage of the real processes: four upstreams, small enough for two cores, in the simulator's own terms.

The scenarios are those of `bench.simulate.seven`, and nothing in them is left to chance but when requests come.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bench.simulate import seven
from bench.simulate.draws import FIRST_TOKEN_CV
from bench.simulate.faults import DOWN, Fault
from bench.simulate.metrics import OUTPUT_PRICE
from bench.simulate.requests import Traffic
from bench.simulate.scenario import Scenario
from bench.simulate.seven import Stage
from bench.simulate.world import Spec

NAMES = ("p1", "p2", "p3", "p4")
PLACES: Mapping[str, int] = {name: place for place, name in enumerate(NAMES)}
MEDIANS_S = (0.060, 0.080, 0.110, 0.150)
"""Of the first token of providers. The first is the best, and the one that something happens to."""
PRICES = (3.0, 1.2, 0.6, 0.5)
"""Where they differ: faster is dearer. 1: a dollar for a million prompt tokens."""
ENGINES_S = (0.160, 0.200, 0.240, 0.280)
"""Mean of the first token of an engine that has nothing else to do."""
SLOTS = 17
SLOPE = 0.9
_MEAN = math.sqrt(1 + FIRST_TOKEN_CV**2)
"""Of a log-normal, by its median."""
SPREAD = math.sqrt(math.log1p(FIRST_TOKEN_CV**2))
"""Sigma of the log-normal with the simulator's coefficient of variation."""
RATE_HZ = 100.0
TOKENS = 10
TOKENS_PER_S = 250.0
PROMPT_TOKENS = 13
GATEWAYS = 2
RETRY_AFTER_S = 2
_OVERHEAD_S = 0.008
"""The first token comes 4 ms after the event that names the role; the rest is gateway and client."""
_NANOS = 1000
"""Billionths of a dollar for a prompt token at price 1."""


def median_s(spec: Spec) -> float:
    """Of the first token, when nobody else is there."""
    return spec.service_s / _MEAN


def paid_nanos(price: float) -> float:
    """What a whole reply costs at that price, in billionths of a dollar."""
    return _NANOS * price * (PROMPT_TOKENS + OUTPUT_PRICE * TOKENS)


def worth(scenario: Scenario) -> Callable[[float], float]:
    """What a second costs a caller who looks at prices, by what was paid for the reply; 1 at the mean price."""
    usual = paid_nanos(sum(spec.price for spec in scenario.specs) / len(scenario.specs))
    return lambda paid: (paid / usual) ** scenario.gamma


def _spec(service_s: float) -> Spec:
    return Spec(service_s, TOKENS_PER_S, rtt_s=_OVERHEAD_S, prefill_per_s=math.inf, retry_after_s=RETRY_AFTER_S)


def _hosted(rng: random.Random) -> list[Spec]:
    return [_spec(_MEAN * median_s) for median_s in MEDIANS_S]


def _engines(rng: random.Random) -> list[Spec]:
    """Four of the same make on unequal machines."""
    return [replace(_spec(service_s), slots=SLOTS, slope=SLOPE) for service_s in ENGINES_S]


def _priced(rng: random.Random, specs: Sequence[Spec]) -> list[Spec]:
    return [replace(spec, price=price) for spec, price in zip(specs, PRICES, strict=True)]


_TRAFFIC = Traffic(RATE_HZ, burst=1.0, prompt_tokens=PROMPT_TOKENS, output_tokens=TOKENS)
STAGE = Stage(
    hosted=_hosted,
    engines=_engines,
    prices=_priced,
    traffic=_TRAFFIC,
    bursts=replace(_TRAFFIC, burst=1.7, burst_s=3.0, burst_every_s=4.0),
    jitter=0.0,
)


def _drawn(name: str) -> Callable[[float], Scenario]:
    return lambda seconds: seven.on(STAGE)[name](random.Random(name), seconds)


def hard_down(seconds: float) -> Scenario:
    """The best refuses connections for a third of the time."""
    plain = seven.steady(STAGE, random.Random(), seconds)
    return replace(plain, name="hard-down", faults=[Fault(0, seconds / 3, 2 * seconds / 3, DOWN)])


SCENARIOS: Mapping[str, Callable[[float], Scenario]] = {
    **{name: _drawn(name) for name in seven.SEVEN},
    "hard-down": hard_down,
}
"""By name, each of so many seconds; the last is beyond the seven."""
