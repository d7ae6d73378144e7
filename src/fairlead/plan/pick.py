"""The order in which fit endpoints are asked: the best by score first, probes and overdue looks before them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from random import Random

from fairlead.health.board import GroupHealth
from fairlead.plan.candidate import Candidate
from fairlead.plan.score import (
    AFFINITY_TOKENS,
    CACHE_HIT,
    PREFILL_TOKENS_PER_S,
    Ask,
    Crowd,
    Weights,
    expected_each,
    expected_s,
    score,
)

STICKY = "sticky"
"""Note of a candidate that comes first since its conversation stays with it."""

_MIX = 0x9E3779B1
_MASK = (1 << 32) - 1
_SCORE = attrgetter("scored")
_UNKNOWN = -1.0
"""Cost where nobody knows the price."""


@dataclass(slots=True)
class Looks:
    """A worker's allowance for looking at endpoints that it would not pick: a bounded part of the traffic.

    0.005 tokens per request and as many per second over the whole fleet; so exploring cannot be felt in the 99th
    percentile, whatever the endpoints are like: up to four times as much makes no difference (`bench/results/tune.md`).
    """

    per_request: float = 0.005
    per_second: float = 0.005
    burst: float = 3.0
    min_s: float = 5.0
    max_s: float = 90.0
    tokens: float = field(default=1.0)
    at: float = field(default=-math.inf)

    def earn(self, now: float, fleet: int) -> None:
        """Count one request."""
        passed = now - self.at if self.at > -math.inf else 0.0
        self.at = now
        self.tokens = min(self.burst, self.tokens + self.per_request + passed * self.per_second / fleet)

    def due(self, found: Sequence[Candidate], ask: Ask, best_s: float, now: float, fleet: int) -> Candidate | None:
        """Return the candidate that has gone unused for too long, if one has; takes a token, which must be there.

        What would be good again if its present trouble were over is looked at more often.
        """
        used_since = now - self.min_s * fleet
        for candidate in found:
            health = candidate.health
            if health.looked_at > used_since or health.in_flight:
                continue
            unused_s, known = now - health.looked_at, health.estimate
            hope_s = expected_s(known, ask) - ask.first_token * max(known.first_token_s - known.usual_s, 0.0)
            if unused_s >= fleet * min(self.max_s, self.min_s * (hope_s / best_s) ** 2):
                self.tokens -= 1.0
                return candidate
        return None


def order(
    found: list[Candidate],
    group: GroupHealth,
    ask: Ask,
    looks: Looks,
    weights: Weights,
    now: float,
    rng: Random,
    *,
    has_probes: bool = True,
) -> list[Candidate]:
    """Return the candidates, best first. `found` has at least one. `has_probes`: some of them may be."""
    looks.earn(now, group.fleet)
    if len(found) == 1:
        return found
    expected = expected_each(found, ask)
    if ask.session and ask.prompt_tokens >= AFFINITY_TOKENS:
        cold_s = ask.first_token * CACHE_HIT * ask.prompt_tokens / PREFILL_TOKENS_PER_S
        home = _home(found, expected, cold_s, ask.session)
        warm_s, expected = expected[home], [seconds + cold_s for seconds in expected]
        expected[home] = warm_s
    score(found, expected, _prices(found, ask), ask.gamma, _crowd(found, group), weights, rng)
    found.sort(key=_SCORE)
    if ask.pinned:
        for candidate in found:
            if candidate.health.id == ask.pinned:
                return _first(candidate, STICKY, found)
    if has_probes:
        for candidate in found:
            if candidate.health.probe_epoch:
                return _first(candidate, "probe", found)
    if looks.tokens >= 1.0 and (due := looks.due(found[1:], ask, min(expected), now, group.fleet)) is not None:
        return _first(due, "look", found)
    return found


def _first(candidate: Candidate, note: str, found: list[Candidate]) -> list[Candidate]:
    candidate.note = note
    return [candidate, *(other for other in found if other is not candidate)]


def _crowd(found: Sequence[Candidate], group: GroupHealth) -> Crowd:
    in_flight = waiting = 0.0
    has_started = False
    for candidate in found:
        health = candidate.health
        known = health.estimate
        in_flight += known.in_flight
        waiting += known.waiting
        if health.started:
            has_started = True
    in_flight *= 0.06
    waiting *= 0.05
    return Crowd(
        3.0 if has_started and group.fleet > 1 else 1.0,
        max(2.0, in_flight),
        max(2.0, waiting),
    )


def _prices(found: Sequence[Candidate], ask: Ask) -> list[float]:
    """Return what this request would cost at each, relative to the dearest.

    A price nobody knows counts as the dearest. Nothing is cheaper than a hundredth of it, or what is free would win
    whatever else is wrong with it.
    """
    if not ask.gamma:
        return [1.0] * len(found)
    prompt_tokens, output_tokens = ask.prompt_tokens, ask.output_tokens
    costs = [
        _UNKNOWN
        if (rates := candidate.endpoint.rates) is None
        else rates[0] * prompt_tokens + rates[1] * output_tokens + rates[2]
        for candidate in found
    ]
    dearest = max(costs)
    if dearest <= 0.0:
        return [1.0] * len(found)
    least = 0.01 * dearest
    return [cost / dearest if cost > least else 0.01 if cost >= 0.0 else 1.0 for cost in costs]


def _home(found: Sequence[Candidate], expected: Sequence[float], cold_s: float, session: int) -> int:
    """Return the place of the endpoint whose prompt cache holds the session: any worker finds the same, without asking.

    Rendezvous hashing (Thaler and Ravishankar, 1998) among those that would be the best with their cache warm; so an
    endpoint that leaves moves only its own sessions, and one that is slower by more than the cache saves has none.
    """
    limit_s, session, mix, mask = min(expected) + cold_s, session & _MASK, _MIX, _MASK
    ranks = [
        (session ^ candidate.health.hash) * mix & mask if seconds <= limit_s else -1
        for candidate, seconds in zip(found, expected, strict=True)
    ]
    return ranks.index(max(ranks))


def panic_order(found: list[Candidate], now: float, rng: Random) -> list[Candidate]:
    """Return endpoints that should not be asked in the order of the least bad: those cooling down last."""

    def badness(candidate: Candidate) -> tuple[bool, float]:
        health = candidate.health
        cool_until = health.cool_until
        if health.account is not None and health.account.cool_until > cool_until:
            cool_until = health.account.cool_until
        if now < cool_until:
            return True, cool_until
        known = health.estimate
        return False, math.log(known.first_token_s + known.risk_s) + 0.2 * rng.gauss(0.0, 1.0)

    return sorted(found, key=badness)
