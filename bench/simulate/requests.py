"""Who asks, when, for how much: the traffic of a scenario, drawn once per seed and the same for every policy."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

WORKERS = 8
LEAVING_SHARE = 0.01
"""Of the callers leave in the middle of a stream: nobody's failure, and a trap for who counts it as one."""


@dataclass(slots=True)
class Request:
    """One request, treated as read-only. `at` is in simulated seconds, `number` counts from 0."""

    number: int
    at: float
    worker: int
    prompt_tokens: int
    output_tokens: int
    """What the reply will have. Nobody knows beforehand but the endpoint."""
    expected_output: float
    """What the gateway takes for it: the mean of the traffic."""
    session: int | None
    prefix_tokens: int
    """How much of the prompt the turn before had sent or received: what a prompt cache can hold."""
    stays_for: float
    """Share of the reply that the caller waits for; 1 is all."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Poisson arrivals with bursts; log-normal sizes.

    A burst multiplies the rate by `burst` for about `burst_s`, one about every `burst_every_s`. With `sessions`, that
    many conversations go on at once, each with a long common beginning and about eight turns.
    """

    rate: float = 150.0
    burst: float = 1.5
    burst_s: float = 2.0
    burst_every_s: float = 15.0
    prompt_tokens: float = 800.0
    output_tokens: float = 200.0
    sessions: int = 0
    session_start_tokens: float = 6_000.0


def lognormal(rng: random.Random, mean: float, cv: float) -> float:
    """Draw from the log-normal distribution of that mean and coefficient of variation."""
    variance = math.log1p(cv * cv)
    return rng.lognormvariate(math.log(mean) - variance / 2, math.sqrt(variance))


def arrivals(traffic: Traffic, seconds: float, rng: random.Random) -> list[Request]:
    """Draw all requests of `seconds`, in order."""
    talk = _Talk(traffic, rng) if traffic.sessions else None
    requests = []
    for number, at in enumerate(_times(traffic, seconds, rng)):
        output = round(min(max(lognormal(rng, traffic.output_tokens, 0.8), 10.0), 5 * traffic.output_tokens))
        fresh = round(min(max(lognormal(rng, traffic.prompt_tokens, 1.0), 20.0), 20 * traffic.prompt_tokens))
        session, prefix = talk.turn(fresh + output) if talk else (None, 0)
        stays_for = rng.random() if rng.random() < LEAVING_SHARE else 1.0
        worker = rng.randrange(WORKERS)
        requests.append(
            Request(number, at, worker, prefix + fresh, output, traffic.output_tokens, session, prefix, stays_for)
        )
    return requests


def _times(traffic: Traffic, seconds: float, rng: random.Random) -> Iterator[float]:
    """Thinning: arrivals at the rate of a burst, of which those outside of one are kept in proportion."""
    peak = traffic.rate * max(traffic.burst, 1.0)
    burst_from = rng.expovariate(1 / traffic.burst_every_s)
    burst_to = burst_from + traffic.burst_s * rng.uniform(0.5, 1.5)
    at = 0.0
    while (at := at + rng.expovariate(peak)) < seconds:
        while at > burst_to:
            burst_from = burst_to + rng.expovariate(1 / traffic.burst_every_s)
            burst_to = burst_from + traffic.burst_s * rng.uniform(0.5, 1.5)
        rate = traffic.rate * traffic.burst if at >= burst_from else traffic.rate
        if rng.random() * peak < rate:
            yield at


class _Talk:
    """The conversations that go on: session -> how many tokens have been said in it."""

    def __init__(self, traffic: Traffic, rng: random.Random) -> None:
        self._start_tokens = traffic.session_start_tokens
        self._rng = rng
        self._said = [self._opening() for _ in range(traffic.sessions)]
        self._names = list(range(traffic.sessions))

    def turn(self, tokens: int) -> tuple[int, int]:
        """Say `tokens` more in one of them: its name, and what had been said before."""
        place = self._rng.randrange(len(self._said))
        if self._rng.random() < 1 / 8:
            self._names[place] = max(self._names) + 1
            self._said[place] = self._opening()
        before = self._said[place]
        self._said[place] += tokens
        return self._names[place], before

    def _opening(self) -> int:
        return round(min(lognormal(self._rng, self._start_tokens, 0.5), 4 * self._start_tokens))
