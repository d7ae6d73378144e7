"""What a scenario consists of, and the fleets that scenarios are made of."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.simulate.faults import Condition, Fault
from bench.simulate.requests import Traffic
from bench.simulate.store import StoreLink
from bench.simulate.world import Spec

ALPHA = 0.25
"""What a second of generation is worth beside a second of waiting: streams are read while they come."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Endpoints, their faults, the traffic, and what else happens. Everything has been drawn already.

    `listings`: from that time on, these endpoints serve the model. `gamma`: the exponent of the price in what the
    callers minimise.
    """

    name: str
    seconds: float
    specs: Sequence[Spec]
    traffic: Traffic
    faults: Sequence[Fault] = ()
    listings: Sequence[tuple[float, tuple[int, ...]]] = ()
    gamma: float = 0.0
    store: StoreLink = field(default_factory=StoreLink)

    def price_factors(self) -> list[float]:
        """What a second at each endpoint costs a caller who looks at prices; 1 on average."""
        prices = [spec.price for spec in self.specs]
        mean = sum(prices) / len(prices)
        return [(price / mean) ** self.gamma for price in prices]

    def listed(self) -> Sequence[tuple[float, tuple[int, ...]]]:
        """The listings, of which the first is that of all endpoints unless the scenario says otherwise."""
        return self.listings or [(0.0, tuple(range(len(self.specs))))]


def jittered(rng: random.Random, value: float, by: float = 0.15) -> float:
    """Draw a number near `value`."""
    return value * rng.uniform(1 - by, 1 + by)


def expected_cost_s(spec: Spec, traffic: Traffic) -> float:
    """What a request costs its caller here, as long as all is well and nobody else is there."""
    prefill_s = traffic.prompt_tokens / spec.prefill_per_s
    return spec.rtt_s + spec.service_s + prefill_s + ALPHA * traffic.output_tokens / spec.tokens_per_s


def ranked(specs: Sequence[Spec], traffic: Traffic) -> list[int]:
    """Endpoints, the best first."""
    return sorted(range(len(specs)), key=lambda endpoint: expected_cost_s(specs[endpoint], traffic))


def providers(rng: random.Random, count: int = 8) -> list[Spec]:
    """Hosted providers of very unequal speed, in no order; none cares about our load."""
    specs = [
        Spec(
            service_s=jittered(rng, 0.25 * 1.3**place),
            tokens_per_s=jittered(rng, 120 * 0.92**place, 0.25),
            rtt_s=rng.uniform(0.01, 0.09),
            prefill_per_s=rng.uniform(8_000, 20_000),
        )
        for place in range(count)
    ]
    rng.shuffle(specs)
    return specs


def replicas(rng: random.Random, count: int = 6) -> list[Spec]:
    """Engines of one's own: slots with a queue before them, and the fuller the slower."""
    return [
        Spec(
            service_s=jittered(rng, 0.35, 0.4),
            tokens_per_s=jittered(rng, 90, 0.3),
            rtt_s=rng.uniform(0.002, 0.01),
            slots=round(jittered(rng, 200, 0.5)),
            slope=rng.uniform(0.6, 1.2),
        )
        for _ in range(count)
    ]


def capacity_hz(specs: Sequence[Spec], traffic: Traffic) -> float:
    """How many requests per second engines can serve at most."""

    def stay_s(spec: Spec) -> float:
        first_s = spec.service_s + traffic.prompt_tokens / spec.prefill_per_s
        return spec.rtt_s + (first_s + traffic.output_tokens / spec.tokens_per_s) * (1 + spec.slope)

    return sum(spec.slots / stay_s(spec) for spec in specs if spec.slots)


def at_once(endpoints: Sequence[int], start: float, end: float, conditions: Sequence[Condition]) -> list[Fault]:
    """The same time of trouble for several endpoints."""
    return [Fault(endpoint, start, end, condition) for endpoint, condition in zip(endpoints, conditions, strict=True)]
