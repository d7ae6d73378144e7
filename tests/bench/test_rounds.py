"""A round starts everything anew where it is told to."""

import sys

import pytest
from bench.figures import Plan
from bench.rounds import Bench, Settings
from bench.targets import Target

from bench import machine

MIRROR = Target(
    "mirror",
    (sys.executable, "-m", "bench.upstream", "--port", "@port@"),
    ready="/v1/models",
    env={"PYTHONPATH": "@bench@/.."},
)


@pytest.mark.e2e
def test_processes_are_started_anew_before_the_figures_that_ask_for_it():
    async def who(target, plan):
        return {f"of-{len(seen)}": float(target.roots[0])} if not seen.append(target.roots[0]) else {}

    seen = []
    names = ("first", "second", "third")
    settings = Settings(
        1, names, Plan(0.1, 0.1, 1), "mirror", "sk", None, measures=dict.fromkeys(names, who), anew=("first", "second")
    )
    bench = Bench(settings, [MIRROR], machine.assign())
    bench.run()
    first, second, third = seen
    assert first != second == third
    assert bench.numbers == [{"direct": {}, "mirror": {"of-1": first, "of-2": second, "of-3": third}}]
    assert not bench.problems
