"""Decayed sums: what every estimator is made of.

A quantity is kept as X(t) = Σ xᵢ·2^(−(t − tᵢ)/h), an average is the ratio of two of them. Two sums taken at the same
instant add exactly, and letting time pass is one multiplication; so many workers' increments can be merged in any
order, and nothing has to be renormalised, ever. Source: routing-reference, section 1.2 (forward decay: Cormode et al.,
2009; irregular EWMA: Eckner, 2012).

| index        | sum of                                              | half-lives, seconds |
|--------------|-----------------------------------------------------|---------------------|
| E1 … E120    | seconds waited for first tokens, overdue waits too  | 1, 5, 20, 120       |
| U120         | the same, for first tokens that came                | 120                 |
| N1 … N120    | first tokens                                        | 1, 5, 20, 120       |
| A2, A20      | attempts that showed whether the endpoint works     | 2, 20               |
| F2, F20      | those that failed before the first token            | 2, 20               |
| S3, S60      | replies that ended                                  | 3, 60               |
| M3, M60      | those that broke off after the first token          | 3, 60               |
| G, K         | seconds of generation, and tokens generated in them | 30                  |
| C, C3        | in flight × seconds (concurrency)                   | 0.5, 3              |
| W            | waiting for the first token × seconds               | 0.4                 |
| R0 … RXY     | regression of ln(first token) on ln(in flight + 1)  | 120                 |
"""

import math
from collections.abc import Sequence

E1, E5, E20, E120, U120, N1, N5, N20, N120, A2, A20, F2, F20, S3, S60, M3, M60 = range(17)
G, K, C, C3, W, R0, RX, RXX, RY, RXY = range(17, 27)

HALF_LIVES_S = (
    1, 5, 20, 120, 120, 1, 5, 20, 120, 2, 20, 2, 20, 3, 60, 3, 60, 30, 30, 0.5, 3, 0.4, 120, 120, 120, 120, 120,
)  # fmt: skip
"""Of each sum, by its index. Halves and doubles of the longest make no difference (`bench/results/tune.md`)."""
COUNT = len(HALF_LIVES_S)

LN2 = math.log(2.0)

_DISTINCT = sorted(set(HALF_LIVES_S))
_CLASS = tuple(_DISTINCT.index(half_life) for half_life in HALF_LIVES_S)
_RATES = tuple(-1.0 / half_life for half_life in _DISTINCT)


def zeros() -> list[float]:
    return [0.0] * COUNT


def decayed(sums: Sequence[float], seconds: float) -> list[float]:
    """Return the sums as they are `seconds` later. A negative time counts as none: clocks may step back."""
    if seconds <= 0.0:
        return list(sums)
    factors = [math.exp2(seconds * rate) for rate in _RATES]
    return [value * factors[index] for value, index in zip(sums, _CLASS, strict=True)]


def added(sums: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return the sums of both, which must be of the same instant."""
    return [one + other for one, other in zip(sums, others, strict=True)]


def add_span(sums: list[float], index: int, amount: float, seconds: float) -> None:
    """Add an `amount` (of something × seconds) that was spread evenly over the `seconds` that end now."""
    if seconds > 0.0:
        half_life = HALF_LIVES_S[index]
        sums[index] += amount / seconds * half_life / LN2 * -math.expm1(-seconds * LN2 / half_life)
