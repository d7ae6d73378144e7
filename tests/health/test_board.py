import random

import pytest

from fairlead.health import sums
from fairlead.health import sums as ix
from fairlead.health.board import FLUSH_S, FORGOTTEN_S, IDLE_S, HealthBoard
from fairlead.health.breaker import BreakerLimits
from fairlead.health.endpoint import VERDICTS
from fairlead.health.outcome import GONE, RULES, Counts, Outcome, Verdict
from fairlead.health.record import State
from harness.fleet import FAILURE, A, B, Fleet, fail, fleet_of, flush_of, serve, with_lease

V = Verdict
LIMITS = BreakerLimits(jitter=0.0)


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

    def test_a_403_about_money_is_a_matter_of_the_account(self):
        board = HealthBoard()
        board.end(board.of(A, 1.0).begin(1.0, is_stream=True), Outcome(V.QUOTA, 403), 1.0)
        assert board.of("p:other").is_out(1.0)

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

    def test_one_nobody_has_asked_is_as_its_group_turns_out_to_be(self):
        """It kept the time supposed before anything was known: beside fast ones it was never asked at all."""
        fleet = Fleet(1)
        idle = fleet.workers[0].health(B)
        for _ in fleet.drive(A, 30.0, 20.0, lambda _: 0.002):
            pass
        assert fleet.workers[0].health(B) is idle
        assert idle.estimate.first_token_s == idle.estimate.usual_s == pytest.approx(0.002, rel=0.2)
        assert idle.estimate.token_s == fleet.workers[0].board.group("m").prior.token_s

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
        for _ in range(110):
            other.board.asked("m", other.now)
            fleet.wait(0.1)
        assert other.health(A).why_not(other.now).startswith("its account is cooling down for 49")

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
        assert 7 <= read <= 8, "in 70 seconds; changes are pushed"

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
