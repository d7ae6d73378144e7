"""The yardstick: it sees every endpoint as it is at this moment, and what a request costs those who come after it.

It does not see the luck of a single request (nobody could be near a policy that did): means only, but of the true
condition, the true queue, the true rate limit and the true caches. Cost is what the metrics count, plus the delay that
a request imposes on others at an engine that slows down or queues (Pigou's marginal cost).
"""

import math
from collections.abc import Sequence

from bench.simulate.attempt import EndpointId
from bench.simulate.baselines.plain import ASKED, Plain
from bench.simulate.metrics import FAILED_S
from bench.simulate.requests import Request
from bench.simulate.scenario import ALPHA
from bench.simulate.world import Server, World

_RETRY_S = 1.0
"""What it takes to find somebody else, about."""
_HOPELESS_S = 1e6


class Oracle(Plain):
    """Knows the world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def order(self, now: float, worker: int, request: Request) -> Sequence[EndpointId]:
        """By cost."""
        view, servers = self.view, self._world.servers

        def cost(endpoint: EndpointId) -> float:
            return cost_s(servers[endpoint], request, now) * math.pow(view.prices[endpoint], view.gamma)

        return sorted(self.endpoints, key=cost)[:ASKED]


def cost_s(server: Server, request: Request, now: float) -> float:
    """What one more request costs here, its own delay and that of others, in seconds."""
    spec, condition = server.spec, server.condition
    if condition.failure >= 1 or server.rate_tokens(now) < 1:
        return _HOPELESS_S
    prefill_s = (request.prompt_tokens - server.cached_tokens(request, now)) / spec.prefill_per_s
    first_s, generation_s = spec.service_s + prefill_s, request.expected_output / spec.tokens_per_s
    slowness = server.load(more=1) * condition.slow
    own_s = spec.rtt_s + (first_s + ALPHA * generation_s) * slowness
    failing_s = condition.failure / (1 - condition.failure) * (own_s / 2 + _RETRY_S) + condition.breaking * FAILED_S
    if spec.slots is None:
        return own_s + failing_s
    stay_s = (first_s + generation_s) * slowness
    waiting_s = stay_s / spec.slots * max(0, server.active + len(server.queue) + 1 - spec.slots)
    # As many as are there now will begin while it stays, and each finds the engine slower by one slot's worth.
    imposed_s = spec.slope * server.active / spec.slots * (first_s + ALPHA * generation_s)
    return own_s + failing_s + 2 * waiting_s + imposed_s
