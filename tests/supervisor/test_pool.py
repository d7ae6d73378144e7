"""The decisions, with processes that do only what the test says."""

import pytest

from fairlead.supervisor.pool import Pool
from fairlead.supervisor.worker import State


class Process:
    """Stands in for `Worker`."""

    control = None

    def __init__(self, slot, settings, now):
        self.slot, self.settings, self.started_at = slot, settings, now
        self.state = State.STARTING
        self.was_ready = False
        self.ending = ""
        self.told = []
        self.has_pulse = True

    def observe(self):
        pass

    def take_pulse(self):
        had, self.has_pulse = self.has_pulse, False
        return had

    def ready(self):
        self.state, self.was_ready = State.READY, True

    def end(self, ending="signal 9"):
        self.state, self.ending = State.ENDED, self.ending or ending

    def let_go(self):
        self.told.append("let go")

    def terminate(self):
        self.told.append("terminate")

    def kill(self):
        self.told.append("kill")

    def reap(self):
        self.end()


class Log(list):
    def info(self, event):
        self.append(event)

    warning = error = info


class World:
    def __init__(self, slots=2):
        self.log = Log()
        self.started = []
        self.now = 100.0
        self.pool = Pool(slots, self.start, "old", self.log)
        self.poll()

    def start(self, slot, settings, now):
        self.started.append(Process(slot, settings, now))
        return self.started[-1]

    def poll(self, after_s=0.0):
        self.now += after_s
        self.pool.poll(self.now)

    def serve(self):
        for process in self.started:
            process.ready()
        self.poll()
        assert self.pool.is_complete
        return self

    def take_started(self):
        started, self.started = self.started, []
        return started


@pytest.fixture
def world():
    return World()


@pytest.fixture
def serving():
    world = World().serve()
    world.first = world.take_started()
    return world


def test_starts_one_per_slot(world):
    assert [(process.slot, process.settings) for process in world.started] == [(0, "old"), (1, "old")]
    assert not world.pool.is_complete
    world.started[0].ready()
    world.poll()
    assert not world.pool.is_complete
    world.serve()
    assert world.log == []


def test_a_failed_start_before_anyone_was_served_is_final(world):
    world.started[0].ready()
    world.started[1].end("no cheese")
    world.poll()
    assert world.pool.failure == "worker 1 could not start: no cheese"


def test_a_start_that_takes_too_long_is_a_failed_one(world):
    world.started[0].ready()
    world.poll()
    assert world.pool.next_due() == world.now + 60
    world.poll(60)
    assert world.started[1].told == ["kill"]
    world.started[1].end()
    world.poll()
    assert world.pool.failure == "worker 1 could not start: not ready within 60 s"


def test_who_dies_is_replaced_sooner_after_a_long_life(serving):
    serving.first[1].end()
    serving.poll(1)
    serving.poll()
    [second] = serving.take_started()
    assert (second.slot, second.settings) == (1, "old")
    assert serving.log == ["worker 1 died (signal 9), starting another"]
    second.ready()
    second.end()
    serving.poll(1)
    assert serving.started == []
    assert serving.pool.next_due() == serving.now + 0.1
    serving.poll(0.1)
    [third] = serving.take_started()
    third.ready()
    third.end()
    serving.poll(10)
    assert serving.pool.next_due() == serving.now


def test_a_failed_restart_is_tried_again_while_others_serve(serving):
    for _ in range(5):
        serving.first[1].end("exit code 3")
        serving.poll()
        serving.poll(5)
        [serving.first[1]] = serving.take_started()
    assert serving.pool.failure is None
    assert serving.log[-1] == "worker 1 could not start (exit code 3), trying again"
    serving.first[0].end()
    serving.first[1].end("exit code 3")
    serving.poll()
    assert serving.pool.failure == "worker 1 could not start: exit code 3"


