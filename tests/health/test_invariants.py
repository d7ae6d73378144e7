"""What must hold whatever happens, and in whatever order (routing-reference, 4.7).

Some workers, whose clocks have nothing to do with each other, and a store; requests, crashes, partitions, answers that
get lost, messages that arrive twice or late, a store that comes back empty.
"""

import math
import random
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fairlead.health import sums
from fairlead.health import sums as ix
from fairlead.health.board import FLUSH_S, LONE
from fairlead.health.breaker import BreakerLimits
from fairlead.health.merge import Probe
from fairlead.health.outcome import GONE, OK, Counts, Outcome, Verdict
from fairlead.health.record import State
from harness.fleet import Fleet, Store, Worker

V = Verdict
LIMITS = BreakerLimits(jitter=0.0)
ENDPOINTS = ("p:m", "q:m", "r:m")
COUNTED = {
    "attempt": (ix.A2, ix.A20), "failure": (ix.F2, ix.F20), "end": (ix.S3, ix.S60), "cut": (ix.M3, ix.M60),
    "first token": (ix.N1, ix.N5, ix.N20, ix.N120), "load": (ix.R0,),
}  # fmt: skip
"""What is counted as 1, and where. What is not (seconds, tokens) goes the same way, in the same vectors."""
SCALED = dict.fromkeys((ix.F2, ix.F20, ix.M3, ix.M60), LIMITS.keep_errors)
SCALED |= dict.fromkeys((ix.N1, ix.N5, ix.N20), LIMITS.keep_latency)


class Event:
    """Something that a worker counted once. `at` and `weights` are of the true time, once its tick has dated it."""

    def __init__(self, endpoint, kind):
        self.endpoint = endpoint
        self.weights = dict.fromkeys(COUNTED[kind], 1.0)
        self.at = None
        self.number = None
        """Of the batch that it was sent with."""
        self.is_applied = False


class Books:
    """A second account of everything that is counted: each event by itself, and which are in the store."""

    def __init__(self):
        self.events = defaultdict(list)
        """By worker. Applied ones too."""
        self.tallies = {}
        self.batches = {}
        """By worker: the number of the last that was seen."""

    def note(self, worker, endpoint, *kinds):
        self.events[worker.name] += [Event(endpoint, kind) for kind in kinds]

    def date(self, worker, now):
        """To be called whenever a worker may have ticked: what it has counted has that date now, and maybe a batch."""
        batch = worker.board.group("m").batch
        for endpoint in ENDPOINTS:
            tally = worker.health(endpoint).tally
            if self.tallies.get((worker.name, endpoint)) is not tally:
                self.tallies[worker.name, endpoint] = tally
                for event in self.events[worker.name]:
                    if event.endpoint == endpoint and event.at is None:
                        event.at = now
        if batch is not None and batch.number != self.batches.get(worker.name):
            self.batches[worker.name] = batch.number
            for event in self.events[worker.name]:
                if event.endpoint in batch.increments and event.at is not None and event.number is None:
                    event.number = batch.number

    def apply(self, flush, late_s):
        """The store has taken a flush, which was sent `late_s` ago: to the store, that is when it all happened."""
        for event in self.events[flush.worker]:
            if event.number == flush.number and not event.is_applied:
                event.is_applied = True
                event.at += late_s

    def recover(self, endpoint):
        """A recovery forgets part of what is in the store."""
        for event in self.applied(endpoint):
            for index in event.weights.keys() & SCALED.keys():
                event.weights[index] *= SCALED[index]

    def applied(self, endpoint):
        return [e for events in self.events.values() for e in events if e.is_applied and e.endpoint == endpoint]

    def direct(self, endpoint, now):
        """The decayed sums, each added up from its events."""
        found = dict.fromkeys((index for indexes in COUNTED.values() for index in indexes), 0.0)
        for event in self.applied(endpoint):
            for index, weight in event.weights.items():
                found[index] += weight * 2.0 ** (-(now - event.at) / sums.HALF_LIVES_S[index])
        return found


