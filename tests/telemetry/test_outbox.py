import itertools
import threading

import pytest

from fairlead import clock
from fairlead.telemetry import outbox
from fairlead.telemetry.outbox import AT_ONCE, Outbox
from fairlead.telemetry.record import ExchangeRecord
from harness.process import PATIENCE_S, until
from harness.tracing import begin_trace


def records(count):
    return [ExchangeRecord(f"gen-{n}", "r", 1.0, 2.0, trace=begin_trace([])) for n in range(count)]


def names(spans):
    return [span.attributes["fairlead.generation.id"] for span in spans]


class Receiver:
    """Takes spans; holds on to each sending while it is `closed`, and then says `fault`."""

    def __init__(self):
        self.taken = []
        self.fault = ""
        self.open = threading.Event()
        self.open.set()
        self.is_asked = threading.Event()

    def __call__(self, spans):
        self.is_asked.set()
        assert self.open.wait(PATIENCE_S)
        self.taken.append(names(spans))
        if isinstance(self.fault, Exception):
            raise self.fault
        return self.fault


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.open.set()


@pytest.fixture
def box(receiver):
    box = Outbox(receiver)
    yield box
    receiver.open.set()
    box.close(PATIENCE_S)


def test_what_is_put_is_sent_in_order(box, receiver):
    box.put(records(3))
    until(lambda: box.sent == 3)
    assert receiver.taken == [["gen-0", "gen-1", "gen-2"]]
    assert (box.dropped, box.fault) == (0, "")


def test_what_waits_is_sent_in_pieces(box, receiver):
    receiver.open.clear()
    box.put(records(1))
    assert receiver.is_asked.wait(PATIENCE_S)
    box.put(records(AT_ONCE + 1))
    receiver.open.set()
    until(lambda: box.sent == AT_ONCE + 2)
    assert [len(one) for one in receiver.taken] == [1, AT_ONCE, 1]


@pytest.mark.parametrize(("fault", "told"), [("it answers 401", "it answers 401"), (OSError("secret"), "OSError")])
def test_what_nobody_takes_is_dropped_and_the_next_is_sent(box, receiver, fault, told):
    receiver.fault = fault
    box.put(records(2))
    until(lambda: box.dropped == 2)
    assert (box.sent, box.fault) == (0, told)
    receiver.fault = ""
    box.put(records(1))
    until(lambda: box.sent == 1)
    assert box.fault == ""


def test_while_nobody_answers_only_so_much_is_kept(box, receiver, monkeypatch):
    monkeypatch.setattr(outbox, "MOST_WAITING", 5)
    receiver.open.clear()
    box.put(records(1))
    assert receiver.is_asked.wait(PATIENCE_S)
    box.put(records(8))
    assert box.dropped == 3
    receiver.open.set()
    until(lambda: box.sent == 6)


def test_who_has_worked_much_rests_until_the_end(receiver, monkeypatch):
    monkeypatch.setattr(clock, "thread_cpu", itertools.count(0, 1000).__next__)
    box = Outbox(receiver)
    box.put(records(1))
    until(lambda: box.sent == 1)
    box.put(records(2))
    assert len(box._waiting) == 2, "for 3000 s"
    box.close(PATIENCE_S)
    assert (box.sent, box.dropped) == (3, 0)


def test_what_waits_at_the_end_is_sent(receiver):
    box = Outbox(receiver)
    receiver.open.clear()
    box.put(records(AT_ONCE + 5))
    assert receiver.is_asked.wait(PATIENCE_S)
    receiver.open.set()
    box.close(PATIENCE_S)
    assert (box.sent, box.dropped) == (AT_ONCE + 5, 0)


def test_the_end_does_not_wait_for_who_never_answers(receiver):
    box = Outbox(receiver)
    receiver.open.clear()
    box.put(records(AT_ONCE + 5))
    assert receiver.is_asked.wait(PATIENCE_S)
    box.close(0.0)
    waiting = 5 if box.sent == 0 else 0
    assert box.dropped == waiting
    box.put(records(2))
    assert box.dropped == waiting + 2, "after the end nothing is kept"


def test_a_record_that_cannot_be_told_is_dropped(box, receiver):
    [bad] = records(1)
    bad.attempts = None
    box.put([bad])
    until(lambda: box.dropped == 1)
    box.put(records(1))
    until(lambda: box.sent == 1)
