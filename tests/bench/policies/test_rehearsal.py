"""The simulator plays what the processes play."""

from bench.policies.rehearsal import Trial, rehearsed, run
from bench.policies.world import PRICES, SCENARIOS, paid_nanos
from bench.simulate.policies import PRODUCT


def test_what_is_paid_is_the_price_of_who_answered():
    answers = run(SCENARIOS["price mix"](7.0), "random", 1)
    assert {answer.paid_nanos for answer in answers} == {round(paid_nanos(price)) for price in PRICES}


def test_who_looks_at_prices_pays_less_than_who_does_not():
    ours, others = (rehearsed(Trial("price mix", 9.0, policy)).together for policy in (PRODUCT, "lowest-latency"))
    assert ours.paid_nanos < others.paid_nanos
    assert ours.cost_s < others.cost_s


def test_bursts_fill_the_engines():
    calm, bursting = (rehearsed(Trial(name, 9.0, "round-robin")).together for name in ("steady", "burst"))
    assert bursting.p99_s > calm.p99_s