def test_who_leaves_is_replaced_at_once_and_may_finish(serving):
    leaving = serving.first[0]
    leaving.state = State.LEAVING
    serving.poll()
    serving.poll()
    [replacement] = serving.take_started()
    assert replacement.slot == 0
    assert leaving.told == []
    replacement.ready()
    serving.poll()
    assert serving.pool.is_complete
    serving.pool.stop()
    for process in (replacement, serving.first[1]):
        process.end("exit code 0")
    serving.poll()
    assert not serving.pool.is_empty
    leaving.end("exit code 0")
    serving.poll()
    assert serving.pool.is_empty


def test_roll_exchanges_one_slot_after_the_other(serving):
    serving.pool.roll("new")
    serving.poll()
    [first] = serving.take_started()
    assert (first.slot, first.settings, serving.first[0].told) == (0, "new", [])
    first.ready()
    serving.poll()
    assert [process.told for process in serving.first] == [["let go"], []]
    [second] = serving.take_started()
    assert (second.slot, second.settings) == (1, "new")
    second.ready()
    serving.poll()
    assert serving.first[1].told == ["let go"]
    assert not serving.pool.is_rolling
    assert serving.log == ["reloaded, 2 workers exchanged"]
    second.end()
    serving.poll()
    serving.poll()
    assert [process.settings for process in serving.started] == ["new"]


def test_roll_is_given_up_when_the_first_cannot_start(serving):
    serving.pool.roll("new")
    serving.poll()
    serving.started[0].end("no cheese")
    serving.poll()
    assert not serving.pool.is_rolling
    assert serving.pool.is_complete
    assert [process.told for process in serving.first] == [[], []]
    assert serving.log == ["reload given up, worker 0 could not start: no cheese"]


def test_roll_retreats_when_a_later_one_cannot_start(serving):
    serving.pool.roll("new")
    serving.poll()
    exchanged = serving.started[0]
    exchanged.ready()
    serving.poll()
    serving.started[1].end("no cheese")
    serving.take_started()
    serving.poll()
    [back] = serving.take_started()
    assert (back.slot, back.settings) == (0, "old")
    back.ready()
    serving.poll()
    assert exchanged.told == ["let go"]
    assert not serving.pool.is_rolling
    assert serving.log == ["reload given up, worker 1 could not start: no cheese"]
    serving.pool.roll("newer")
    serving.poll()
    assert serving.started[0].settings == "newer"


def test_who_dies_during_its_exchange_is_not_started_twice(serving):
    serving.pool.roll("new")
    serving.poll()
    [successor] = serving.take_started()
    serving.first[0].end()
    serving.poll(1)
    assert serving.started == []
    successor.ready()
    serving.poll()
    assert [process.slot for process in serving.started] == [1]


def test_stop_ends_all_and_starts_none(serving):
    serving.pool.roll("new")
    serving.poll()
    [successor] = serving.take_started()
    serving.pool.stop()
    everyone = [*serving.first, successor]
    assert [process.told for process in everyone] == [["terminate"]] * 3
    serving.first[0].state = State.LEAVING
    serving.poll(100)
    for process in everyone:
        assert not serving.pool.is_empty
        process.end("exit code 0")
        serving.poll()
    assert serving.pool.is_empty
    assert serving.started == []
    assert serving.pool.next_due() is None
    assert serving.log == []


def test_close_kills_and_waits(serving):
    serving.pool.close()
    assert [process.told for process in serving.first] == [["kill"], ["kill"]]
    serving.poll()
    assert serving.pool.is_empty


def test_the_pulse_of_all_is_that_of_each_that_serves(world):
    first, second = world.serve().started
    assert world.pool.take_pulse()
    first.has_pulse = True
    assert not world.pool.take_pulse(), "the second hangs"
    assert not world.pool.take_pulse(), "the first has said nothing new"
    first.has_pulse = second.has_pulse = True
    assert world.pool.take_pulse()
    second.end()
    world.poll()
    first.has_pulse = True
    assert world.pool.take_pulse(), "who died is being replaced"
