"""The order in which fit endpoints are asked.

First cut: random by operator weight. The weighted least-latency score takes this place.
"""

import random
from collections.abc import Sequence

from fairlead.catalog.model import Endpoint


def weighted_order(endpoints: Sequence[Endpoint], rng: random.Random) -> Sequence[Endpoint]:
    """Return the endpoints in a random order in which each next one is drawn in proportion to its weight.

    One exponential draw each, sorted (Efraimidis and Spirakis, 2006): the same distribution as drawing without
    replacement, in one pass. Weights must be positive.
    """
    if len(endpoints) == 1:
        return endpoints
    return sorted(endpoints, key=lambda endpoint: rng.expovariate(endpoint.provider.weight))
