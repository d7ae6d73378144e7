"""Boards whose store is away, comes back, or has forgotten what it knew."""

import copy
import math

import pytest

from fairlead.health import sums
from fairlead.health import sums as ix
from fairlead.health.outcome import Outcome, Verdict
from fairlead.health.record import State
from harness.fleet import FAILURE, A, B, Fleet, fail, fleet_of, serve, with_lease

V = Verdict


class TestAlone:
    """The store is away: each worker judges by itself, and what it does is not lost."""

    def test_it_needs_less_since_it_sees_less(self):
        for workers, needed in ((1, 5), (4, 3)):
            fleet = fleet_of(workers)
            fleet.store.is_up = False
            worker = fleet.workers[0]
            fail(worker, needed - 1)
            fleet.wait(0.1)
            assert not worker.health(A).is_out(worker.now)
            fail(worker, 1)
            fleet.wait(0.1)
            assert worker.health(A).is_out(worker.now)
            assert [change.kind for change in worker.changes] == ["ejected"]

    def test_the_failures_that_the_store_did_not_acknowledge_count(self):
        fleet = fleet_of(4)
        worker = fleet.workers[0]
        fleet.store.is_up = False
        fail(worker, 2)
        fleet.wait(0.1)
        fail(worker, 1)
        fleet.wait(0.1)
        assert worker.health(A).is_out(worker.now)

    def test_so_do_those_that_come_after_a_reading_that_was_not_answered(self):
        """They went into a batch for the store, and this worker did not see them."""
        fleet = fleet_of(4)
        worker = fleet.workers[0]
        fleet.store.is_up = False
        worker.board.asked("m", worker.now)
        fleet.wait(1.2)
        assert worker.board.group("m").alone is not None
        fail(worker, 3)
        fleet.wait(0.1)
        assert worker.health(A).is_out(worker.now)

    @pytest.mark.parametrize(("workers", "rests"), [(1, [1.0, 2.0, 4.0, 8.0, 8.0]), (8, [4.0, 8.0, 16.0, 32.0, 32.0])])
    def test_the_more_workers_the_rarer_its_probes(self, workers, rests):
        """Each of them probes."""
        fleet = fleet_of(workers)
        fleet.store.is_up = False
        worker = fleet.workers[0]
        fail(worker)
        fleet.wait(0.1)
        found = []
        while len(found) < len(rests):
            found.append(worker.health(A).available_at(worker.now) - worker.now)
            fleet.now += found[-1]
            serve(worker, endpoint=B)
            worker.sync()
            probe = worker.begin(A)
            assert probe.probe_epoch
            worker.end(probe, FAILURE)
            worker.sync()
        assert found == pytest.approx(rests)

    def test_one_probe_at_a_time(self):
        """A second one began when the first had been under way for a second."""
        fleet = fleet_of(2)
        fleet.store.is_up = False
        worker = fleet.workers[0]
        fail(worker)
        fleet.wait(1.1)
        serve(worker, endpoint=B)
        fleet.wait(0.1)
        probe = worker.begin(A)
        assert probe.probe_epoch
        for _ in range(30):
            serve(worker, endpoint=B)
            fleet.wait(0.1)
            assert worker.health(A).is_out(worker.now)
        worker.first_token(probe)
        fleet.wait(0.1)
        assert worker.health(A).state is State.HEALTHY

    def test_a_suspect_needs_fewer_failures(self):
        fleet = fleet_of(4, endpoints=(A, B, "p:m1", "p:m2", "p:m3"))
        fleet.store.is_up = False
        worker = fleet.workers[0]
        for endpoint in ("p:m1", "p:m2", "p:m3"):
            fail(worker, endpoint=endpoint)
        fleet.wait(0.2)
        fail(worker, 2)
        fleet.wait(0.1)
        assert worker.health(A).is_out(worker.now)

    def test_what_is_under_way_stands_for_all(self):
        fleet = fleet_of(4)
        fleet.store.is_up = False
        worker = fleet.workers[0]
        for _ in range(3):
            worker.begin(A)
        fleet.wait(5.0)
        assert worker.health(A).estimate.in_flight == pytest.approx(12.0, rel=0.1)

    def test_what_is_under_way_is_counted_once(self):
        """What has begun since the last tick comes on top of what the tick has counted, and nothing else does."""
        fleet = fleet_of(4)
        fleet.store.is_up = False
        worker = fleet.workers[0]
        for _ in range(3):
            worker.begin(A)
            fleet.wait(0.1)
        health = worker.health(A)
        assert (health.in_flight - health.sent_in_flight, health.started) == (0, 0)
        worker.begin(A)
        assert (health.in_flight - health.sent_in_flight, health.started) == (1, 1)

    def test_estimates_go_on(self):
        fleet = fleet_of(1)
        for _ in fleet.drive(A, 10.0, 30.0, lambda _: 0.3):
            pass
        fleet.store.is_up = False
        for _ in fleet.drive(A, 10.0, 30.0, lambda _: 2.0):
            pass
        assert fleet.workers[0].health(A).estimate.first_token_s > 1.5

    def test_however_long_it_takes(self):
        """The backlog is a vector per endpoint."""
        fleet = fleet_of(1)
        worker = fleet.workers[0]
        fleet.store.is_up = False
        for _ in range(2_000):
            serve(worker)
            fail(worker, 1)
            fleet.now += 10.0
            worker.sync()
        health = worker.health(A)
        assert len(health.backlog) == sums.COUNT
        assert all(math.isfinite(value) for value in health.backlog)
        fleet.store.is_up = True
        fleet.wait(0.3)
        alike = 1.0 / (1.0 - 2.0 ** (-10.0 / 120.0))
        assert fleet.store.record(A).sums[ix.N120] == pytest.approx(alike, rel=0.07)

    def test_no_store_at_all(self):
        """From the first request on."""
        fleet = Fleet(1)
        fleet.store.is_up = False
        worker = fleet.workers[0]
        for _ in fleet.drive(A, 20.0, 20.0, lambda _: 2.0):
            pass
        assert worker.health(A).estimate.usual_s == pytest.approx(2.0, rel=0.2)
        fail(worker)
        fleet.wait(0.1)
        assert worker.health(A).is_out(worker.now)