class BookedStore(Store):
    """Keeps the books of what it takes, and checks each lease when it is granted."""

    def __init__(self, fleet, limits):
        super().__init__(fleet, limits)
        self.books = Books()
        self.leases = {}
        """By endpoint: until when the last one granted is valid."""
        self.epochs = defaultdict(float)
        """The largest seen of each endpoint."""

    def merge(self, flush, sent_at=None):
        last = self.group(flush.group).flushes.get(flush.worker, (0, 0.0))[0]
        is_new = flush.number > last and flush.group == "m"
        if is_new:
            for endpoint, news in flush.increments.items():
                record = self.record(endpoint)
                if record and record.state == State.PROBING and news.used_epoch == record.epoch:
                    self.leases[endpoint] = self._fleet.now + self.limits.probe_s
        snapshot = super().merge(flush)
        if is_new:
            for worker in self._fleet.workers:
                if worker.name == flush.worker:
                    self.books.date(worker, self._fleet.now)
            self.books.apply(flush, self._fleet.now - (self._fleet.now if sent_at is None else sent_at))
        for endpoint in snapshot.granted:
            assert self._fleet.now >= self.leases.get(endpoint, -math.inf) - 1e-6, "two leases at a time"
            self.leases[endpoint] = self._fleet.now + self.limits.lease_s
        return snapshot

    def report(self, result):
        _, endpoint, epoch, probe = result
        record = self.record(endpoint)
        is_heard = record is not None and record.state == State.PROBING and record.epoch == epoch
        super().report(result)
        if is_heard:
            self.leases[endpoint] = -math.inf
            if probe is Probe.OK:
                self.books.recover(endpoint)
        elif record is not None:
            assert record.epoch == self.record(endpoint).epoch, "an old result has changed something"

    def forget(self):
        super().forget()
        self.leases.clear()
        self.epochs.clear()
        for events in self.books.events.values():
            events[:] = [event for event in events if not event.is_applied]


