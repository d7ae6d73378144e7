"""Distributions as decayed counts in logarithmic buckets.

A bucket is GROWTH times as wide as the one before it, so that the value in its middle is at most 4.8 % off whatever
fell into it, (GROWTH − 1) / (GROWTH + 1), be it milliseconds or minutes (DDSketch: Masson et al., 2019). Counts are
decayed sums as in `health/sums.py`, of one half-life, so those of many workers are merged by adding them.

First-token times and speeds share one row of buckets, so that an endpoint is one sparse vector, by bucket:

    0 … 115     seconds to the first token of a stream, 10 ms to 600 s
    116 … 212   tokens per second after it, 0.5 to 5000

What is outside its range counts as the nearest bucket.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate

GROWTH = 1.1
HALF_LIFE_S = 300.0
EVIDENCE = 0.5
"""Observations that a quantile needs: one, until it is a half-life old."""

Counts = dict[int, float]
"""Decayed number of observations by bucket; a bucket that is not there has none."""

_PER_LN = 1.0 / math.log(GROWTH)
_MIDDLE = 2.0 * GROWTH / (GROWTH + 1.0)
"""Times the lower end of a bucket: equally far from both of its ends, in per cent of them."""
_ROUNDING = 1.0 - 1e-12
"""A rank that is met but for the rounding of sums is met."""


class Scale:
    """The buckets of one quantity, from `first` to `last`; its range is `low` to `high`."""

    __slots__ = ("_offset", "first", "last", "low")

    def __init__(self, first: int, low: float, high: float) -> None:
        self.first = first
        self.low = low
        self.last = first + math.ceil(math.log(high / low) * _PER_LN) - 1
        self._offset = math.log(low) * _PER_LN - first

    def bucket(self, ln_value: float) -> int:
        """Return the bucket of a value, given as its natural logarithm: whoever has it need not take it again."""
        bucket = int(ln_value * _PER_LN - self._offset)
        if self.first <= bucket <= self.last:
            return bucket
        return self.first if bucket < self.first else self.last

    def value(self, bucket: int) -> float:
        """Return what stands for all values of a bucket."""
        return self.low * GROWTH ** (bucket - self.first) * _MIDDLE


FIRST_TOKEN = Scale(0, 0.01, 600.0)
SPEED = Scale(FIRST_TOKEN.last + 1, 0.5, 5000.0)
BUCKETS = SPEED.last + 1


class Histogram:
    """One quantity of one endpoint, at some instant. Does not change."""

    __slots__ = ("_buckets", "_ranks", "_scale")

    def __init__(self, scale: Scale, counts: Mapping[int, float]) -> None:
        self._scale = scale
        self._buckets = sorted(bucket for bucket in counts if scale.first <= bucket <= scale.last)
        self._ranks = list(accumulate(counts[bucket] for bucket in self._buckets))

    @property
    def count(self) -> float:
        """How many observations are in it, each halved with every HALF_LIFE_S."""
        return self._ranks[-1] if self._ranks else 0.0

    def quantile(self, q: float) -> float | None:
        """Return the value that a share `q` of the observations does not exceed, or None if there are too few."""
        count = self.count
        if count < EVIDENCE:
            return None
        return self._scale.value(self._buckets[bisect_left(self._ranks, q * count * _ROUNDING)])


def decayed(counts: Mapping[int, float], seconds: float) -> Counts:
    """Return the counts as they are `seconds` later. A negative time counts as none: clocks may step back."""
    factor = math.exp2(-max(seconds, 0.0) / HALF_LIFE_S)
    return {bucket: count * factor for bucket, count in counts.items()}


def add(counts: Counts, others: Mapping[int, float]) -> None:
    """Add to `counts` those of the same instant."""
    for bucket, count in others.items():
        counts[bucket] = counts.get(bucket, 0.0) + count
