"""Simulated time: in order, and only as far as somebody wants."""

from bench.simulate.events import Loop


def test_calls_come_in_the_order_of_their_times_and_then_of_their_asking():
    loop, seen = Loop(), []
    for when, word in [(2.0, "late"), (1.0, "first"), (1.0, "second")]:
        loop.at(when, lambda word: seen.append((loop.now, word)), word)
    loop.run()
    assert seen == [(1.0, "first"), (1.0, "second"), (2.0, "late")]


def test_a_call_for_a_time_that_has_passed_is_made_now():
    loop, seen = Loop(), []
    loop.at(3.0, lambda: loop.at(1.0, lambda: seen.append(loop.now)))
    loop.run()
    assert seen == [3.0]


def test_after_a_stop_nothing_more_happens():
    loop, seen = Loop(), []
    loop.at(1.0, loop.stop)
    loop.at(1.0, seen.append, "too late")
    loop.run()
    assert seen == []
