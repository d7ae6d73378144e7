"""What a worker tells and knows of its percentiles, against a store of a few lines; the real one has its own tests."""

import copy
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.health.board import FORGOTTEN_S, HealthBoard
from fairlead.health.histogram import BUCKETS, FIRST_TOKEN, HALF_LIFE_S, SPEED, add, decayed
from fairlead.health.minutes import DAY, DAYS_S, NO_UPTIME, Day, Uptime, judged
from fairlead.health.minutes import add as add_minutes
from fairlead.health.outcome import GONE, OK, Outcome, Verdict
from fairlead.health.percentiles import READ_S, RESTORER, TICK_S, Percentiles, Seen, Stored

MODEL = "acme/large"
A, B = f"a:{MODEL}", f"b:{MODEL}"
PRECISION = 0.049
TENTH, FIFTH = (FIRST_TOKEN.bucket(math.log(seconds)) for seconds in (0.1, 0.2))
FIFTY = SPEED.bucket(math.log(50.0))
"""Of these first-token times and of this speed."""


class Shelf:
    """A store that does what it should."""

    def __init__(self):
        self.lives = 0
        self.empty()

    def empty(self):
        self.lives += 1
        self.counts = {}
        self.seen = {}
        self.minutes = {}

    def add(self, batch, now):
        if batch.number > self.seen.get(batch.worker, 0):
            self.seen[batch.worker] = batch.number
            for endpoint_id, news in batch.news.items():
                at, counts = self.counts.get(endpoint_id, (now, {}))
                counts = decayed(counts, now - at)
                add(counts, news)
                self.counts[endpoint_id] = now, counts
            for endpoint_id, tried in batch.minutes.items():
                add_minutes(self.minutes.setdefault(endpoint_id, {}), tried)
        born = f"life {self.lives}" if self.seen else ""
        days = {endpoint_id: self.day(endpoint_id, now) for endpoint_id in batch.asks}
        return Stored(now, born, copy.deepcopy(self.counts), days)

    def day(self, endpoint_id, now):
        last, minutes = int(now // 60), self.minutes.get(endpoint_id, {})
        return Day(last, b"".join(judged(*minutes.get(m, (0, 0))) for m in range(last - DAY + 1, last + 1)))


class Worker:
    """Its clock is `ahead` of the store's."""

    def __init__(self, shelf, name="w", ahead=0.0):
        self.shelf = shelf
        self.ahead = ahead
        self.board = HealthBoard(worker=name)
        self.percentiles = Percentiles(self.board, name)

    def ask(self, now):
        self.board.asked(MODEL, now + self.ahead)

    def meet(self, now):
        """Hear from the store for the first time."""
        self.ask(now)
        self.tick(now)

    def end(self, now, outcome=OK, times=1, endpoint_id=A):
        """Make attempts that end so, without content."""
        for _ in range(times):
            attempt = self.board.of(endpoint_id, now + self.ahead).begin(now + self.ahead, is_stream=True)
            self.board.end(attempt, outcome, now + self.ahead)

    def see(self, now, first_token_s, endpoint_id=A, speed=50.0, tokens=101, *, is_stream=True):
        """Serve a request whose answer ends at `now`."""
        ended_at = now + self.ahead
        content_at = ended_at - (tokens - 1) / speed
        attempt = self.board.of(endpoint_id, ended_at).begin(content_at - first_token_s, is_stream=is_stream)
        if is_stream:
            self.board.first_token(attempt, content_at)
        self.board.end(attempt, OK, ended_at)
        self.board.replied(attempt, ended_at, content_at, tokens)

    def batches(self, now):
        return self.percentiles.batches(now + self.ahead)

    def tick(self, now, *, is_sent=True, is_answered=True):
        """Return the batches."""
        batches = self.batches(now)
        for batch in batches:
            if is_sent:
                stored = self.shelf.add(batch, now)
                if is_answered:
                    self.percentiles.learn(batch, stored, now + self.ahead)
        return batches

    def count(self, endpoint_id=A):
        histogram = self.percentiles.first_token(endpoint_id)
        return histogram.count if histogram is not None else 0.0

    def median(self, endpoint_id=A):
        histogram = self.percentiles.first_token(endpoint_id)
        return histogram.quantile(0.5) if histogram is not None else None


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def worker(shelf):
    return Worker(shelf)


class TestSeen:
    """What of an attempt is counted."""

    def test_a_stream(self, worker):
        worker.see(10.0, 0.25, speed=80.0)
        worker.tick(10.0)
        assert worker.percentiles.first_token(A).quantile(0.5) == pytest.approx(0.25, rel=PRECISION)
        assert worker.percentiles.speed(A).quantile(0.5) == pytest.approx(80.0, rel=PRECISION)
        assert worker.percentiles.speed(A).count == 1.0

    def test_a_reply_in_one_piece_shows_neither(self, worker):
        worker.see(10.0, 0.25, is_stream=False)
        (batch,) = worker.tick(10.0)
        assert batch.news == {}
        assert worker.percentiles.first_token(A) is None
        assert worker.percentiles.speed(A) is None

    @pytest.mark.parametrize("tokens", [0, 7])
    def test_a_short_stream_has_no_speed(self, worker, tokens):
        worker.see(10.0, 0.25, tokens=tokens)
        worker.tick(10.0)
        assert worker.count() == 1.0
        assert worker.percentiles.speed(A).quantile(0.5) is None

    def test_a_stream_that_comes_at_once_is_as_fast_as_can_be(self, worker):
        worker.see(10.0, 0.25, speed=1e12)
        worker.tick(10.0)
        assert worker.percentiles.speed(A).quantile(0.5) == SPEED.value(SPEED.last)

    def test_nothing_is_counted_twice(self, worker):
        worker.see(10.0, 0.25)
        for now in (10.0, 12.0, 14.0):
            worker.tick(now)
        assert worker.count() == pytest.approx(1.0, rel=0.01)

    def test_percentiles_are_those_of_the_values(self, worker):
        rng = random.Random(4)
        waits = sorted(rng.lognormvariate(-1.0, 0.8) for _ in range(3000))
        for wait in waits:
            worker.see(10.0, wait)
        worker.tick(10.0)
        for q in (0.01, 0.5, 0.9, 0.95, 0.99, 1.0):
            assert worker.percentiles.first_token(A).quantile(q) == pytest.approx(
                waits[int(q * 3000) - 1], rel=PRECISION
            )


class TestFleet:
    def test_workers_learn_of_each_other(self, shelf):
        one, other = Worker(shelf, "one"), Worker(shelf, "other", ahead=1e6)
        for _ in range(3):
            one.see(10.0, 0.1)
        other.see(10.0, 0.4)
        one.tick(10.0)
        other.tick(10.0)
        one.see(12.0, 0.1)
        one.tick(12.0)
        other.see(12.0, 0.4)
        other.tick(12.0)
        assert other.count() == pytest.approx(6.0, rel=0.01)
        assert one.count() == pytest.approx(5.0, rel=0.01)
        assert other.median() == pytest.approx(0.1, rel=PRECISION)

    @given(
        seed=st.randoms(use_true_random=False),
        faults=st.lists(st.sampled_from(["none", "none", "request", "answer"]), min_size=1, max_size=40),
    )
    def test_all_arrives_once_whatever_is_lost_on_the_way(self, seed, faults):
        shelf = Shelf()
        workers = [Worker(shelf, f"w{n}", ahead=seed.uniform(0, 1e6)) for n in range(3)]
        for worker in workers:
            worker.meet(1.5)
        now, all_seen, minutes = 10.5, [], {A: {}, B: {}}
        for fault in faults:
            worker = seed.choice(workers)
            for _ in range(seed.randrange(5)):
                all_seen.append((now, seed.choice([A, B]), seed.uniform(0.001, 700.0)))
                worker.see(now, all_seen[-1][2], all_seen[-1][1])
                add_minutes(minutes[all_seen[-1][1]], {int(now // 60): (1, 1)})
            worker.tick(now, is_sent=fault != "request", is_answered=fault == "none")
            now += seed.choice([2.0, 2.0, 77.0])
        for worker in workers * 2:  # what was not acknowledged, and what has come since
            worker.tick(now)
            now += 1.0
        for endpoint_id in (A, B):
            expected = {}
            for at, where, first_token_s in all_seen:
                if where == endpoint_id:
                    for bucket in (FIRST_TOKEN.bucket(math.log(first_token_s)), FIFTY):
                        add(expected, decayed({bucket: 1.0}, now - at))
            at, found = shelf.counts.get(endpoint_id, (now, {}))
            assert decayed(found, now - at) == pytest.approx(expected)
            assert shelf.minutes.get(endpoint_id, {}) == minutes[endpoint_id]

    def test_what_was_seen_fades(self, worker):
        for _ in range(8):
            worker.see(10.0, 0.1)
        worker.tick(10.0)
        worker.ask(10.0 + 2 * HALF_LIFE_S)
        worker.tick(10.0 + 2 * HALF_LIFE_S)
        assert worker.count() == pytest.approx(2.0)

    def test_what_is_slow_now_outweighs_what_was_fast_once(self, worker):
        for _ in range(100):
            worker.see(10.0, 0.1)
        worker.tick(10.0)
        for _ in range(30):
            worker.see(10.0 + 2 * HALF_LIFE_S, 3.0)
        worker.tick(10.0 + 2 * HALF_LIFE_S)
        assert worker.median() == pytest.approx(3.0, rel=PRECISION)


class TestMinutes:
    """What is counted for uptime; what it is worth, test_minutes.py says."""

    FAILURE = Outcome(Verdict.TRANSIENT, 500)

    def test_all_workers_count_into_the_same_minute(self, shelf):
        workers = [Worker(shelf, f"w{n}", ahead=n * 12_345.6) for n in range(3)]
        for worker in workers:
            worker.meet(100.0)
            worker.end(130.0, OK, 4)
            worker.end(130.0, self.FAILURE, 2)
            worker.end(130.0, GONE, 50)
            worker.tick(130.0)
        assert shelf.minutes == {A: {2: (18, 12)}}

    def test_an_attempt_counts_when_it_is_over(self, shelf, worker):
        worker.meet(100.0)
        attempt = worker.board.of(A, 119.0).begin(119.0, is_stream=True)
        worker.board.first_token(attempt, 119.5)
        worker.tick(119.0)
        worker.board.end(attempt, OK, 185.0)
        worker.tick(186.0)
        assert shelf.minutes == {A: {3: (1, 1)}}

    def test_what_was_counted_before_the_store_was_met_is_told_after_it(self, shelf):
        worker = Worker(shelf, ahead=3_600.0)
        for now in (0.0, 60.0, 120.0):
            worker.end(now, OK, 10)
            worker.tick(now, is_sent=False)
        assert worker.percentiles.uptime(A) == Uptime(100.0, 100.0, 100.0)
        worker.tick(122.0)
        assert shelf.minutes == {}
        worker.tick(124.0)
        assert shelf.minutes == {A: {0: (10, 10), 1: (10, 10), 2: (10, 10)}}
        assert worker.batches(126.0) == []

    def test_while_the_store_is_away_each_attempt_stays_in_its_minute(self, shelf, worker):
        worker.meet(0.0)
        for now in range(2, 400, 2):
            worker.end(float(now), OK)
            worker.tick(float(now), is_sent=False)
        for now in (400.0, 402.0):
            worker.tick(now)
        assert shelf.minutes == {A: {0: (29, 29), **dict.fromkeys(range(1, 6), (30, 30)), 6: (20, 20)}}

    def test_the_worker_knows_what_the_store_said_and_what_it_has_not_confirmed(self, shelf):
        one, other = Worker(shelf, "one"), Worker(shelf, "other", ahead=777.0)
        one.meet(0.0)
        one.end(2.0, self.FAILURE, 10)
        one.tick(2.0)
        other.board.of(A, DAYS_S)
        other.meet(DAYS_S)
        other.end(DAYS_S, OK)
        assert other.percentiles.uptime(A) == Uptime(0.0, 0.0, 0.0)
        other.tick(DAYS_S + 2.0, is_sent=False)
        other.end(DAYS_S + 4.0, OK, 9)
        other.tick(DAYS_S + 4.0, is_sent=False)
        assert other.percentiles.uptime(A) == Uptime(50.0, 50.0, 50.0)
        assert other.percentiles.seen(A) == Seen(None, None, Uptime(50.0, 50.0, 50.0))

    def test_of_what_nobody_knows_there_is_none(self, worker):
        assert worker.percentiles.uptime("unheard of") == NO_UPTIME
        worker.meet(10.0)
        assert worker.percentiles.uptime(A) == NO_UPTIME

    def test_days_are_asked_for_once_in_a_while(self, worker):
        worker.board.of(B, 0.0)
        asks = {}
        for now in range(10, 140, 2):
            worker.end(float(now), OK)
            for batch in worker.tick(float(now)):
                if batch.asks:
                    asks[now] = set(batch.asks)
        assert asks == {10: {A, B}, 70: {A, B}, 130: {A, B}}

    def test_only_what_can_be_numbered_is_told(self, worker):
        worker.end(10.0, OK)
        (reading,) = worker.tick(10.0)
        assert (reading.number, reading.minutes) == (0, {})


class TestWhatIsSent:
    def test_only_groups_with_news_and_of_them_what_was_touched(self, worker):
        worker.meet(8.0)
        worker.see(10.0, 0.1)
        worker.board.of(B)
        worker.board.of("a:acme/small")
        (batch,) = worker.tick(10.0)
        assert (batch.group, batch.worker) == (MODEL, "w")
        assert batch.news == {A: {TENTH: 1.0, FIFTY: 1.0}}
        assert batch.minutes == {A: {0: (1, 1)}}
        assert worker.batches(12.0) == []

    def test_an_idle_group_is_read_for_as_long_as_it_is_asked_for(self, worker):
        worker.ask(10.0)
        reads = [now for now in range(10, 200, 2) if worker.tick(float(now))]
        assert reads == list(range(10, 10 + int(FORGOTTEN_S), int(READ_S)))

    def test_a_reading_tells_nothing(self, worker):
        worker.ask(10.0)
        (batch,) = worker.tick(10.0)
        assert (batch.number, batch.news) == (0, {})

    def test_accounts_have_none(self, worker):
        worker.ask(10.0)
        worker.board.of(A, 10.0)
        worker.board.asked(MODEL, 20.0)
        assert [batch.group for batch in worker.batches(20.0)] == [MODEL]

    @pytest.mark.parametrize(("fleet", "every_s"), [(4, 2), (1200, 6), (1_000_000, 10)])
    def test_large_fleets_tell_less_often(self, worker, fleet, every_s):
        worker.board.group(MODEL).fleet = fleet
        sent = 0
        for now in range(10, 130, 2):
            worker.see(float(now), 0.1)
            sent += len(worker.tick(float(now)))
        assert sent == 120 / every_s
        assert worker.count() == pytest.approx(60.0, rel=0.2)

    def test_the_same_number_until_it_is_acknowledged(self, worker):
        worker.see(10.0, 0.1)
        (first,) = worker.tick(10.0, is_answered=False)
        number = first.number
        worker.see(12.0, 0.2)
        (again,) = worker.tick(12.0)
        assert again.number == number
        assert again.news[A].keys() == {TENTH, FIFTY}
        (later,) = worker.tick(14.0)
        assert later.number > number
        assert later.news[A][FIFTH] == pytest.approx(1.0, rel=0.01)

    def test_a_group_that_comes_back_is_heard(self, worker):
        """Its numbers go on where they were."""
        for now in (10.0, 12.0, 14.0):
            worker.see(now, 0.1)
            worker.tick(now)
        worker.board.forget_all_but(set())
        worker.tick(16.0)
        assert worker.percentiles.first_token(A) is None
        worker.see(18.0, 0.1)
        worker.tick(18.0)
        assert worker.count() == pytest.approx(4.0, rel=0.05)

    def test_an_answer_for_a_group_that_is_gone_changes_nothing(self, worker):
        worker.see(10.0, 0.1)
        (batch,) = worker.batches(10.0)
        worker.board.forget_all_but(set())
        worker.batches(12.0)
        worker.percentiles.learn(batch, worker.shelf.add(batch, 12.0), 12.0)
        assert worker.percentiles.first_token(A) is None


class TestStoreAway:
    def test_it_goes_on_with_what_it_sees_itself(self, worker):
        for _ in range(3):
            worker.see(10.0, 0.1)
        worker.tick(10.0)
        for now in (12.0, 14.0, 16.0):
            for _ in range(2):
                worker.see(now, 1.0)
            worker.tick(now, is_sent=False)
        assert worker.count() == pytest.approx(9.0, rel=0.05)
        assert worker.median() == pytest.approx(1.0, rel=PRECISION)

    def test_a_day_of_it_costs_no_memory(self, worker):
        rng = random.Random(2)
        for now in range(0, 86_400, 40):
            worker.see(float(now), rng.lognormvariate(-1, 3), speed=rng.lognormvariate(4, 3))
            (batch,) = worker.tick(float(now), is_sent=False)
        assert len(batch.news[A]) <= BUCKETS
        (group,) = worker.percentiles._groups.values()
        assert len(group.unacknowledged) == 1
        assert len(group.backlog[A]) <= BUCKETS
        assert len(group.minutes.untold[A]) <= DAY
        worker.tick(86_400.0)
        worker.tick(86_400.0 + TICK_S)
        assert worker.count() == pytest.approx(HALF_LIFE_S / 40 / 0.693, rel=0.1)

    def test_it_is_all_there_when_the_store_is_back(self, worker):
        for now in (10.0, 12.0, 14.0):
            worker.see(now, 0.1)
            worker.tick(now, is_sent=False)
        for now in (16.0, 18.0):
            worker.tick(now)
        assert worker.count() == pytest.approx(3.0, rel=0.05)
        _, counts = worker.shelf.counts[A]
        assert counts[TENTH] == pytest.approx(3.0, rel=0.05)


class TestStoreEmptied:
    @pytest.fixture
    def workers(self, shelf):
        """Three who know of ten observations."""
        workers = [Worker(shelf, f"w{n}") for n in range(3)]
        for worker in workers:
            worker.meet(10.0 - READ_S)
        for _ in range(10):
            workers[0].see(10.0, 0.1)
        for worker in workers:
            worker.ask(10.0)
            worker.tick(10.0)
        shelf.empty()
        return workers

    def test_the_first_to_notice_gives_back_what_was_known(self, shelf, workers):
        for now in (20.0, 22.0, 24.0):
            for worker in workers:
                worker.tick(now)
        _, counts = shelf.counts[A]
        assert counts[TENTH] == pytest.approx(10.0, rel=0.1)
        assert set(shelf.seen) == {RESTORER}
        assert [worker.count() for worker in workers] == pytest.approx([10.0] * 3, rel=0.1)

    def test_news_come_to_it(self, shelf, workers):
        for now in (12.0, 14.0, 16.0):
            for worker in workers:
                worker.see(now, 0.1)
                worker.tick(now)
        _, counts = shelf.counts[A]
        assert counts[TENTH] == pytest.approx(19.0, rel=0.1)

    def test_nobody_is_without_meanwhile(self, workers):
        one = workers[0]
        one.tick(20.0)
        assert one.count() == pytest.approx(10.0, rel=0.1)

    def test_it_may_be_emptied_again_before_that(self, shelf, workers):
        for now in (20.0, 22.0):
            for worker in workers:
                worker.see(now, 0.1)
                assert len(worker.tick(now, is_answered=now < 22)) <= 2
            shelf.empty()
        for now in (24.0, 26.0):
            for worker in workers:
                worker.tick(now)
        _, counts = shelf.counts[A]
        assert counts[TENTH] == pytest.approx(10.0, rel=0.4)


class TestViews:
    def test_of_what_nobody_knows_there_are_none(self, worker):
        assert worker.percentiles.first_token(A) is None
        assert worker.percentiles.speed("unheard of") is None

    def test_one_is_made_once_a_tick(self, worker):
        worker.see(10.0, 0.1)
        worker.tick(10.0)
        first = worker.percentiles.first_token(A)
        assert worker.percentiles.first_token(A) is first
        worker.see(11.0, 0.1)
        assert worker.percentiles.first_token(A) is first
        worker.tick(12.0)
        assert worker.percentiles.first_token(A) is not first
