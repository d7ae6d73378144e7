"""Boards and `merge` together: several workers, a store, and everything as it is meant to be."""

import math

import pytest

from fairlead.health.board import FLUSH_S
from fairlead.health.breaker import BreakerLimits
from fairlead.health.endpoint import VERDICTS
from fairlead.health.merge import Probe
from fairlead.health.outcome import OK, RULES, Counts, Outcome, Verdict
from fairlead.health.record import Change, State, Why
from harness.fleet import A, B, Fleet, fail, fleet_of, flush_of, serve, with_lease

V = Verdict
LIMITS = BreakerLimits(jitter=0.0)


class TestFleet:
    def test_failures_of_all_count_together(self):
        fleet = fleet_of(3)
        for worker, times in zip(fleet.workers, (2, 2, 1), strict=True):
            fail(worker, times)
            worker.sync()
        assert [worker.health(A).state for worker in fleet.workers] == [State.EJECTED] * 3

    def test_all_are_out_as_soon_as_it_is_published(self):
        fleet = fleet_of(2)
        fail(fleet.workers[0])
        fleet.workers[0].sync()
        other = fleet.workers[1]
        assert other.health(A).why_not(other.now) == "ejected for 1.0 s more (failures in a row)"
        assert other.health(B).why_not(other.now) is None

    def test_a_message_that_got_lost_is_made_up_for(self):
        fleet = fleet_of(2)
        other = fleet.workers[1]
        other.does_hear = False
        fail(fleet.workers[0])
        fleet.workers[0].sync()
        assert not other.health(A).is_out(other.now)
        serve(other, endpoint=B)
        fleet.wait(0.1)
        assert other.health(A).is_out(other.now)

    def test_a_cool_down_is_known_to_all(self):
        fleet = fleet_of(2)
        one, other = fleet.workers
        one.end(one.begin(A), Outcome(V.LIMIT, 429, "", 30.0))
        one.sync()
        assert other.health(A).why_not(other.now) == "cooling down for 30.0 s more (limit)"

    def test_in_flight_is_counted_over_all(self):
        """But for what the others have not told yet: up to a tenth of a second, of a sum that halves in half of one."""
        fleet = fleet_of(3)
        for worker in fleet.workers:
            for _ in range(4):
                worker.begin(A)
        fleet.wait(5.0)
        for worker in fleet.workers:
            known = worker.health(A).estimate
            assert known.in_flight == pytest.approx(12.0, rel=0.15)
            assert known.waiting == pytest.approx(12.0, rel=0.15)
            assert worker.health(A).fleet == 3

    def test_a_worker_that_died_is_gone_in_some_seconds(self):
        fleet = fleet_of(2)
        for worker in fleet.workers:
            worker.begin(A)
        fleet.wait(3.0)
        fleet.workers.pop()
        fleet.wait(5.0)
        assert fleet.workers[0].health(A).estimate.in_flight == pytest.approx(1.0, rel=0.02)
        fleet.wait(10.0)
        assert fleet.workers[0].health(A).fleet == 1


