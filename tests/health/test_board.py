import copy
import math
import random

import pytest

from fairlead.health import sums
from fairlead.health import sums as ix
from fairlead.health.board import FLUSH_S, FORGOTTEN_S, IDLE_S, HealthBoard
from fairlead.health.breaker import BreakerLimits
from fairlead.health.endpoint import VERDICTS
from fairlead.health.merge import Probe
from fairlead.health.outcome import GONE, OK, RULES, Counts, Outcome, Verdict
from fairlead.health.record import Change, State, Why
from harness.fleet import Fleet

V = Verdict
FAILURE = Outcome(V.TRANSIENT, 500)
LIMITS = BreakerLimits(jitter=0.0)
A, B = "p:m", "q:m"


def fail(worker, times=5, endpoint=A):
    for _ in range(times):
        worker.end(worker.begin(endpoint), FAILURE)


def serve(worker, times=1, endpoint=A):
    for _ in range(times):
        attempt = worker.begin(endpoint)
        worker.first_token(attempt)
        worker.end(attempt, OK)


def fleet_of(workers, endpoints=(A, B), **how):
    """A fleet that has served a little everywhere, and knows it."""
    fleet = Fleet(workers, **how)
    for _ in range(2):  # the first to flush finds itself alone
        for worker in fleet.workers:
            for endpoint in endpoints:
                serve(worker, endpoint=endpoint)
        fleet.wait(0.2)
    return fleet


def flush_of(worker, group="m"):
    """What it would tell of the group now, or None."""
    return next((flush for flush in worker.board.flushes(worker.now) if flush.group == group), None)


def with_lease(workers=2, why=None):
    """A fleet in which the first worker holds a probe lease."""
    fleet = fleet_of(workers)
    fail(fleet.workers[0])
    fleet.wait(0.1)
    if why is not None:
        fleet.store.record(A).why = float(why)
    fleet.now += 1.0
    serve(fleet.workers[0], endpoint=B)
    fleet.sync()
    assert fleet.workers[0].health(A).probe_epoch
    return fleet


class TestOutcomes:
    @pytest.mark.parametrize("kind", V)
    @pytest.mark.parametrize("retry_after_s", [None, 7.5])
    def test_what_cools_down(self, kind, retry_after_s):
        board = HealthBoard()
        attempt = board.of(A, 1.0).begin(1.0, is_stream=True)
        board.end(attempt, Outcome(kind, retry_after_s=retry_after_s), 2.0)
        rule = RULES[kind]
        cooled = board.account("p") if rule.is_about_account else board.of(A)
        other = board.of(A) if rule.is_about_account else board.account("p")
        if rule.cool_s:
            assert cooled.cool_until == 2.0 + (retry_after_s or rule.cool_s)
            news = cooled.take_news(2.0)
            assert VERDICTS[news.cool_why] is kind
            assert news.does_cool_grow == (rule.does_cool_grow and retry_after_s is None)
        else:
            assert cooled.cool_until == 0.0
        assert other.cool_until == 0.0
        assert board.of(A).is_out(2.0) == bool(rule.cool_s)

    def test_a_403_may_be_about_this_model_only(self):
        board = HealthBoard()
        board.end(board.of(A, 1.0).begin(1.0, is_stream=True), Outcome(V.AUTH, 403), 1.0)
        assert board.of(A).is_out(1.0)
        assert not board.of("p:other").is_out(1.0)

    def test_a_refused_key_is_a_matter_of_all_the_providers_endpoints(self):
        board = HealthBoard()
        board.end(board.of(A, 1.0).begin(1.0, is_stream=True), Outcome(V.AUTH, 401), 1.0)
        assert board.of(A).is_out(1.0)
        assert board.of("p:other").is_out(1.0)
        assert not board.of("pp:m").is_out(1.0)
        assert not board.of(B).is_out(1.0)

    @pytest.mark.parametrize("kind", V)
    def test_what_the_fleet_must_hear_of_at_once(self, kind):
        board, calls = HealthBoard(), []
        board.urgent = lambda: calls.append(1)
        board.end(board.of(A, 1.0).begin(1.0, is_stream=True), Outcome(kind), 1.0)
        rule = RULES[kind]
        is_urgent = bool(rule.cool_s) or rule.counts in (Counts.FAILURE, Counts.BREAK)
        assert bool(calls) == is_urgent
        assert board.group("m").is_urgent == is_urgent

    def test_an_account_that_works_again_starts_anew(self):
        """Nothing succeeds at an account itself; its measure kept doubling until the store forgot it."""
        fleet = fleet_of(1)
        worker = fleet.workers[0]
        times = []
        for _ in range(3):
            worker.end(worker.begin(A), Outcome(V.AUTH, 401))
            fleet.wait(0.1)
            times.append(worker.health("@p").cool_until - worker.now + 0.1)
            fleet.now = worker.health("@p").cool_until - worker.origin
            if len(times) == 2:
                serve(worker)
                fleet.wait(0.1)
        assert times == pytest.approx([60.0, 120.0, 60.0], abs=0.2)

    def test_the_length_of_replies_is_followed(self):
        board = HealthBoard()
        attempt = board.of(A, 1.0).begin(1.0, is_stream=True)
        for _ in range(300):
            board.replied(attempt, 2.0, 1.5, 1_000)
        assert board.group("m").out_tokens == pytest.approx(1_000, rel=0.01)
        board.replied(attempt, 2.0, 1.5, 0)
        assert board.group("m").out_tokens == pytest.approx(1_000, rel=0.01)


