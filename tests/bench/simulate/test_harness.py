"""What the gateway does around a policy."""

import random

from bench.simulate.attempt import Kind
from bench.simulate.baselines.plain import Plain
from bench.simulate.draws import Draws
from bench.simulate.faults import BLACK_HOLE, DOWN, Condition, Fault
from bench.simulate.harness import Gateway, RetryTokens
from bench.simulate.requests import Traffic, arrivals
from bench.simulate.scenario import Scenario
from bench.simulate.world import Spec


class InOrder(Plain):
    """Asks everyone in the order of their numbers, and writes down what happens."""

    def __init__(self):
        self.begun = []
        self.kinds = []

    def order(self, now, worker, request):
        return self.endpoints

    def began(self, now, worker, attempt):
        self.begun.append((attempt.request.number, attempt.endpoint))

    def ended(self, now, worker, attempt, outcome):
        self.kinds.append(outcome.kind)


def run(conditions, seconds=20.0, rate=2.0, specs=None, policy=None):
    specs = specs or [Spec(0.1, 200.0)] * len(conditions)
    faults = [Fault(place, 0.0, 1e9, condition) for place, condition in enumerate(conditions) if condition]
    scenario = Scenario("test", seconds, specs, Traffic(rate=rate, burst=1.0), faults)
    requests = arrivals(scenario.traffic, seconds, random.Random(1))
    policy = policy or InOrder()
    gateway = Gateway(scenario, requests, Draws(len(specs), "test"), lambda world: policy)
    gateway.run(random.Random(1))
    return policy, requests, gateway.tally.figures(0)


def test_a_failure_before_content_is_tried_elsewhere():
    policy, requests, figures = run([DOWN, None])
    assert figures.success == 1.0
    assert sorted(policy.begun) == [(request.number, place) for request in requests for place in (0, 1)]


def test_three_endpoints_are_asked_at_most():
    policy, requests, figures = run([DOWN] * 4, rate=0.5)
    assert figures.success == 0.0
    assert len(policy.begun) == 3 * len(requests)
    assert (figures.p50_s, figures.cost_s) == (15.0, 15.0)


def test_what_broke_off_is_not_tried_elsewhere():
    policy, requests, figures = run([Condition(cut=1.0), None])
    assert len(policy.begun) == len(requests)
    assert figures.success == 0.0


def test_the_wait_for_a_silent_endpoint_is_part_of_what_the_caller_sees():
    policy, _, figures = run([BLACK_HOLE, None])
    assert 5.0 < figures.p50_s < 6.0
    assert Kind.TIMEOUT in policy.kinds


def test_who_knows_nobody_to_ask_refuses():
    class Helpless(InOrder):
        def order(self, now, worker, request):
            return ()

    _, _, figures = run([None], policy=Helpless())
    assert figures.success == 0.0


def test_an_attempt_that_waits_can_be_left_for_another():
    class Impatient(InOrder):
        def began(self, now, worker, attempt):
            super().began(now, worker, attempt)
            self.view.at(now + 1.0, self.view.leave, attempt)

    policy, requests, figures = run([BLACK_HOLE, None], policy=Impatient())
    assert figures.success == 1.0
    assert 1.0 < figures.p50_s < 2.0
    assert policy.kinds.count(Kind.LEFT) == len(requests)


def test_retries_are_a_fifth_of_the_requests_once_the_reserve_is_used():
    tokens = RetryTokens()
    taken = 0
    for _ in range(1000):
        tokens.request()
        taken += tokens.take(0.0)
    assert taken in (209, 210)  # 10 + 200, in floats