class TestReturn:
    def test_nothing_is_lost_and_nothing_counted_twice(self):
        fleet = fleet_of(2)
        before = fleet.store.record(A).sums[ix.N120]
        for state in (False, True, False, True):
            fleet.store.is_up = state
            for worker in fleet.workers:
                serve(worker, 5)
            fleet.wait(0.3)
        assert fleet.store.record(A).sums[ix.N120] == pytest.approx(before + 40, rel=0.02)

    def test_the_fleets_word_counts_again(self):
        fleet = fleet_of(4)
        one = fleet.workers[0]
        one.is_cut_off = True
        fail(one, 3)
        fleet.wait(0.1)
        assert one.health(A).is_out(one.now)
        for worker in fleet.workers[1:]:
            serve(worker, 20)
        fleet.wait(0.2)
        one.is_cut_off = False
        fleet.wait(0.3)
        assert one.health(A).state is State.HEALTHY
        serve(fleet.workers[1])
        fleet.wait(0.1)
        assert fleet.store.record(A).state == State.HEALTHY

    def test_at_once(self):
        """What the fleet has to be told does not wait for the next news."""
        fleet = fleet_of(2)
        worker = fleet.workers[0]
        fleet.store.is_up = False
        serve(worker)
        fleet.wait(0.2)
        fail(worker)
        fleet.wait(0.2)
        fleet.store.is_up = True
        fleet.wait(0.1)  # what had been sent when it went away is acknowledged
        assert fleet.store.record(A).state == State.HEALTHY
        worker.sync()
        assert fleet.store.record(A).state == State.EJECTED

    def test_a_cool_down_that_is_over_is_not_told_as_new(self):
        fleet = fleet_of(2)
        fleet.store.is_up = False
        worker = fleet.workers[0]
        worker.end(worker.begin(A), Outcome(V.LIMIT, 429, "", 5.0))
        worker.end(worker.begin(B), Outcome(V.LIMIT, 429, "", 50.0))
        fleet.wait(20.0)
        fleet.store.is_up = True
        fleet.wait(0.3)
        other = fleet.workers[1]
        assert not other.health(A).is_out(other.now)
        assert other.health(B).available_at(other.now) == pytest.approx(other.now + 30.0, abs=0.5)

    def test_a_lone_probe_means_nothing_to_the_store(self):
        """Its epoch was that of a lease which the store had granted to another meanwhile, and ended it."""
        fleet = fleet_of(2)
        one, other = fleet.workers
        fail(one)
        fleet.wait(0.1)
        one.is_cut_off = True
        serve(one, endpoint=B)
        fleet.wait(1.2)
        serve(one, endpoint=B)
        serve(other, endpoint=B)
        fleet.wait(0.1)
        lone, lent = one.begin(A), other.begin(A)
        assert lone.probe_epoch
        assert lent.probe_epoch
        one.is_cut_off = False
        fleet.wait(0.3)
        one.first_token(lone)
        fleet.wait(0.1)
        assert fleet.store.record(A).state == State.PROBING
        assert one.health(A).is_out(one.now)
        other.first_token(lent)
        fleet.wait(0.1)
        assert fleet.store.record(A).state == State.HEALTHY

    def test_nor_is_a_lease_of_another_taken_for_a_lone_one(self):
        fleet = fleet_of(2)
        one, other = fleet.workers
        fail(one)
        fleet.wait(0.1)
        one.is_cut_off = True
        serve(one, endpoint=B)
        fleet.wait(1.0)
        serve(one, endpoint=B)
        serve(other, endpoint=B)
        fleet.wait(0.1)
        assert not one.health(A).is_out(one.now), "its own judgement"
        assert not other.health(A).is_out(other.now)
        one.is_cut_off = False
        one.sync()
        assert one.health(A).is_out(one.now)
        assert not other.health(A).is_out(other.now)

    def test_a_probe_of_the_store_that_ended_meanwhile_is_told(self):
        fleet = with_lease()
        one = fleet.workers[0]
        probe = one.begin(A)
        fleet.sync()
        fleet.store.is_up = False
        fleet.wait(0.5)
        one.first_token(probe)
        fleet.wait(0.5)
        assert not one.health(A).is_out(one.now), "it knows best itself"
        fleet.store.is_up = True
        fleet.wait(0.3)
        assert fleet.store.record(A).state == State.HEALTHY