class HealthMachine(RuleBasedStateMachine):
    """Requests at three endpoints of one model, and whatever can happen to messages, workers and the store."""

    def __init__(self):
        super().__init__()
        self.fleet = Fleet(0, LIMITS)
        self.fleet.store = self.store = BookedStore(self.fleet, LIMITS)
        self.books = self.store.books
        self.attempts = []
        self.down = set()
        """Endpoints at which everything fails."""
        self.held = []
        """Messages that workers have given up, and when they were sent."""
        self.forgotten_at = -math.inf
        self.has_forgotten = False

    @initialize(workers=st.integers(1, 4), seed=st.integers(0, 99))
    def start(self, workers, seed):
        self.rng = random.Random(seed)
        for _ in range(workers):
            self.join()

    def join(self):
        number = len(self.books.events)
        worker = Worker(self.fleet, number, 1, self.rng)
        worker.origin = self.rng.uniform(-1e5, 1e5)
        self.fleet.workers.append(worker)
        for endpoint in ENDPOINTS:
            self.books.tallies[worker.name, endpoint] = worker.health(endpoint).tally
        self.books.events[worker.name] = []

    # -- requests ------------------------------------------------------------------------------------------------

    @rule(data=st.data(), endpoint=st.sampled_from(ENDPOINTS), is_stream=st.booleans())
    def begin(self, data, endpoint, is_stream):
        """Where it likes among those that are fit; anywhere if none is."""
        worker = data.draw(st.sampled_from(self.fleet.workers))
        fit = [e for e in ENDPOINTS if not worker.health(e).is_out(worker.now)]
        endpoint = endpoint if endpoint in fit or not fit else fit[0]
        self.attempts.append((worker, self.start_at(worker, endpoint, is_stream=is_stream)))

    def start_at(self, worker, endpoint, *, is_stream=True):
        health = worker.health(endpoint)
        held, was_out, believed = health.probe_epoch, health.is_out(worker.now), health.state
        attempt = worker.begin(endpoint, is_stream=is_stream)
        if believed is not State.HEALTHY and not was_out:
            assert attempt.probe_epoch == held != 0, "back in use without a probe"
            assert health.is_out(worker.now), "a lease is for one request"
        return attempt

    @precondition(lambda self: self.attempts)
    @rule(data=st.data())
    def first_token(self, data):
        worker, attempt = data.draw(st.sampled_from(self.attempts))
        if attempt.is_stream and attempt.is_waiting:
            self.content(worker, attempt)

    def content(self, worker, attempt):
        worker.first_token(attempt)
        self.books.note(worker, attempt.endpoint.id, "attempt", "first token", "load")

    @precondition(lambda self: self.attempts)
    @rule(
        data=st.data(),
        kind=st.sampled_from([*V, V.OK, V.TRANSIENT, V.TRANSIENT]),
        retry_after_s=st.sampled_from([None, 0.3]),
    )
    def end(self, data, kind, retry_after_s):
        worker, attempt = data.draw(st.sampled_from(self.attempts))
        self.attempts.remove((worker, attempt))
        self.settle(worker, attempt, Outcome(kind, 403, retry_after_s=retry_after_s))

    @rule(data=st.data(), endpoint=st.sampled_from(ENDPOINTS), times=st.integers(2, 6))
    def fail(self, data, endpoint, times):
        """So that ejections are no rarity."""
        worker = data.draw(st.sampled_from(self.fleet.workers))
        if not worker.health(endpoint).is_out(worker.now):
            for _ in range(times):
                self.settle(worker, self.start_at(worker, endpoint), Outcome(V.TRANSIENT, 500))

    def settle(self, worker, attempt, outcome):
        counts = outcome.rule.counts
        endpoint = attempt.endpoint.id
        if counts is Counts.FAILURE and not attempt.is_waiting:
            counts = Counts.BREAK
        if attempt.is_waiting and counts in (Counts.SUCCESS, Counts.FAILURE):
            self.books.note(worker, endpoint, "attempt")
        if counts is Counts.FAILURE:
            self.books.note(worker, endpoint, "failure")
        if counts in (Counts.SUCCESS, Counts.BREAK):
            self.books.note(worker, endpoint, "end")
        if counts is Counts.BREAK:
            self.books.note(worker, endpoint, "cut")
        worker.end(attempt, outcome)

    # -- the store -----------------------------------------------------------------------------------------------

    def turn(self, worker, **how):
        worker.sync(**how)
        self.books.date(worker, self.fleet.now)

    @rule(data=st.data(), fate=st.sampled_from(["arrives", "arrives", "arrives", "answer is lost", "is held"]))
    def sync(self, data, fate):
        worker = data.draw(st.sampled_from(self.fleet.workers))
        if fate == "is held":
            held = []
            self.turn(worker, hold=held)
            self.held += [(flush, self.fleet.now) for flush in held]
        else:
            self.turn(worker, loses_answers=fate == "answer is lost")

    @rule()
    def sync_all(self):
        for worker in self.fleet.workers:
            self.turn(worker)

    @precondition(lambda self: self.held and self.store.is_up)
    @rule(data=st.data())
    def deliver(self, data):
        """A message that was given up arrives after all; or once more."""
        flush, sent_at = data.draw(st.sampled_from(self.held))
        self.store.merge(flush, sent_at)

    @rule(is_up=st.booleans())
    def away(self, is_up):
        self.store.is_up = is_up

    @rule(data=st.data(), is_cut_off=st.booleans())
    def part(self, data, is_cut_off):
        data.draw(st.sampled_from(self.fleet.workers)).is_cut_off = is_cut_off

    @precondition(lambda self: self.fleet.now > 5.0)
    @rule(luck=st.integers(0, 3))
    def forget(self, luck):
        if not luck:
            self.store.forget()
            self.held.clear()  # it was another connection
            self.has_forgotten = True
            self.forgotten_at = self.fleet.now

    # -- time and fate -------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.001, 0.05, 0.1, 0.1, 0.3, 0.9, 1.0, 2.5, 14.0]))
    def wait(self, seconds):
        self.fleet.now += seconds

    @rule(ticks=st.integers(1, 25))
    def live(self, ticks):
        """Every worker serves, and talks to the store as it is meant to; replies take up to three ticks."""
        for _ in range(ticks):
            self.fleet.now += FLUSH_S
            for worker, attempt in list(self.attempts):
                if self.rng.random() < 0.4:
                    self.attempts.remove((worker, attempt))
                    is_down = attempt.endpoint.id in self.down
                    if attempt.is_stream and attempt.is_waiting and not is_down:
                        self.content(worker, attempt)
                    self.settle(worker, attempt, Outcome(V.TRANSIENT) if is_down else OK)
            for worker in self.fleet.workers:
                fit = [e for e in ENDPOINTS if not worker.health(e).is_out(worker.now)]
                self.attempts.append((worker, self.start_at(worker, self.rng.choice(fit or ENDPOINTS))))
                self.turn(worker)

    @rule(endpoints=st.sets(st.sampled_from(ENDPOINTS)))
    def break_down(self, endpoints):
        self.down = endpoints

    @precondition(lambda self: len(self.fleet.workers) > 1)
    @rule(data=st.data())
    def crash(self, data):
        """It takes along what it has not told, and another takes its place."""
        worker = data.draw(st.sampled_from(self.fleet.workers))
        self.fleet.workers.remove(worker)
        self.attempts = [(other, attempt) for other, attempt in self.attempts if other is not worker]
        self.join()

    # -- what must hold ------------------------------------------------------------------------------------------

    @invariant()
    def sums_are_possible(self):
        for group in self.store.groups.values():
            for record in group.records.values():
                s = record.sums
                regression = (ix.RX, ix.RXX, ix.RY, ix.RXY)
                assert all(value >= -1e-9 for index, value in enumerate(s) if index not in regression)
                for less, more in ((ix.F2, ix.A2), (ix.F20, ix.A20), (ix.M3, ix.S3), (ix.M60, ix.S60)):
                    assert s[less] <= s[more] + 1e-9

    @invariant()
    def epochs_only_grow(self):
        for endpoint in ENDPOINTS:
            if (record := self.store.record(endpoint)) is not None:
                assert record.epoch >= self.store.epochs[endpoint]
                self.store.epochs[endpoint] = record.epoch

    @invariant()
    def one_probe_lease_at_a_time(self):
        """Counted over those who may use one: what the store has granted, and not what a lone worker allows itself.

        A store that has forgotten whom it lent to may lend again before that has run out.
        """
        if self.fleet.now < self.forgotten_at + LIMITS.lease_s:
            return
        for endpoint in ENDPOINTS:
            holders = [
                worker.name
                for worker in self.fleet.workers
                if (health := worker.health(endpoint)).state is not State.HEALTHY
                and 0 < health.probe_epoch < LONE
                and worker.now < health.probe_until
            ]
            assert len(holders) <= 1, holders

    @invariant()
    def open_means_open(self):
        for worker in self.fleet.workers:
            for endpoint in ENDPOINTS:
                health = worker.health(endpoint)
                if health.state is not State.HEALTHY and worker.now >= health.probe_until:
                    assert health.is_out(worker.now)
                assert health.is_out(worker.now) == (health.why_not(worker.now) is not None)

    @invariant()
    def what_is_under_way_is_counted(self):
        for worker in self.fleet.workers:
            for endpoint in ENDPOINTS:
                health = worker.health(endpoint)
                ours = [attempt for _, attempt in self.attempts if attempt.endpoint is health]
                assert health.in_flight == len(ours)
                assert set(health.waiting) == {attempt for attempt in ours if attempt.is_waiting}

    def teardown(self):
        """Once all is told, the store knows everything exactly once, and the workers know what it knows."""
        if not self.fleet.workers:
            return
        self.store.is_up = True
        for worker in self.fleet.workers:
            worker.is_cut_off = False
        for worker, attempt in self.attempts:
            self.settle(worker, attempt, GONE)
        for _ in range(6):
            self.fleet.now += FLUSH_S
            self.sync_all()
        for flush, sent_at in self.held:
            self.store.merge(flush, sent_at)
        for worker in self.fleet.workers:
            self.has_told_everything(worker)
        self.fleet.now += 1.2
        for worker in self.fleet.workers:
            worker.board.asked("m", worker.now)
        self.sync_all()
        for endpoint in ENDPOINTS:
            if (record := self.store.record(endpoint)) is not None:
                self.is_known(endpoint, record)

    def has_told_everything(self, worker):
        group = worker.board.group("m")
        assert group.batch is None
        assert group.alone is None
        for endpoint in ENDPOINTS:
            health = worker.health(endpoint)
            assert not health.is_active
            assert (health.in_flight, health.waiting) == (0, {})
        assert all(event.is_applied for event in self.books.events[worker.name]), "something was lost"

    def is_known(self, endpoint, record):
        for worker in self.fleet.workers:
            health = worker.health(endpoint)
            assert (health.record.epoch, health.state) == (record.epoch, record.state)
            assert health.record.sums == pytest.approx(record.sums)
        for index, expected in self.books.direct(endpoint, self.fleet.now).items():
            found = sums.decayed(record.sums, self.store.now - record.at)[index]
            if self.has_forgotten:  # what the workers have given back comes on top
                assert found >= expected * (1.0 - 1e-6) - 1e-9
            else:
                assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


