"""The scenarios. Each draws its numbers from `rng`, so that no policy can be tuned to one of them.

Times are parts of `seconds`; where the text of a scenario names seconds, it means the default length of 90.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

from bench.simulate import seven
from bench.simulate.faults import BLACK_HOLE, DOWN, Condition, Fault
from bench.simulate.requests import Traffic
from bench.simulate.scenario import Scenario, at_once, capacity_hz, jittered, providers, ranked, replicas
from bench.simulate.store import StoreLink

DrawScenario = Callable[[random.Random, float], Scenario]
"""A scenario of so many seconds."""


def steady(rng: random.Random, seconds: float) -> Scenario:
    """Eight unequal providers, and nothing happens."""
    return Scenario("steady", seconds, providers(rng), Traffic())


def capacity(rng: random.Random, seconds: float) -> Scenario:
    """Six engines at 77 % of what they can do, with bursts that come close to all of it."""
    specs = replicas(rng)
    traffic = Traffic(burst=1.25, burst_s=3.0)
    return Scenario("capacity", seconds, specs, replace(traffic, rate=0.77 * capacity_hz(specs, traffic)))


def brown_out(rng: random.Random, seconds: float) -> Scenario:
    """The best becomes six times slower for half a minute; amid that, the next best four times."""
    specs, traffic = providers(rng), Traffic()
    best, second, *_ = ranked(specs, traffic)
    start = jittered(rng, 0.25) * seconds
    slow = Condition(slow=jittered(rng, 6.0))
    slower = Condition(slow=jittered(rng, 4.0))
    faults = [
        Fault(best, start, start + 0.38 * seconds, slow, is_timed=True),
        Fault(second, start + 0.13 * seconds, start + 0.27 * seconds, slower, is_timed=True),
    ]
    return Scenario("brown-out", seconds, specs, traffic, faults)


def hard_down(rng: random.Random, seconds: float) -> Scenario:
    """The best refuses everything for half a minute; later it fails three times in ten."""
    specs, traffic = providers(rng), Traffic()
    best = ranked(specs, traffic)[0]
    start = jittered(rng, 0.2) * seconds
    later = start + 0.45 * seconds
    faults = [
        Fault(best, start, start + 0.33 * seconds, DOWN, is_timed=True),
        Fault(best, later, later + 0.2 * seconds, Condition(error=jittered(rng, 0.3))),
    ]
    return Scenario("hard-down", seconds, specs, traffic, faults)


def flapping(rng: random.Random, seconds: float) -> Scenario:
    """The best is down for four seconds, up for five, and so on."""
    specs, traffic = providers(rng), Traffic()
    best = ranked(specs, traffic)[0]
    faults = []
    start = jittered(rng, 0.15) * seconds
    while start < 0.85 * seconds:
        faults.append(Fault(best, start, start + jittered(rng, 4.0), DOWN))
        start = faults[-1].end + jittered(rng, 5.0)
    return Scenario("flapping", seconds, specs, traffic, faults)


def limits(rng: random.Random, seconds: float) -> Scenario:
    """The best two take 40 and 35 requests per second, which they do not tell; the third has a storm of 429."""
    specs, traffic = providers(rng), Traffic()
    best, second, third, *_ = ranked(specs, traffic)
    specs[best] = replace(specs[best], limit_hz=jittered(rng, 40.0))
    specs[second] = replace(specs[second], limit_hz=jittered(rng, 35.0))
    start = jittered(rng, 0.5) * seconds
    storm = Condition(limited=rng.uniform(0.6, 1.0))
    return Scenario("limits", seconds, specs, traffic, [Fault(third, start, start + 0.2 * seconds, storm)])


def black_hole(rng: random.Random, seconds: float) -> Scenario:
    """The best accepts everything and never answers, for half a minute."""
    specs, traffic = providers(rng), Traffic()
    best = ranked(specs, traffic)[0]
    start = jittered(rng, 0.25) * seconds
    fault = Fault(best, start, start + 0.33 * seconds, BLACK_HOLE, is_timed=True)
    return Scenario("black-hole", seconds, specs, traffic, [fault])


def newcomer(rng: random.Random, seconds: float) -> Scenario:
    """One joins who is the best, later one who is bad; then the best leaves."""
    specs, traffic = providers(rng), Traffic()
    best, *others = ranked(specs, traffic)
    bad = others.pop()
    known = tuple(sorted(others))
    fault = Fault(bad, 0.0, seconds, Condition(error=rng.uniform(0.1, 0.3)))
    listings = [
        (0.0, known),
        (jittered(rng, 0.25) * seconds, (*known, best)),
        (jittered(rng, 0.5) * seconds, (*known, best, bad)),
        (jittered(rng, 0.75) * seconds, (*known, bad)),
    ]
    return Scenario("newcomer", seconds, specs, traffic, [fault], listings)


def prices(rng: random.Random, seconds: float) -> Scenario:
    """Prices between 0.5 and 3 for callers who take half the time for four times the price; a good one browns out."""
    traffic, gamma = Traffic(), 0.5
    specs = [replace(spec, price=0.5 * 6 ** rng.random()) for spec in providers(rng)]
    plain = Scenario("prices", seconds, specs, traffic, gamma=gamma)
    factors = plain.price_factors()
    worth = {endpoint: place for place, endpoint in enumerate(ranked(specs, traffic))}
    cheapest = min(sorted(worth, key=lambda endpoint: worth[endpoint])[:4], key=lambda endpoint: factors[endpoint])
    start = jittered(rng, 0.4) * seconds
    slow = Condition(slow=jittered(rng, 4.0))
    return replace(plain, faults=[Fault(cheapest, start, start + 0.25 * seconds, slow, is_timed=True)])


def low_traffic(rng: random.Random, seconds: float) -> Scenario:
    """One or two requests per second while endpoints become slower and faster, eight times as long as the others."""
    specs = providers(rng)
    traffic = Traffic(rate=rng.uniform(0.5, 2.0), burst=1.0)
    best, second, third, *_ = ranked(specs, traffic)
    long = 8 * seconds
    faults = [
        Fault(best, 0.25 * long, 0.6 * long, Condition(slow=jittered(rng, 3.0))),
        Fault(second, 0.4 * long, 0.7 * long, Condition(slow=jittered(rng, 3.0))),
        Fault(third, 0.8 * long, 0.9 * long, Condition(error=0.5)),
    ]
    return Scenario("low-traffic", long, specs, traffic, faults)


def store_away(rng: random.Random, seconds: float) -> Scenario:
    """The shared store is away while the best is down, and is emptied before the best browns out."""
    specs, traffic = providers(rng), Traffic()
    best = ranked(specs, traffic)[0]
    away = jittered(rng, 0.2) * seconds
    slow_at = jittered(rng, 0.75, 0.05) * seconds
    faults = [
        Fault(best, away + 0.1 * seconds, away + 0.25 * seconds, DOWN, is_timed=True),
        Fault(best, slow_at, slow_at + 0.15 * seconds, Condition(slow=jittered(rng, 5.0)), is_timed=True),
    ]
    store = StoreLink(outages=((away, away + 0.35 * seconds),), flushes=(slow_at - 0.02 * seconds,))
    return Scenario("store-away", seconds, specs, traffic, faults, store=store)


def all_down(rng: random.Random, seconds: float) -> Scenario:
    """Everyone fails, between 55 and 95 times in a hundred."""
    specs = providers(rng)
    start = jittered(rng, 0.35) * seconds
    failing = [Condition(error=rng.uniform(0.55, 0.95)) for _ in specs]
    faults = at_once(range(len(specs)), start, start + 0.25 * seconds, failing)
    return Scenario("all-down", seconds, specs, Traffic(), faults)


def sessions(rng: random.Random, seconds: float) -> Scenario:
    """Long conversations with endpoints that keep prompts, of which one goes down for a while."""
    traffic = Traffic(rate=60.0, burst=1.25, prompt_tokens=300.0, sessions=round(jittered(rng, 300)))
    specs = [
        replace(spec, service_s=jittered(rng, 0.3, 0.3), prefill_per_s=rng.uniform(5_000, 12_000), has_cache=True)
        for spec in providers(rng, 6)
    ]
    best = ranked(specs, traffic)[0]
    start = jittered(rng, 0.6) * seconds
    fault = Fault(best, start, start + 0.15 * seconds, DOWN, is_timed=True)
    return Scenario("sessions", seconds, specs, traffic, [fault])


def chaos(rng: random.Random, seconds: float) -> Scenario:
    """Something is wrong with a third of the endpoints at any time, and with the store now and then."""
    specs, traffic = providers(rng), Traffic()
    limited = rng.randrange(len(specs))
    specs[limited] = replace(specs[limited], limit_hz=rng.uniform(20.0, 60.0))
    faults = []
    for endpoint in range(len(specs)):
        at = rng.expovariate(1 / 20.0)
        while at < seconds:
            end = at + rng.uniform(3.0, 20.0)
            faults.append(Fault(endpoint, at, end, _trouble(rng)))
            at = end + rng.expovariate(1 / 20.0)
    away = rng.uniform(0.2, 0.8) * seconds
    store = StoreLink(((away, away + 0.1 * seconds),), (rng.uniform(0.1, 0.9) * seconds,))
    return Scenario("chaos", seconds, specs, traffic, faults, store=store)


def _trouble(rng: random.Random) -> Condition:
    """Streams that break off are the rarest and mildest: nobody can know of them before it is too late."""
    return rng.choice(
        [
            DOWN,
            BLACK_HOLE,
            Condition(slow=rng.uniform(1.5, 4.0)),
            Condition(slow=rng.uniform(4.0, 8.0)),
            Condition(error=rng.uniform(0.1, 0.5)),
            Condition(error=rng.uniform(0.5, 0.9)),
            Condition(limited=rng.uniform(0.3, 1.0)),
            Condition(stall=rng.uniform(0.02, 0.1)) if rng.random() < 0.5 else Condition(cut=rng.uniform(0.02, 0.3)),
        ]
    )


SCENARIOS: Mapping[str, DrawScenario] = {
    "steady": steady,
    "capacity": capacity,
    "brown-out": brown_out,
    "hard-down": hard_down,
    "flapping": flapping,
    "limits": limits,
    "black-hole": black_hole,
    "newcomer": newcomer,
    "prices": prices,
    "low-traffic": low_traffic,
    "store-away": store_away,
    "all-down": all_down,
    "sessions": sessions,
    "chaos": chaos,
}

OF_FOUR: Mapping[str, DrawScenario] = {f"four/{name}": draw for name, draw in seven.on(seven.SIMULATED).items()}
"""The seven that real processes play too, drawn for the simulator."""