class TestForgetfulStore:
    """It comes back empty, or with what it knew some time ago."""

    @pytest.mark.parametrize("workers", [1, 3])
    @pytest.mark.parametrize("is_away", [False, True])
    def test_the_workers_give_it_back_together(self, workers, is_away):
        fleet = fleet_of(workers)
        for _ in fleet.drive(A, 20.0, 20.0, lambda _: 0.5):
            pass
        fleet.wait(5.0)
        for worker in fleet.workers:
            serve(worker, endpoint=B)
        fleet.wait(2.0)
        known, at = fleet.store.record(A).sums, fleet.store.record(A).at
        if is_away:
            fleet.store.is_up = False
            fleet.wait(3.0)
            fleet.store.is_up = True
        fleet.store.forget()
        for _ in range(15):
            for worker in fleet.workers:
                worker.board.asked("m", worker.now)
            fleet.wait(0.1)
        record = fleet.store.record(A)
        for index in (ix.E120, ix.N120, ix.A20, ix.S60, ix.E20):
            expected = sums.decayed(known, fleet.store.now - at)[index]
            assert sums.decayed(record.sums, fleet.store.now - record.at)[index] == pytest.approx(expected, rel=1e-6)

    def test_an_ejection_is_not_forgotten_and_not_made_shorter(self):
        """Of the eight seconds that were left a tenth of one was."""
        fleet = fleet_of(3)
        fail(fleet.workers[0])
        fleet.wait(0.1)
        fleet.store.record(A).until += 7.0
        fleet.wait(1.2)
        for worker in fleet.workers:
            assert worker.health(A).is_out(worker.now)
        left_s = fleet.store.record(A).until - fleet.store.now
        epoch = fleet.store.record(A).epoch
        fleet.store.forget()
        for _ in range(15):
            for worker in fleet.workers:
                serve(worker, endpoint=B)
            fleet.wait(0.1)
            for worker in fleet.workers:
                assert worker.health(A).is_out(worker.now)
        record = fleet.store.record(A)
        assert (record.state, record.epoch) == (State.EJECTED, epoch)
        assert record.until - fleet.store.now == pytest.approx(left_s - 1.5, abs=0.11)

    def test_a_cool_down_neither(self):
        fleet = fleet_of(2)
        worker = fleet.workers[0]
        worker.end(worker.begin(A), Outcome(V.LIMIT, 429, "", 30.0))
        fleet.wait(0.2)
        fleet.store.forget()
        for _ in range(15):
            for worker in fleet.workers:
                serve(worker, endpoint=B)
            fleet.wait(0.1)
        assert fleet.store.record(A).cool_until - fleet.store.now == pytest.approx(28.3, abs=0.2)

    def test_a_new_ejection_is_known_to_one_that_has_yet_to_remind_it(self):
        fleet = fleet_of(2)
        one, other = fleet.workers
        fleet.store.record(A).epoch = 7.0
        fleet.wait(1.5)
        assert other.health(A).record.epoch == 7
        fleet.store.forget()
        fail(one, 5)
        one.sync()
        other.does_hear = False
        serve(other, endpoint=B)
        fleet.wait(0.1)
        assert other.health(A).is_out(other.now)

    def test_a_store_that_lost_its_last_second_is_reminded_of_an_ejection(self):
        """A failover: the records are those of before, and so are their epochs."""
        fleet = fleet_of(2)
        saved = copy.deepcopy(fleet.store.groups)
        fail(fleet.workers[0])
        fleet.wait(0.1)
        assert fleet.store.record(A).state == State.EJECTED
        fleet.store.groups = saved
        for worker in fleet.workers:
            serve(worker, endpoint=B)
        fleet.wait(0.2)
        record = fleet.store.record(A)
        assert (record.state, record.epoch) == (State.EJECTED, 1)
        assert record.until - fleet.store.now == pytest.approx(0.7, abs=0.11)
        for worker in fleet.workers:
            assert worker.health(A).is_out(worker.now)
