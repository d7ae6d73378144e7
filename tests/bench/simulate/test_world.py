"""An endpoint takes the time, the slots and the failures that it is described to have."""

import pytest
from bench.simulate.attempt import Attempt, Kind
from bench.simulate.draws import Draw
from bench.simulate.events import Loop
from bench.simulate.faults import BLACK_HOLE, DOWN, Condition, Fault, timeline
from bench.simulate.requests import Request
from bench.simulate.world import IDLE_LIMIT_S, Spec, World

AVERAGE = Draw(service=1.0, speed=1.0, error=0.5, refusal=0.5, silence=0.5, cut=0.5, part=0.5)
SPEC = Spec(service_s=0.4, tokens_per_s=100.0, rtt_s=0.05, prefill_per_s=10_000.0)


class Listener:
    """A caller that writes down what it is told: time of the first token, time and kind of the end."""

    def __init__(self, spec, condition=None):
        self.loop = Loop()
        faults = [Fault(0, 0.0, 1e9, condition)] if condition else []
        self.world = World(self.loop, [spec], faults, self)
        self.told = {}

    def ask(self, at=0.0, number=0, session=None, prefix_tokens=0):
        request = Request(number, at, 0, 1_000, 200, 200.0, session, prefix_tokens, stays_for=1.0)
        attempt = Attempt(request, 0, 0, 1, (), at, at + 5.0, AVERAGE)
        self.loop.at(at, self.world.ask, attempt)
        return attempt

    def first_token(self, attempt):
        pass

    def ended(self, attempt, outcome):
        self.told[attempt.request.number] = (attempt.first_token_at, self.loop.now, outcome)

    def run(self):
        self.loop.run()
        return [self.told[number] for number in sorted(self.told)]


def test_first_token_and_generation_take_what_was_described():
    listener = Listener(SPEC)
    listener.ask()
    [(first_at, ended_at, outcome)] = listener.run()
    assert first_at == pytest.approx(0.05 + 0.4 + 0.1)
    assert ended_at == pytest.approx(first_at + 2.0)
    assert (outcome.kind, outcome.tokens, outcome.generation_s) == (Kind.OK, 200, pytest.approx(2.0))


@pytest.mark.parametrize(
    ("condition", "kind", "ended_at"),
    [
        pytest.param(DOWN, Kind.ERROR, 0.05, id="down"),
        pytest.param(BLACK_HOLE, Kind.TIMEOUT, 5.0, id="black-hole"),
        pytest.param(Condition(error=0.6), Kind.ERROR, 0.05 + 0.5 * 0.4, id="failing"),
        pytest.param(Condition(limited=0.6), Kind.LIMITED, 0.05, id="limited"),
        pytest.param(Condition(slow=20.0), Kind.TIMEOUT, 5.0, id="too-slow"),
        pytest.param(Condition(cut=0.6), Kind.CUT, 0.55 + 1.0, id="cut"),
        pytest.param(Condition(stall=0.6), Kind.CUT, 0.55 + 1.0 + IDLE_LIMIT_S, id="stall"),
    ],
)
def test_each_fault_ends_an_attempt_in_its_way(condition, kind, ended_at):
    listener = Listener(SPEC, condition)
    listener.ask()
    [(_, at, outcome)] = listener.run()
    assert (outcome.kind, at) == (kind, pytest.approx(ended_at))


def test_who_finds_no_slot_waits_for_one():
    listener = Listener(Spec(service_s=0.4, tokens_per_s=100.0, rtt_s=0.05, prefill_per_s=10_000.0, slots=1))
    listener.ask(number=0)
    listener.ask(number=1)
    (_, first_end, _), (second_token, _, _) = listener.run()
    assert second_token == pytest.approx(first_end + 0.55)


def test_who_waits_too_long_leaves_the_queue():
    listener = Listener(Spec(service_s=0.4, tokens_per_s=20.0, slots=1))
    for number in range(3):
        listener.ask(number=number)
    kinds = [outcome.kind for _, _, outcome in listener.run()]
    assert kinds == [Kind.OK, Kind.TIMEOUT, Kind.TIMEOUT]
    assert listener.world.of(0).active == 0


def test_full_slots_are_slower():
    spec = Spec(service_s=0.4, tokens_per_s=100.0, rtt_s=0.0, prefill_per_s=1e9, slots=2, slope=1.0)
    listener = Listener(spec)
    listener.ask(number=0)
    listener.ask(number=1)
    (alone, _, _), (with_another, _, _) = listener.run()
    assert alone == pytest.approx(0.6, rel=1e-3)
    assert with_another == pytest.approx(0.8, rel=1e-3)


def test_above_its_rate_it_refuses_and_says_for_how_long():
    listener = Listener(Spec(service_s=0.1, tokens_per_s=1000.0, limit_hz=2.0))
    for number, at in enumerate([0.0, 0.1, 0.2, 2.0]):
        listener.ask(at=at, number=number)
    outcomes = [outcome for _, _, outcome in listener.run()]
    assert [outcome.kind for outcome in outcomes] == [Kind.OK, Kind.OK, Kind.LIMITED, Kind.OK]
    assert outcomes[2].retry_after_s == 2.0


def test_a_prompt_that_is_kept_need_not_be_read_again():
    listener = Listener(Spec(service_s=0.4, tokens_per_s=100.0, rtt_s=0.0, prefill_per_s=10_000.0, has_cache=True))
    listener.ask(at=0.0, number=0, session=7)
    listener.ask(at=10.0, number=1, session=7, prefix_tokens=800)
    listener.ask(at=20.0, number=2, session=8, prefix_tokens=800)
    first, again, other = [
        (at - 10.0 * number, out.cached_tokens) for number, (at, _, out) in enumerate(listener.run())
    ]
    assert first == (pytest.approx(0.5), 0)
    assert again == (pytest.approx(0.42), 800)
    assert other == (pytest.approx(0.5), 0)


def test_who_is_given_up_leaves_its_slot_and_is_not_heard_of_again():
    listener = Listener(Spec(service_s=0.4, tokens_per_s=100.0, rtt_s=0.0, prefill_per_s=1e9, slots=1))
    given_up = listener.ask(number=0)
    listener.ask(number=1)
    listener.loop.at(0.1, listener.world.of(0).abandon, given_up)
    [(first_at, _, outcome)] = listener.run()
    assert outcome.kind is Kind.OK
    assert first_at == pytest.approx(0.1 + 0.4, rel=1e-3)


def test_faults_that_overlap_add_up():
    faults = [Fault(0, 1.0, 3.0, Condition(slow=2.0, error=0.5)), Fault(0, 2.0, 4.0, Condition(slow=3.0, error=0.5))]
    found = [(at, condition.slow, condition.error) for at, condition in timeline(faults, 0)]
    assert found == [(1.0, 2.0, 0.5), (2.0, 6.0, 0.75), (3.0, 3.0, 0.5), (4.0, 1.0, 0.0)]
