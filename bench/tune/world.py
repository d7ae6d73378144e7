"""Where constants are tuned: the seven scenarios as seeds draw them for the simulator, and on real processes."""

import random
from collections.abc import Callable, Mapping

from bench.policies import world as real
from bench.simulate import seven
from bench.simulate.scenario import Scenario
from bench.simulate.seven import UPSTREAMS

__all__ = ["SCENARIOS", "UPSTREAMS", "on_real_processes"]

SCENARIOS: Mapping[str, Callable[[random.Random, float], Scenario]] = seven.on(seven.SIMULATED)


def on_real_processes(seconds: float) -> Mapping[str, Scenario]:
    """All seven, as `bench.policies` plays them."""
    return {name: real.SCENARIOS[name](seconds) for name in seven.SEVEN}