class TestEndpoints:
    def test_a_new_one_is_healthy_and_as_its_group_is(self):
        fleet = Fleet(1)
        for _ in fleet.drive(A, 30.0, 20.0, lambda _: 2.0):
            pass
        fresh = fleet.workers[0].health("new:m")
        assert fresh.why_not(fleet.workers[0].now) is None
        assert fresh.estimate.first_token_s == pytest.approx(2.0, rel=0.2)

    def test_names_may_have_colons(self):
        board = HealthBoard()
        assert board.of("p:acme/large:free") in board.group("acme/large:free").endpoints.values()
        assert board.of("p:acme/large:free").account is board.account("p")

    def test_what_the_catalogue_no_longer_has_is_forgotten(self):
        board = HealthBoard()
        kept, dropped = board.of("a:m"), board.of("b:n")
        board.forget_all_but({"a:m", "c:m"})
        assert board.of("a:m") is kept
        assert "n" not in {group.name for group in board.groups}
        assert board.of("b:n") is not dropped

    def test_but_not_while_requests_are_under_way_there(self):
        board = HealthBoard()
        health = board.of(A, 1.0)
        attempt = health.begin(1.0, is_stream=True)
        board.forget_all_but(set())
        board.end(attempt, FAILURE, 2.0)
        assert board.of(A) is health
        board.forget_all_but(set())
        assert board.of(A) is not health

    def test_accounts_stay(self):
        board = HealthBoard()
        board.of(A)
        account = board.account("p")
        board.forget_all_but(set())
        assert board.account("p") is account

    def test_one_that_comes_back_is_heard_in_the_store(self):
        """Its group's flushes were numbered from 1 again, which the store took for repetitions."""
        fleet = fleet_of(1)
        worker = fleet.workers[0]
        for _ in range(20):
            serve(worker)
            fleet.wait(0.1)
        worker.board.forget_all_but(set())
        before = fleet.store.record(A).sums[ix.N120]
        serve(worker, 10)
        fleet.wait(0.1)
        assert fleet.store.record(A).sums[ix.N120] == pytest.approx(before + 10, rel=0.01)


