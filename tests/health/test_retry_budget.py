from fairlead.health.retry_budget import RetryBudget


def allowed(budget, requests, per_second, fleet=1, *, failing=True):
    """How many of so many requests, at that rate, may be tried again."""
    granted, now = 0, 1000.0
    for _ in range(requests):
        now += 1 / per_second
        budget.earn(now, fleet)
        granted += failing and budget.take(1.0)
    return granted


def test_an_outage_is_not_answered_with_more_load():
    """1 000 requests/s, all failing: 15 % of them and 10/s are tried again, beside what had been saved."""
    granted = allowed(RetryBudget(), 10_000, 1000)
    assert 0.15 * 10_000 <= granted <= 0.15 * 10_000 + 10 * 10 + 20


def test_with_little_traffic_everything_may_be_tried_again():
    assert allowed(RetryBudget(), 300, 5) == 300


def test_what_comes_with_time_is_shared_by_the_fleet():
    alone = allowed(RetryBudget(tokens=0.0), 1000, 100)
    shared = allowed(RetryBudget(tokens=0.0), 1000, 100, fleet=10)
    assert alone - 150 > 9 * (shared - 150) > 0


def test_a_dear_retry_is_not_granted_by_halves():
    budget = RetryBudget(tokens=1.5)
    assert not budget.take(2.0)
    assert budget.tokens == 1.5
    assert budget.take(1.0)


def test_it_never_holds_more_than_its_burst():
    budget = RetryBudget(tokens=0.0)
    budget.earn(1.0, 1)
    budget.earn(1e9, 1)
    assert budget.tokens == budget.burst
    assert budget.is_half_full
    assert budget.take(15.0)
    assert not budget.is_half_full


def test_a_clock_that_steps_back_takes_nothing_away():
    budget = RetryBudget(tokens=5.0)
    budget.earn(100.0, 1)
    budget.earn(50.0, 1)
    assert budget.tokens >= 5.0


def test_what_is_left_comes_back_with_time_though_nobody_asks():
    budget = RetryBudget(tokens=0.0, at=1000.0)
    assert [budget.left(1000.0 + seconds, 4) for seconds in (0.0, 2.0, 60.0)] == [0.0, 5.0, 20.0]
    assert budget.tokens == 0.0
