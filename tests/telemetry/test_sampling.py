import random

import pytest
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from fairlead.telemetry.sampling import Sampler
from fairlead.telemetry.trace_context import TraceParent

ASKED, NOT_ASKED = TraceParent(1, 1, 1), TraceParent(1, 1, 2)


@pytest.mark.parametrize(
    ("name", "root", "sampled", "not_sampled"),
    [
        ("always_on", True, True, True),
        ("always_off", False, False, False),
        ("parentbased_always_on", True, True, False),
        ("parentbased_always_off", False, True, False),
        ("parentbased_traceidratio", True, True, False),
        ("traceidratio", True, True, True),
    ],
)
def test_who_decides(name, root, sampled, not_sampled):
    takes = Sampler(name).takes
    assert (takes(7, None), takes(7, ASKED), takes(7, NOT_ASKED)) == (root, sampled, not_sampled)


@pytest.mark.parametrize("ratio", [0.0, 0.001, 0.25, 0.5, 1.0])
def test_a_ratio_takes_the_traces_that_the_sdk_takes(ratio):
    """Other services of the same trace draw by its id as well."""
    rng, theirs = random.Random(1), TraceIdRatioBased(ratio)
    ids = [rng.getrandbits(128) for _ in range(2000)]
    taken = [Sampler("traceidratio", ratio).takes(trace_id, None) for trace_id in ids]
    assert taken == [theirs.should_sample(None, trace_id, "").decision.is_sampled() for trace_id in ids]
    assert abs(sum(taken) / len(ids) - ratio) < 0.05