class TestFlushes:
    def board(self):
        board = HealthBoard(LIMITS, rng=random.Random(1))
        self.now = 100.0
        return board

    def flush(self, board, after_s=0.0):
        self.now += after_s
        return board.flushes(self.now)

    def test_nothing_to_tell(self):
        board = self.board()
        board.of(A)
        assert self.flush(board) == []

    def test_what_is_new_every_tenth_of_a_second(self):
        fleet = Fleet(1)
        board = fleet.workers[0].board
        serve(fleet.workers[0])
        fleet.sync()
        serve(fleet.workers[0])
        assert board.flushes(fleet.now + 0.05) == []
        fleet.now += FLUSH_S
        flush = flush_of(fleet.workers[0])
        assert (flush.group, flush.number, flush.worker) == ("m", 2, "w0")
        assert flush.increments[A].sums[ix.N120] == 1.0

    def test_a_failure_at_once(self):
        fleet = Fleet(1)
        serve(fleet.workers[0])
        fleet.sync()
        fail(fleet.workers[0], 1)
        assert flush_of(fleet.workers[0]).increments[A].tail == 1

    def test_that_a_probe_is_under_way_at_once(self):
        fleet = with_lease()
        worker = fleet.workers[0]
        worker.begin(A)
        flush = flush_of(worker)
        assert flush.increments[A].used_epoch == fleet.store.record(A).epoch

    def test_many_workers_with_many_groups_flush_less_often(self):
        board = self.board()
        for number in range(10):
            board.of(f"p:m{number}").begin(self.now, is_stream=True)
            board.group(f"m{number}").fleet = 100
        assert len(self.flush(board)) == 10
        for group in board.groups:
            group.batch = None
        assert self.flush(board, 0.4) == []
        assert len(self.flush(board, 0.1)) == 10, "10 groups of 100 workers: 2 000 calls a second"

    def test_but_at_least_once_a_second(self):
        board = self.board()
        board.of(A).begin(self.now, is_stream=True)
        board.group("m").fleet = 1_000_000
        self.flush(board)
        board.group("m").batch = None
        assert len(self.flush(board, 1.0)) == 1

    def test_only_who_has_traffic_takes_probes(self):
        board = self.board()
        attempt = board.of(A).begin(self.now, is_stream=True)
        assert not self.flush(board)[0].can_probe
        board.asked("m", self.now)
        board.end(attempt, FAILURE, self.now)
        assert self.flush(board, 0.5)[0].can_probe
        assert not self.flush(board, 0.6)[0].can_probe

    def test_a_group_that_is_asked_for_is_read_once_a_second_for_a_minute(self):
        fleet = Fleet(1)
        worker = fleet.workers[0]
        worker.health(A)
        worker.board.asked("m", worker.now)
        read = []
        for _ in range(round(2 * FORGOTTEN_S / FLUSH_S)):
            fleet.now += FLUSH_S
            for flush in worker.board.flushes(worker.now):
                assert (flush.number, flush.can_probe, flush.increments) == (0, False, {})
                if flush.group == "m":
                    read.append(fleet.now)
                worker.board.learn(flush, fleet.store.merge(flush), worker.now)
        assert len(read) == pytest.approx(FORGOTTEN_S / IDLE_S, abs=2)
        assert max(read) < FORGOTTEN_S + 0.2
        assert fleet.store.record(A) is None

    def test_and_so_is_the_account(self):
        fleet = Fleet(2)
        one, other = fleet.workers
        other.does_hear = False
        for worker in fleet.workers:
            serve(worker)
        fleet.wait(2.0)
        one.end(one.begin(A), Outcome(V.QUOTA, 402))
        serve(other, endpoint=B)
        for _ in range(15):
            other.board.asked("m", other.now)
            fleet.wait(0.1)
        assert other.health(A).why_not(other.now).startswith("its account is cooling down for 5")

    def test_also_where_requests_come_without_a_pause(self):
        """Only the first request of a busy group counted as one for the accounts."""
        fleet = fleet_of(1)
        worker = fleet.workers[0]
        read = 0
        for _ in range(700):
            fleet.now += FLUSH_S
            worker.board.asked("m", worker.now)
            read += flush_of(worker, "@p") is not None
            worker.sync()
        assert read > 60

    def test_what_was_not_acknowledged_is_sent_again_unchanged_but_older(self):
        board = self.board()
        board.end(board.of(A, self.now).begin(self.now, is_stream=True), Outcome(V.LIMIT, 429, "", 30.0), self.now)
        (first,) = self.flush(board)
        number, kept = first.number, list(first.increments[A].sums)
        board.of(A).begin(self.now, is_stream=True)
        (second,) = self.flush(board, 2.0)
        assert second.number == number
        assert second.increments[A].sums == pytest.approx(sums.decayed(kept, 2.0))
        assert second.increments[A].cool_s == 28.0

    def test_what_happens_meanwhile_comes_with_the_next_number(self):
        fleet = Fleet(1)
        worker = fleet.workers[0]
        fail(worker, 1)
        worker.sync(loses_answers=True)
        fail(worker, 1)
        fleet.wait(0.3)
        assert fleet.store.record(A).sums[ix.F20] == pytest.approx(2.0, rel=0.02)
        assert fleet.store.record(A).failures_in_row == 2

    def test_an_answer_to_something_else_acknowledges_nothing(self):
        fleet = Fleet(1)
        worker = fleet.workers[0]
        fail(worker, 1)
        flush = flush_of(worker)
        reading = worker.board.reading("m", worker.now)
        worker.board.learn(reading, fleet.store.merge(reading), worker.now)
        fleet.now += FLUSH_S
        assert flush_of(worker).number == flush.number

    def test_an_answer_about_a_group_that_is_gone(self):
        fleet = Fleet(1)
        worker = fleet.workers[0]
        serve(worker)
        flush = flush_of(worker)
        worker.board.forget_all_but(set())
        worker.board.learn(flush, fleet.store.merge(flush), worker.now)
        assert "m" not in {group.name for group in worker.board.groups}


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
        match RULES[kind].counts:
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
        fleet.wait(0.3)
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
        fleet.store.is_up = False
        fail(fleet.workers[0])
        fleet.wait(0.5)
        fleet.store.is_up = True
        fleet.wait(0.2)
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


