"""The policies that take part, by name."""

from collections.abc import Mapping

from bench.simulate.baselines.blind import Random, RoundRobin
from bench.simulate.baselines.c3 import C3
from bench.simulate.baselines.inverse_price import InversePrice
from bench.simulate.baselines.least_request import LeastRequest, LeastRequestOutliers
from bench.simulate.baselines.lowest_latency import LowestLatency
from bench.simulate.baselines.peak_ewma import PeakEwma
from bench.simulate.baselines.prequal import Prequal
from bench.simulate.harness import MakePolicy
from bench.simulate.oracle import Oracle
from bench.simulate.product import Product

ORACLE = "oracle"
PRODUCT = "fairlead"

POLICIES: Mapping[str, MakePolicy] = {
    ORACLE: Oracle,
    PRODUCT: lambda world: Product(),
    "round-robin": lambda world: RoundRobin(),
    "random": lambda world: Random(),
    "least-request": lambda world: LeastRequest(),
    "least+outliers": lambda world: LeastRequestOutliers(),
    "peak-ewma": lambda world: PeakEwma(),
    "c3": lambda world: C3(),
    "prequal": lambda world: Prequal(),
    "lowest-latency": lambda world: LowestLatency(),
    "inverse-price": lambda world: InversePrice(),
}
