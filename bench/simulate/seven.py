"""Seven scenarios with four upstreams, told once for every stage: those of the simulator, and real processes.

A stage says who serves, who asks, and by how much the numbers vary from draw to draw. The middle third of the time is
the trouble's.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bench.simulate.faults import DOWN, Condition, Fault
from bench.simulate.requests import Traffic
from bench.simulate.scenario import Scenario, capacity_hz, jittered, providers, ranked, replicas
from bench.simulate.world import Spec

UPSTREAMS = 4
GAMMA = 0.5
"""What the price is worth to callers who look at it: half the time for four times the price."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the scenarios are played."""

    hosted: Callable[[random.Random], list[Spec]]
    """Providers who do not care about our share of their load."""
    engines: Callable[[random.Random], list[Spec]]
    """Of one's own, with slots and a queue before them."""
    prices: Callable[[random.Random, Sequence[Spec]], list[Spec]]
    """The same with prices of their own."""
    traffic: Traffic
    bursts: Traffic
    """What the engines are asked; the rate follows from what they can do."""
    jitter: float
    """The share by which times and severities may differ from those in the text of a scenario."""

    def near(self, rng: random.Random, value: float) -> float:
        """Draw a number near `value`."""
        return jittered(rng, value, self.jitter)


def steady(stage: Stage, rng: random.Random, seconds: float) -> Scenario:
    """Nothing happens."""
    return Scenario("steady", seconds, stage.hosted(rng), stage.traffic)


def burst(stage: Stage, rng: random.Random, seconds: float) -> Scenario:
    """Engines of one's own at 55 % of what they can do, with bursts for which two of them would not suffice."""
    specs, traffic = stage.engines(rng), stage.bursts
    return Scenario("burst", seconds, specs, replace(traffic, rate=0.55 * capacity_hz(specs, traffic)))


def brown_out(stage: Stage, rng: random.Random, seconds: float) -> Scenario:
    """The best takes six times as long."""
    return _trouble("brown-out", stage, rng, seconds, Condition(slow=stage.near(rng, 6.0)))


def flapping(stage: Stage, rng: random.Random, seconds: float) -> Scenario:
    """The best is down for four seconds, up for five, and so on."""
    specs, traffic = stage.hosted(rng), stage.traffic
    best = ranked(specs, traffic)[0]
    faults = []
    start = stage.near(rng, 0.25) * seconds
    while start < 0.85 * seconds:
        faults.append(Fault(best, start, start + stage.near(rng, 4.0), DOWN))
        start = faults[-1].end + stage.near(rng, 5.0)
    return Scenario("flapping", seconds, specs, traffic, faults)


def storm(stage: Stage, rng: random.Random, seconds: float) -> Scenario:
    """The best answers 429 to nearly everything; to everything where nothing is left to chance."""
    limited = rng.uniform(1 - 2 * stage.jitter, 1.0)
    return _trouble("429 storm", stage, rng, seconds, Condition(limited=limited))


def newcomer(stage: Stage, rng: random.Random, seconds: float) -> Scenario:
    """The best joins after a third of the time, and nobody knows it."""
    specs, traffic = stage.hosted(rng), stage.traffic
    others = ranked(specs, traffic)[1:]
    listings = [(0.0, tuple(sorted(others))), (stage.near(rng, 0.33) * seconds, tuple(range(len(specs))))]
    return Scenario("newcomer", seconds, specs, traffic, listings=listings)


def prices(stage: Stage, rng: random.Random, seconds: float) -> Scenario:
    """Unequal prices, for callers who look at them."""
    specs = stage.prices(rng, stage.hosted(rng))
    return Scenario("price mix", seconds, specs, stage.traffic, gamma=GAMMA)


def _trouble(name: str, stage: Stage, rng: random.Random, seconds: float, condition: Condition) -> Scenario:
    specs, traffic = stage.hosted(rng), stage.traffic
    start = stage.near(rng, 0.33) * seconds
    fault = Fault(ranked(specs, traffic)[0], start, start + 0.33 * seconds, condition, is_timed=True)
    return Scenario(name, seconds, specs, traffic, [fault])


Told = Callable[[Stage, random.Random, float], Scenario]

SEVEN: Mapping[str, Told] = {
    "steady": steady,
    "burst": burst,
    "brown-out": brown_out,
    "flapping": flapping,
    "429 storm": storm,
    "newcomer": newcomer,
    "price mix": prices,
}


def on(stage: Stage) -> Mapping[str, Callable[[random.Random, float], Scenario]]:
    """The scenarios as they are played there: by name, each of so many seconds."""
    return {name: partial(told, stage) for name, told in SEVEN.items()}


def _drawn_prices(rng: random.Random, specs: Sequence[Spec]) -> list[Spec]:
    """Between 0.5 and 3."""
    return [replace(spec, price=0.5 * 6 ** rng.random()) for spec in specs]


SIMULATED = Stage(
    hosted=partial(providers, count=UPSTREAMS),
    engines=partial(replicas, count=UPSTREAMS),
    prices=_drawn_prices,
    traffic=Traffic(),
    bursts=Traffic(burst=1.7, burst_s=3.0, burst_every_s=10.0),
    jitter=0.15,
)
"""Every draw has other upstreams."""