class TestHearing:
    def hear(self, worker, kind, seconds=0.0, why=0, epoch=99):
        worker.board.hear(Change("m", A, kind, seconds, why, epoch), worker.now)

    def worker(self):
        return fleet_of(1).workers[0]

    def test_each_kind(self):
        worker = self.worker()
        self.hear(worker, "ejected", 4.0, Why.SHARE, 1)
        assert worker.health(A).why_not(worker.now) == "ejected for 4.0 s more (share of failures)"
        self.hear(worker, "probing", 0.0, Why.SHARE, 2)
        assert worker.health(A).why_not(worker.now) == "being probed (share of failures)"
        self.hear(worker, "ejected", 8.0, Why.PROBE, 3)
        assert worker.health(A).why_not(worker.now) == "ejected for 8.0 s more (share of failures)"
        self.hear(worker, "recovered", 0.0, Why.NOTHING, 4)
        assert worker.health(A).why_not(worker.now) is None
        self.hear(worker, "cooling", 3.0, VERDICTS.index(V.LIMIT), 4)
        assert worker.health(A).why_not(worker.now) == "cooling down for 3.0 s more (limit)"
        self.hear(worker, "cooling", 1.0, VERDICTS.index(V.OVERLOAD), 4)
        assert worker.health(A).why_not(worker.now) == "cooling down for 3.0 s more (limit)"

    def test_an_older_one_says_nothing(self):
        worker = self.worker()
        self.hear(worker, "ejected", 4.0, Why.SHARE, 5)
        self.hear(worker, "recovered", epoch=5)
        self.hear(worker, "recovered", epoch=4)
        assert worker.health(A).state is State.EJECTED

    def test_a_recovery_has_the_numbers_read_at_once(self):
        worker = self.worker()
        self.hear(worker, "ejected", 4.0, Why.SHARE, 5)
        assert worker.board.flushes(worker.now) == []
        self.hear(worker, "recovered", epoch=6)
        assert [flush.group for flush in worker.board.flushes(worker.now)] == ["m"]

    @pytest.mark.parametrize("change", [
        Change("m", "unknown:m", "ejected", 1.0, 1, 1), Change("m", A, "a word of tomorrow", 1.0, 1, 99),
    ])  # fmt: skip
    def test_what_it_knows_nothing_of(self, change):
        """Workers of two versions share a store during a rolling update."""
        worker = self.worker()
        worker.board.hear(change, worker.now)
        assert worker.health(A).why_not(worker.now) is None

    def test_of_an_endpoint_that_it_has_never_read(self):
        fleet = Fleet(1)
        worker = fleet.workers[0]
        worker.health(A)
        self.hear(worker, "ejected", 4.0, Why.SHARE, 1)
        assert worker.health(A).state is State.HEALTHY

    def test_an_answer_that_was_under_way_does_not_undo_it(self):
        """What the store said before the change arrives after the message of it."""
        fleet = fleet_of(2)
        one, other = fleet.workers
        serve(other, endpoint=B)
        fleet.now += FLUSH_S
        flush = flush_of(other)
        answer = fleet.store.merge(flush)
        fail(one)
        one.sync()
        assert other.health(A).is_out(other.now)
        other.board.learn(flush, answer, other.now)
        assert other.health(A).is_out(other.now)
        assert other.health(A).available_at(other.now) == pytest.approx(other.now + 1.0)
        fleet.wait(0.2)
        assert (other.health(A).state, fleet.store.record(A).epoch) == (State.EJECTED, 1)

    def test_a_lease_goes_when_another_has_it(self):
        fleet = with_lease()
        worker = fleet.workers[0]
        assert not worker.health(A).is_out(worker.now)
        self.hear(worker, "probing", 0.0, Why.IN_A_ROW, int(fleet.store.record(A).epoch) + 1)
        assert worker.health(A).is_out(worker.now)