class TestSuspects:
    """Three of a provider's endpoints are out: the others need fewer failures to follow."""

    def fleet(self, out, well):
        names = [f"p:out{i}" for i in range(out)] + [f"p:well{i}" for i in range(well)]
        fleet = fleet_of(2, endpoints=(*names, "q:well0"))
        for i in range(out):
            fail(fleet.workers[0], endpoint=f"p:out{i}")
        fleet.wait(0.2)
        fleet.sync()
        return fleet

    @pytest.mark.parametrize(("out", "well", "is_suspect"), [
        (3, 1, True), (3, 2, True), (3, 3, False), (2, 1, False), (4, 2, True),
    ])  # fmt: skip
    def test_so_many_of_so_many(self, out, well, is_suspect):
        fleet = self.fleet(out, well)
        fail(fleet.workers[1], 2, "p:well0")
        fleet.wait(0.1)
        assert (fleet.store.record("p:well0").state == State.EJECTED) == is_suspect

    def test_other_providers_are_not(self):
        fleet = self.fleet(3, 1)
        fail(fleet.workers[1], 3, "q:well0")
        fleet.wait(0.1)
        assert fleet.store.record("q:well0").state == State.HEALTHY

    def test_it_is_over_when_they_are_back(self):
        fleet = self.fleet(3, 1)
        assert fleet.workers[1].health("p:well0").is_suspect
        fleet.now += 1.0
        for i in range(3):
            fleet.workers[0].board.asked(f"out{i}", fleet.workers[0].now)
            fleet.workers[0].health(f"p:out{i}").unsent = True
        fleet.wait(0.1)
        for i in range(3):
            probe = fleet.workers[0].begin(f"p:out{i}")
            assert probe.probe_epoch
            fleet.workers[0].first_token(probe)
            fleet.workers[0].end(probe, GONE)
        fleet.wait(0.2)
        assert not fleet.workers[1].health("p:well0").is_suspect
