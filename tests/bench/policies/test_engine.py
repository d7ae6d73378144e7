"""An engine has slots and a queue, and is the slower the fuller it is, as the simulator's is."""

import random

import pytest
from bench.policies.engine import Engine, Slots
from bench.policies.world import TOKENS


def test_who_finds_all_slots_taken_waits_for_the_first_that_is_free():
    slots = Slots(2, slope=0.0)
    assert [slots.take(0.0, first_s, 0.0)[0] for first_s in (3.0, 1.0, 1.0, 1.0)] == [0.0, 0.0, 1.0, 2.0]
    assert slots.take(4.0, 1.0, 0.0) == (0.0, 1.0)


def test_full_slots_are_slower_by_the_slope():
    slots = Slots(4, slope=1.0)
    assert [slots.take(0.0, 1.0, 0.0)[1] for _ in range(4)] == [1.25, 1.5, 1.75, 2.0]
    assert slots.take(0.0, 1.0, 0.0) == (1.25, 2.0)


def test_the_whole_reply_holds_its_slot():
    now = 0.0
    engine = Engine("e", first_token_s=1.0, spread=0.0, tokens_per_s=10.0, at=lambda: now, slots=Slots(1, 0.0))
    rng = random.Random(1)
    assert engine.draw(rng).first_token_s == 1.0
    waited = engine.draw(rng)
    assert waited.first_token_s == pytest.approx(1.0 + TOKENS * 0.1 + 1.0)
    assert waited.token_s == pytest.approx(0.1)