class TestProbe:
    def probe(self, fleet):
        return fleet.workers[0].begin(A)

    def test_one_worker_sends_one_request(self):
        fleet = with_lease(3)
        out = [worker.health(A).is_out(worker.now) for worker in fleet.workers]
        assert out == [False, True, True]
        assert self.probe(fleet).probe_epoch == 2
        assert [worker.health(A).is_out(worker.now) for worker in fleet.workers] == [True] * 3

    def test_it_must_be_used_while_the_store_keeps_it_for_this_worker(self):
        """And with time enough left to say so."""
        fleet = with_lease()
        worker = fleet.workers[0]
        fleet.now += 0.5 * LIMITS.lease_s
        assert not worker.health(A).is_out(worker.now)
        fleet.now += 0.45 * LIMITS.lease_s
        assert worker.health(A).is_out(worker.now)
        assert worker.begin(A).probe_epoch == 0

    def test_a_lease_that_came_late_is_not_longer(self):
        """It counts from when it was asked for: the store did not grant it before."""
        fleet = fleet_of(2)
        worker = fleet.workers[0]
        fail(worker)
        fleet.wait(0.1)
        fleet.now += 1.0
        serve(worker, endpoint=B)
        flush = flush_of(worker)
        answer = fleet.store.merge(flush)
        assert answer.granted
        fleet.now += LIMITS.lease_s
        worker.board.learn(flush, answer, worker.now)
        assert worker.health(A).is_out(worker.now)

    @pytest.mark.parametrize("why", [Why.IN_A_ROW, Why.SHARE, Why.SLOW])
    def test_content_is_enough(self, why):
        fleet = with_lease(why=why)
        fleet.workers[0].first_token(self.probe(fleet))
        fleet.sync()
        assert [worker.health(A).state for worker in fleet.workers] == [State.HEALTHY] * 2

    def test_content_that_comes_late_is_not_enough_of_one_that_was_too_slow(self):
        fleet = with_lease(why=Why.SLOW)
        probe = self.probe(fleet)
        fleet.wait(5.0 * fleet.workers[0].health(A).estimate.usual_s)
        fleet.workers[0].first_token(probe)
        fleet.sync()
        assert fleet.store.record(A).state == State.EJECTED
        assert fleet.store.record(A).why == Why.SLOW

    def test_content_is_not_enough_of_one_whose_replies_broke_off(self):
        fleet = with_lease(why=Why.BROKEN_OFF)
        probe = self.probe(fleet)
        fleet.workers[0].first_token(probe)
        fleet.sync()
        assert fleet.store.record(A).state == State.PROBING
        fleet.workers[0].end(probe, OK)
        fleet.sync()
        assert fleet.store.record(A).state == State.HEALTHY

    @pytest.mark.parametrize("kind", V)
    def test_how_it_ends(self, kind):
        fleet = with_lease()
        fleet.workers[0].end(self.probe(fleet), Outcome(kind, 400))
        fleet.sync()
        fleet.sync()
        record = fleet.store.record(A)
        # A probe is left only for taking too long.
        match Counts.FAILURE if kind is V.EVACUATED else RULES[kind].counts:
            case Counts.SUCCESS:
                assert record.state == State.HEALTHY
            case Counts.FAILURE | Counts.BREAK:
                assert (record.state, record.last_why) == (State.EJECTED, Why.PROBE)
                assert record.until - fleet.store.now == 2.0
            case Counts.NOTHING:
                assert record.state in (State.EJECTED, State.PROBING)
                assert record.until <= fleet.store.now, "another may try at once"

    def test_content_and_then_a_break_is_one_success(self):
        """The lease is over with the first; the break counts like any other."""
        fleet = with_lease()
        probe = self.probe(fleet)
        fleet.workers[0].first_token(probe)
        fleet.workers[0].end(probe, Outcome(V.CUT))
        fleet.sync()
        assert fleet.store.record(A).state == State.HEALTHY

    def test_a_report_that_did_not_arrive_is_made_again(self):
        fleet = with_lease()
        worker = fleet.workers[0]
        worker.first_token(self.probe(fleet))
        results = worker.board.results()
        assert [(endpoint, result) for _, endpoint, _, result in results] == [(A, Probe.OK)]
        assert worker.board.results() == []
        worker.board.keep_results(results)
        assert worker.board.results() == results

    def test_a_long_probe_keeps_its_lease(self):
        fleet = with_lease()
        probe = self.probe(fleet)
        fleet.wait(3 * LIMITS.probe_s)
        assert len(fleet.store.grants) == 1
        fleet.workers[0].end(probe, OK)
        fleet.sync()
        assert fleet.store.record(A).state == State.HEALTHY

    def test_a_worker_that_dies_with_it_holds_it_up_for_no_longer_than_a_request_may_take(self):
        fleet = with_lease()
        self.probe(fleet)
        fleet.sync()
        fleet.workers.pop(0)
        for _ in range(round(LIMITS.probe_s / FLUSH_S) + 2):
            serve(fleet.workers[0], endpoint=B)
            fleet.wait()
        assert [worker for worker, _, _ in fleet.store.grants] == ["w0", "w1"]


class TestEvacuation:
    """Who waits at an endpoint that has turned out to be stuck goes elsewhere, and does not wait for a time-out."""

    def stuck(self, fleet):
        """Let the endpoint serve for half a minute, and then nobody any more; return who has left within 4 s, where."""
        left = set()
        for _ in fleet.drive(B, 5.0, 20.0, lambda _: 0.3):
            pass
        end = fleet.now + 30.0
        for _ in fleet.drive(A, 34.0, 20.0, lambda at: 0.3 if at < end else math.inf):
            for worker in fleet.workers:
                for attempt in worker.health(A).waiting:
                    if attempt.leave is None and not attempt.has_left:
                        attempt.has_left = True
                        attempt.leave = lambda name=worker.name: left.add(name)
        return left

    def test_all_workers_leave(self):
        """The one that finds out, by the store's answer; the others by the message, or by their next reading."""
        fleet = fleet_of(3)
        fleet.workers[2].does_hear = False
        assert self.stuck(fleet) == {"w0", "w1", "w2"}
        assert fleet.store.record(A).why == Why.SLOW

    def test_without_the_store_too(self):
        fleet = fleet_of(1)
        fleet.store.is_up = False
        assert self.stuck(fleet) == {"w0"}

    def test_nobody_leaves_for_another_reason(self):
        fleet = fleet_of(2)
        left = []
        for worker in fleet.workers:
            worker.begin(A).leave = lambda name=worker.name: left.append(name)
        fleet.wait(2.0)
        fail(fleet.workers[0])
        fleet.wait(0.2)
        assert fleet.store.record(A).state == State.EJECTED
        assert left == []
