"""The four constants that are tuned, and how the product runs with other values of them: simulated, or as it is."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from unittest.mock import patch

from bench.simulate import product
from fairlead.health import sums
from fairlead.plan import plan
from fairlead.plan.pick import Looks
from fairlead.plan.score import Ask, Weights

_WINDOWS = (sums.E5, sums.E20, sums.E120, sums.U120, sums.N5, sums.N20, sums.N120)
"""Those of the first token, but for the shortest, from which a rate is taken as well."""

_LOOKS = Looks()


@dataclass(frozen=True, slots=True)
class Setting:
    """Values of the four constants; by default those of the product."""

    half_life_s: float = sums.HALF_LIVES_S[sums.E120]
    """Of the longest window of first tokens; those of 20 and 5 s change in proportion."""
    in_flight: float = Weights().ramp
    """The exponent with which more in flight than an endpoint should have counts."""
    explore: float = _LOOKS.per_request
    """The share of the requests that may look at endpoints which would not be picked; they are due so much oftener."""
    gamma: float = Ask().gamma
    """The exponent of the price, where the caller looks at prices."""

    def text(self) -> str:
        """As the command line and the tables have it."""
        return f"{self.half_life_s:g}/{self.in_flight:g}/{self.explore:g}/{self.gamma:g}"


AS_IT_IS = Setting()


def read(text: str) -> Setting:
    """Read what `text` wrote. Raises ValueError."""
    half_life_s, in_flight, explore, gamma = (float(word) for word in text.split("/"))
    return Setting(half_life_s, in_flight, explore, gamma)


@contextmanager
def applied(setting: Setting) -> Iterator[None]:
    """Let workers that are built meanwhile, and the sums that they keep, have these values.

    `product.WEIGHTS` are the simulator's; who builds a real planner meanwhile hands them to it. The exponent of the
    price is the asker's affair.
    """
    factor = setting.half_life_s / sums.HALF_LIVES_S[sums.E120]
    half_lives_s = tuple(value * factor if i in _WINDOWS else value for i, value in enumerate(sums.HALF_LIVES_S))
    distinct = sorted(set(half_lives_s))
    rarer = AS_IT_IS.explore / setting.explore if setting.explore else math.inf
    looks = partial(
        Looks,
        per_request=setting.explore,
        per_second=setting.explore,
        min_s=rarer * _LOOKS.min_s,
        max_s=rarer * _LOOKS.max_s,
    )
    with ExitStack() as stack:
        for module, name, value in (
            (sums, "HALF_LIVES_S", half_lives_s),
            (sums, "_CLASS", tuple(distinct.index(value) for value in half_lives_s)),
            (sums, "_RATES", tuple(-1.0 / value for value in distinct)),
            (plan, "Looks", looks),
            (product, "WEIGHTS", replace(product.WEIGHTS, ramp=setting.in_flight)),
        ):
            stack.enter_context(patch.object(module, name, value))
        yield