TestHealthMachine = HealthMachine.TestCase
TestHealthMachine.settings = settings(stateful_step_count=40)


class Life:
    """Fleets that live through the same: what breaks when, and as much traffic, though each sends it where it likes."""

    TICK_S = 0.125
    """Exactly, on every clock."""

    def __init__(self, workers, seed, *, limits=LIMITS):
        self.fleet = Fleet(workers, limits)
        self.rng = random.Random(seed)
        self.attempts = []
        self.down = set()

    def tick(self):
        """Each worker sends a request to an endpoint that it finds fit; replies take some ticks."""
        self.fleet.now += self.TICK_S
        for worker, attempt, at in self.attempts:
            if at <= self.fleet.now:
                is_down = attempt.endpoint.id in self.down
                if not is_down:
                    worker.first_token(attempt)
                worker.end(attempt, Outcome(V.TRANSIENT) if is_down else OK)
        self.attempts = [entry for entry in self.attempts if entry[2] > self.fleet.now]
        for worker in self.fleet.workers:
            fit = [e for e in ENDPOINTS if not worker.health(e).is_out(worker.now)]
            at = self.fleet.now + self.TICK_S * self.rng.randrange(1, 5)
            probe = next((e for e in fit if worker.health(e).probe_epoch), None)
            chosen = self.rng.choice(ENDPOINTS)
            chosen = probe or (chosen if chosen in fit or not fit else fit[0])
            self.attempts.append((worker, worker.begin(chosen), at))
            worker.sync()


