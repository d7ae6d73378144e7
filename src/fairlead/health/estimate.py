"""What the sums say about an endpoint now, and about the next request sent there. Formulas: routing-reference, 1.3-1.6.

Computed when the sums change (ten times a second under load), so that picking only reads.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fairlead.health import sums as ix
from fairlead.health.breaker import deviance

PRIOR_FIRST_TOKEN_S = 0.5
PRIOR_TOKEN_S = 0.02
"""Before anything has been measured in a group: 50 tokens per second. What is measured replaces them at once."""
_FIRST_COUNT = 0.01

_PRIOR_COUNT = 3.0
"""The weight of what is known already, in first tokens, beside what a window shows."""
_VARIATION = 0.49
"""Square of the coefficient of variation of first-token times, 0.7 among hosted models."""
_SIGNIFICANT = 4.0
"""Two standard errors, squared: a shorter window is believed only when it differs by so much."""
_PEAK_FROM = 1.1
_PEAK_WEIGHT = 0.5
"""What is above `_PEAK_FROM` × the usual counts half again (peak sensitivity, as Finagle's PeakEwma)."""
_RETRY_S = 0.5
_BREAK_S = 10.0
"""What a failure before the first token costs beside a second wait for it; and what a broken stream costs its user."""
_GENERATION_PRIOR = 0.3
"""Tokens. So little, since a single reply already tells the speed well."""
_EVIDENCE_MAX = 200.0
"""However much there is, times change."""
_UNKNOWN_COUNT = 60.0
"""Below so many first tokens the elasticity is taken for unknown."""


@dataclass(slots=True)
class Prior:
    """What is typical of a group: the belief about an endpoint of which nothing is known. Seconds."""

    first_token_s: float = PRIOR_FIRST_TOKEN_S
    token_s: float = PRIOR_TOKEN_S


@dataclass(slots=True)
class Estimate:
    """What is to be expected of an endpoint. Seconds, probabilities, counts over the whole fleet."""

    first_token_s: float = PRIOR_FIRST_TOKEN_S
    usual_s: float = PRIOR_FIRST_TOKEN_S
    """Of the first tokens that came, over the longest window: what an outage leaves as it is."""
    token_s: float = PRIOR_TOKEN_S
    """From one output token to the next."""
    failure: float = 0.005
    """Probability of a failure before the first token."""
    cut: float = 0.001
    """Probability that a reply breaks off."""
    risk_s: float = 0.0
    """Expected seconds lost to failures."""
    doubt: float = 0.816
    """Standard error of what is expected, in units of one first token's: 1/√(first tokens that it rests on + 1.5)."""
    elasticity: float = 0.0
    """d ln(first token) / d ln(in flight): 0 for a provider that does not feel our load."""
    reference_load: float = 1.0
    """In flight + 1 for which `first_token_s` holds."""
    feedback: float = field(init=False)
    """−ln(1 − elasticity): what load feeds back to itself, since slower first tokens keep more in flight."""
    in_flight: float = 0.0
    in_flight_limit: float = 2.0
    """More than this is a ramp too steep."""
    waiting: float = 0.0
    waiting_limit: float = 2.0
    """More than this are waiting for first tokens only if there is a queue, or a stall."""
    attempt_rate: float = 0.0
    """Attempts per second."""

    def __post_init__(self) -> None:
        self.feedback = -math.log(1.0 - self.elasticity)


def prior_of(all_sums: Iterable[Sequence[float]]) -> Prior:
    """Return what is typical of the endpoints with these sums, each decayed to the same instant."""
    waited, came = PRIOR_FIRST_TOKEN_S * _FIRST_COUNT, _FIRST_COUNT
    seconds, tokens = PRIOR_TOKEN_S * _FIRST_COUNT, _FIRST_COUNT
    for s in all_sums:
        waited += s[ix.E120]
        came += s[ix.N120]
        seconds += s[ix.G]
        tokens += s[ix.K]
    return Prior(waited / came, seconds / tokens)


def estimate(s: Sequence[float], prior: Prior) -> Estimate:
    """Estimate from an endpoint's sums, decayed to now."""
    usual_s = (_PRIOR_COUNT * prior.first_token_s + s[ix.U120]) / (_PRIOR_COUNT + s[ix.N120])
    first_token_s = _recent(s, prior)
    failure, cut = _failure(s), _cut(s)
    elasticity, reference_load = _elasticity(s)
    mean_in_flight = s[ix.C3] * ix.LN2 / 3.0
    ramp = 1.5 if elasticity > 0.0 or s[ix.R0] < _UNKNOWN_COUNT else 3.0
    expected_waiting = s[ix.N1] * ix.LN2 * min(first_token_s, usual_s)
    return Estimate(
        first_token_s=first_token_s,
        usual_s=usual_s,
        token_s=(_GENERATION_PRIOR * prior.token_s + s[ix.G]) / (_GENERATION_PRIOR + s[ix.K]),
        failure=failure,
        cut=cut,
        risk_s=failure / (1.0 - failure) * (prior.first_token_s + _RETRY_S) + cut * _BREAK_S,
        doubt=1.0 / math.sqrt(min(s[ix.N120], _EVIDENCE_MAX) + 1.5),
        elasticity=elasticity,
        reference_load=reference_load,
        in_flight=s[ix.C] * ix.LN2 / 0.5,
        in_flight_limit=ramp * mean_in_flight + 1.5 * math.sqrt(mean_in_flight + 1.0),
        waiting=s[ix.W] * ix.LN2 / 0.4,
        waiting_limit=1.2 * expected_waiting + 1.5 * math.sqrt(expected_waiting + 1.0),
        attempt_rate=s[ix.A20] * ix.LN2 / 20.0,
    )


def _recent(s: Sequence[float], prior: Prior) -> float:
    """Return the first-token time over the shortest window that differs significantly from the next longer one."""
    longest_s = t = (_PRIOR_COUNT * prior.first_token_s + s[ix.E120]) / (_PRIOR_COUNT + s[ix.N120])
    for waited, came in ((s[ix.E20], s[ix.N20]), (s[ix.E5], s[ix.N5]), (s[ix.E1], s[ix.N1])):
        expected = waited / t
        if expected > 1e-9 and deviance(expected, came) > _SIGNIFICANT * _VARIATION:
            t = (_PRIOR_COUNT * t + waited) / (_PRIOR_COUNT + came)
    excess = t - _PEAK_FROM * longest_s
    return t + _PEAK_WEIGHT * excess if excess > 0.0 else t


def _failure(s: Sequence[float]) -> float:
    p = (s[ix.F20] + 5.0 * 0.005) / (s[ix.A20] + 5.0)
    recent = (s[ix.F2] + 4.0 * p) / (s[ix.A2] + 4.0)
    margin = 0.02 + 2.0 * math.sqrt(max(0.0, p * (1.0 - p)) / (s[ix.A2] + 1.0))
    return min(0.95, recent if recent > p + margin else p)


def _cut(s: Sequence[float]) -> float:
    q = (s[ix.M60] + 0.02) / (s[ix.S60] + 20.0)
    recent = (s[ix.M3] + 4.0 * q) / (s[ix.S3] + 4.0)
    margin = 0.02 + 2.0 * math.sqrt(max(0.0, q * (1.0 - q)) / (s[ix.S3] + 1.0))
    return min(0.95, recent if recent > q + margin else q)


def _elasticity(s: Sequence[float]) -> tuple[float, float]:
    """Return the elasticity of first-token time to load, and the load it is measured at.

    Least squares, ridge-regularised towards 0.2; below 0.05 counts as none.
    """
    count = s[ix.R0]
    if count < 1.0:
        return 0.2, 1.0
    xx = max(0.0, s[ix.RXX] - s[ix.RX] * s[ix.RX] / count)
    xy = s[ix.RXY] - s[ix.RX] * s[ix.RY] / count
    slope = (xy + 2.0 * 0.2) / (xx + 2.0)
    return (min(slope, 0.8) if slope >= 0.05 else 0.0), math.exp(s[ix.RX] / count)
