"""What one more request costs at an endpoint: weighted least latency.

    J     = T·first token + α·output·seconds per token + risk + cold         expected seconds of this request
    score = ln J + γ·ln price − ln weight/θ + load terms + σ·z − g/θ         the smallest is picked

`g` is a Gumbel draw: among well-measured endpoints the shares of the traffic are ∝ weight·price^(−γθ)·J^(−θ). Sharp,
but equals share evenly, and workers that read the same numbers do not all run to the same endpoint. `z` is normal, and
σ shrinks with the evidence (Thompson, 1933): what is unsure is tried. `cold` is what the prompt takes where no cache
has it, 0 at the session's home. (Were it taken off there instead, a long prompt would leave a J of next to nothing, and
no load could be heavy enough to go elsewhere.) Derivations and sources: routing-reference, 2.1.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import log
from random import Random
from statistics import NormalDist

import msgspec

from fairlead.health.estimate import Estimate
from fairlead.plan.candidate import Candidate


@dataclass(frozen=True, slots=True)
class Weights:
    """Constants of the score; chosen by `python -m bench.simulate`, whose `sweep` shows what each is worth.

    `bench/results/tune.md` has the tables of `ramp` (there: the exponent of what is in flight), with what else was
    tried together, and what locust said of it. It was 1: over the seven scenarios there 4 is better by 0.45 ± 0.16 %,
    in bursts by 2 ± 0.6 % (13 seeds, ten of which were not tuned on). Nothing else is by two standard errors.
    """

    theta: float = 20.0
    """Sharpness: 3.5 % better means twice the share."""
    sigma: float = 0.25
    """Of one first token's evidence. The coefficient of variation itself (0.7) would try too much at little traffic."""
    ramp: float = 4.0
    waiting: float = 2.0
    marginal: float = 4.0
    """How far the load that is just being added counts where first tokens get slower with it."""


class Ask(msgspec.Struct, frozen=True):
    """What of a request matters for the choice.

    `alpha` is what a second of generation is worth beside a second of waiting for the first token; `gamma` what price
    is worth: at 0.5 half the price makes up for 1.4 × the time, at 0 price does not matter (a quarter more is paid at
    0.25, a sixth more waited in the slowest hundredth at 2: `bench/results/tune.md`).
    """

    prompt_tokens: float = 500.0
    output_tokens: float = 200.0
    alpha: float = 0.25
    gamma: float = 0.5
    first_token: float = 1.0
    session: int = 0
    """Hash of what its prompt has in common with others, 0 when there is nothing to be gained from that."""
    pinned: str = ""
    """Id of the endpoint that its conversation stays with; empty if there is none."""


STREAM_ALPHA = 0.25
WHOLE_ALPHA = 1.0
"""A reply in one piece is waited for to its end."""

BYTES_PER_TOKEN = 4.0
"""Of a body in English; only the ratio between candidates depends on it."""
PREFILL_TOKENS_PER_S = 4000.0
"""What a prompt cache saves. Measured speeds of hosted models lie between 2 000 and 20 000."""
CACHE_HIT = 0.7
"""How often the home of a session still has its prompt."""
AFFINITY_TOKENS = 1000.0
"""Shorter prompts save less than the choice is worth (and providers cache from 1 024 tokens on)."""

_TABLE = 4096  # 12 bits
_NORMAL = [NormalDist().inv_cdf((i + 0.5) / _TABLE) for i in range(_TABLE)]
_GUMBEL = [-log(-log((i + 0.5) / _TABLE)) for i in range(_TABLE)]


def expected_s(known: Estimate, ask: Ask) -> float:
    """Expected seconds until the useful end of the request, were nobody else to ask."""
    return ask.first_token * known.first_token_s + ask.alpha * ask.output_tokens * known.token_s + known.risk_s


def expected_each(found: Iterable[Candidate], ask: Ask) -> list[float]:
    """Return `expected_s` of each."""
    first_token, output = ask.first_token, ask.alpha * ask.output_tokens
    return [
        first_token * (known := candidate.health.estimate).first_token_s + output * known.token_s + known.risk_s
        for candidate in found
    ]


class Crowd(msgspec.Struct):
    """What the candidates of one request have in common: how many act on the same numbers, and the group's load."""

    echo: float
    """One attempt of ours since the last snapshot stands for so many of the fleet (C3's concurrency compensation)."""
    slack: float
    waiting_slack: float


def score(
    found: Iterable[Candidate],
    expected: Iterable[float],
    prices: Iterable[float],
    gamma: float,
    crowd: Crowd,
    weights: Weights,
    rng: Random,
) -> None:
    """Score the candidates, all in one piece: this runs for every candidate of every request.

    `expected` is J, `prices` this request's in any unit; all are > 0.
    """
    softness, sigma, marginal = 1.0 / weights.theta, weights.sigma, weights.marginal
    echo, bits_of = crowd.echo, rng.getrandbits
    for candidate, seconds, price in zip(found, expected, prices, strict=True):
        health = candidate.health
        known = health.estimate
        price_term = gamma * log(price) if price != 1.0 else 0.0
        weight_term = -softness * candidate.endpoint.provider.ln_weight

        load, spread, elasticity = 0.0, softness, known.elasticity
        in_flight = known.in_flight + (health.in_flight - health.sent_in_flight) * echo
        if elasticity:
            relative_load = (in_flight + 1.0 if in_flight > 0.0 else 1.0) / known.reference_load
            load = marginal * elasticity * log(relative_load) + known.feedback
            spread += 3.0 * softness * elasticity
        if in_flight > (limit := known.in_flight_limit):
            load += weights.ramp * log((in_flight + crowd.slack) / (limit + crowd.slack))
        waiting = known.waiting + (len(health.waiting) - health.sent_waiting) * echo
        if waiting > (limit := known.waiting_limit):
            load += weights.waiting * log((waiting + crowd.waiting_slack) / (limit + crowd.waiting_slack))

        bits = bits_of(24)
        draw = sigma * known.doubt * _NORMAL[bits & 4095] - spread * _GUMBEL[bits >> 12]
        total = log(seconds) + price_term + weight_term + load + draw
        candidate.scored = total, seconds, price_term, weight_term, load, draw
