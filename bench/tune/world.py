"""Four upstreams and what happens to them, drawn by the seed, in the simulator's terms.

The middle third is the trouble's. On real processes the same is played by `bench.policies`, as far as it can be.
"""

import random
from collections.abc import Mapping
from dataclasses import replace

from bench.policies import world as real
from bench.simulate.faults import DOWN, Condition, Fault
from bench.simulate.requests import Traffic
from bench.simulate.scenario import Scenario, capacity_hz, jittered, providers, ranked, replicas
from bench.simulate.scenarios import DrawScenario

UPSTREAMS = 4


def steady(rng: random.Random, seconds: float) -> Scenario:
    """Nothing happens."""
    return Scenario("steady", seconds, providers(rng, UPSTREAMS), Traffic())


def burst(rng: random.Random, seconds: float) -> Scenario:
    """Engines of one's own at 55 % of what they can do, with bursts for which two of them would not suffice."""
    specs = replicas(rng, UPSTREAMS)
    traffic = Traffic(burst=1.7, burst_s=3.0, burst_every_s=10.0)
    return Scenario("burst", seconds, specs, replace(traffic, rate=0.55 * capacity_hz(specs, traffic)))


def brown_out(rng: random.Random, seconds: float) -> Scenario:
    """The best takes six times as long."""
    return _trouble("brown-out", rng, seconds, Condition(slow=jittered(rng, 6.0)))


def flapping(rng: random.Random, seconds: float) -> Scenario:
    """The best is down for four seconds, up for five, and so on."""
    specs, traffic = providers(rng, UPSTREAMS), Traffic()
    best = ranked(specs, traffic)[0]
    faults = []
    start = jittered(rng, 0.25) * seconds
    while start < 0.85 * seconds:
        faults.append(Fault(best, start, start + jittered(rng, 4.0), DOWN))
        start = faults[-1].end + jittered(rng, 5.0)
    return Scenario("flapping", seconds, specs, traffic, faults)


def storm(rng: random.Random, seconds: float) -> Scenario:
    """The best answers 429 to nearly everything."""
    return _trouble("429 storm", rng, seconds, Condition(limited=rng.uniform(0.7, 1.0)))


def newcomer(rng: random.Random, seconds: float) -> Scenario:
    """The best joins after a third of the time, and nobody knows it."""
    specs, traffic = providers(rng, UPSTREAMS), Traffic()
    others = ranked(specs, traffic)[1:]
    listings = [(0.0, tuple(sorted(others))), (jittered(rng, 0.33) * seconds, tuple(range(UPSTREAMS)))]
    return Scenario("newcomer", seconds, specs, traffic, listings=listings)


def prices(rng: random.Random, seconds: float) -> Scenario:
    """Prices between 0.5 and 3 for callers to whom half the time is worth four times the price."""
    specs = [replace(spec, price=0.5 * 6 ** rng.random()) for spec in providers(rng, UPSTREAMS)]
    return Scenario("price mix", seconds, specs, Traffic(), gamma=0.5)


def _trouble(name: str, rng: random.Random, seconds: float, condition: Condition) -> Scenario:
    specs, traffic = providers(rng, UPSTREAMS), Traffic()
    start = jittered(rng, 0.33) * seconds
    fault = Fault(ranked(specs, traffic)[0], start, start + 0.33 * seconds, condition, is_timed=True)
    return Scenario(name, seconds, specs, traffic, [fault])


SCENARIOS: Mapping[str, DrawScenario] = {
    "steady": steady,
    "burst": burst,
    "brown-out": brown_out,
    "flapping": flapping,
    "429 storm": storm,
    "newcomer": newcomer,
    "price mix": prices,
}


def _four(scenario: Scenario) -> Scenario:
    listings = [(at, tuple(place for place in listed if place < UPSTREAMS)) for at, listed in scenario.listings]
    return replace(scenario, specs=scenario.specs[:UPSTREAMS], listings=listings)


def _flapping(seconds: float) -> Scenario:
    """As above, without the jitter."""
    plain = real.steady(seconds)
    starts = range(round(seconds / 4), round(0.85 * seconds), 9)
    return replace(plain, name="flapping", faults=[Fault(0, at, at + 4.0, DOWN) for at in starts])


def on_real_processes(seconds: float) -> Mapping[str, Scenario]:
    """The scenarios that can be played there: callers of `bench.policies` have no bursts, its providers one price."""
    drawn = {
        "steady": real.steady(seconds),
        "brown-out": real.brown_out(seconds),
        "flapping": _flapping(seconds),
        "429 storm": real.storm(seconds),
        "newcomer": real.newcomer(seconds),
    }
    return {name: _four(scenario) for name, scenario in drawn.items()}