FEWER = settings(max_examples=settings.default.max_examples // 5)
"""Of those that take long."""
SPANS = st.tuples(st.integers(0, 40), st.integers(1, 60)).map(lambda span: range(span[0], sum(span)))
OUTAGES = st.lists(st.tuples(st.sampled_from(ENDPOINTS), SPANS), max_size=4)


@FEWER
@given(
    workers=st.integers(2, 3),
    outages=OUTAGES,
    parted=SPANS,
    cut_off=st.sets(st.integers(0, 2), min_size=1),
    is_lost=st.booleans(),
    down=st.sets(st.sampled_from(ENDPOINTS), max_size=2),
    seed=st.integers(0, 99),
)
def test_a_fleet_that_was_parted_ends_as_one_that_was_not(workers, outages, parted, cut_off, is_lost, down, seed):
    """Within twenty seconds, the half-life of the errors. `is_lost`: the store has forgotten everything meanwhile."""
    found = []
    for is_parted in (False, True):
        life = Life(workers, seed)
        for tick in range(parted.stop + 160):
            if tick < parted.stop:
                life.down = {endpoint for endpoint, span in outages if tick in span}
            else:
                life.down = down
            for number, worker in enumerate(life.fleet.workers):
                worker.is_cut_off = worker.does_hear = is_parted and tick in parted and number in cut_off
                worker.does_hear = not worker.is_cut_off
            if is_parted and is_lost and tick == parted.stop:
                life.fleet.store.forget()
            life.tick()
        found.append([
            [worker.health(endpoint).state is State.HEALTHY for endpoint in ENDPOINTS] for worker in life.fleet.workers
        ])  # fmt: skip
        for endpoint in set(ENDPOINTS) - down:
            assert all(worker.health(endpoint).estimate.failure < 0.2 for worker in life.fleet.workers)
    assert found[0] == found[1] == [[endpoint not in down for endpoint in ENDPOINTS]] * workers


@FEWER
@given(outages=OUTAGES, seed=st.integers(0, 99))
def test_a_single_worker_decides_alike_with_the_store_and_without(outages, seed):
    lives = [Life(1, seed), Life(1, seed)]
    lives[1].fleet.store.is_up = False
    for tick in range(150):
        views = []
        for life in lives:
            life.down = {endpoint for endpoint, span in outages if tick in span}
            life.tick()
            healths = [life.fleet.workers[0].health(endpoint) for endpoint in ENDPOINTS]
            now = life.fleet.workers[0].now
            views.append([(health.state, health.why_not(now), health.in_flight) for health in healths])
            views[-1] += [
                pytest.approx((known.first_token_s, known.failure, known.in_flight, known.token_s))
                if life is lives[0]
                else (known.first_token_s, known.failure, known.in_flight, known.token_s)
                for known in (health.estimate for health in healths)
            ]
        assert views[0] == views[1]


@pytest.mark.parametrize("deaths", range(4))
def test_with_traffic_an_ejected_endpoint_is_probed(deaths):
    """However many die with the lease: each costs the time that a lease lasts."""
    life = Life(6, 1)
    life.down = {ENDPOINTS[0]}
    while life.fleet.store.record(ENDPOINTS[0]) is None or life.fleet.store.record(ENDPOINTS[0]).state == State.HEALTHY:
        life.tick()
    until = life.fleet.store.record(ENDPOINTS[0]).until - life.fleet.store.now + life.fleet.now
    for _ in range(deaths):
        before = len(life.fleet.store.grants)
        while len(life.fleet.store.grants) == before:
            life.tick()
        name = life.fleet.store.grants[-1][0]
        life.fleet.workers = [worker for worker in life.fleet.workers if worker.name != name]
        life.attempts = [entry for entry in life.attempts if entry[0].name != name]
    before = len(life.fleet.store.grants)
    while len(life.fleet.store.grants) == before:
        life.tick()
    assert life.fleet.now <= until + deaths * LIMITS.lease_s + (deaths + 2) * FLUSH_S
