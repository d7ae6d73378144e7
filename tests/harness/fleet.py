"""A fleet of workers and the store they share, in one process and on a clock that a test moves.

Boards and merging are the product's own; what stands in for the network is told what to do with each message. Every
worker's clock has an origin of its own, and so has the store's.
"""

import heapq
import math
import random
from dataclasses import replace

from fairlead.health.board import FLUSH_S, HealthBoard
from fairlead.health.breaker import BreakerLimits
from fairlead.health.merge import Group, merge, report_probe
from fairlead.health.outcome import GONE, OK, Outcome, Verdict
from fairlead.health.record import Snapshot

A, B = "p:m", "q:m"
FAILURE = Outcome(Verdict.TRANSIENT, 500)
STORE_ORIGIN_S = 50_000.0
WORKER_ORIGIN_S = 1_000.0
_SIGMA = math.sqrt(math.log(1.0 + 0.7 * 0.7))


def copy_of(flush):
    """What is on its way does not change any more."""
    increments = {endpoint: replace(news, sums=list(news.sums)) for endpoint, news in flush.increments.items()}
    return replace(flush, increments=increments)


class Store:
    """`is_up`, and what was granted and published, in order."""

    def __init__(self, fleet, limits):
        self._fleet = fleet
        self.limits = limits
        self.is_up = True
        self.groups = {}
        self.grants = []
        self.changes = []

    @property
    def now(self):
        return self._fleet.now + STORE_ORIGIN_S

    def group(self, name):
        return self.groups.setdefault(name, Group(name))

    def record(self, endpoint):
        return self.group(endpoint.partition(":")[2] or endpoint).records.get(endpoint)

    def merge(self, flush):
        """Answer with a copy, as everything is that comes over a wire."""
        group = self.group(flush.group)
        snapshot, changes = merge(group, copy_of(flush), self.now, self.limits)
        self.grants += [(flush.worker, endpoint, epoch) for endpoint, epoch in snapshot.granted.items()]
        self.publish(changes)
        records = {endpoint: replace(record, sums=list(record.sums)) for endpoint, record in snapshot.records.items()}
        return Snapshot(snapshot.now, snapshot.workers, records, dict(snapshot.granted))

    def report(self, result):
        group, endpoint, epoch, probe = result
        self.publish(report_probe(self.group(group), endpoint, epoch, probe, self.now, 0.0, self.limits))

    def publish(self, changes):
        self.changes += changes
        for change in changes:
            for worker in self._fleet.workers:
                if worker.does_hear:
                    worker.board.hear(change, worker.now)

    def forget(self):
        """FLUSHALL, or a failover to an empty replica."""
        self.groups.clear()


class Worker:
    """A process: its board, and what carries the board's news, as `store.health.HealthSync` does."""

    def __init__(self, fleet, number, workers, rng):
        self._fleet = fleet
        self.name = f"w{number}"
        self.origin = number * WORKER_ORIGIN_S
        self.board = HealthBoard(fleet.store.limits, worker=self.name, rng=rng, fleet=workers)
        self.does_hear = True
        self.is_cut_off = False
        self._away = set()
        """Groups of which the store has last not answered."""
        self.changes = []
        """That it came to by itself, without the store."""

    @property
    def now(self):
        return self._fleet.now + self.origin

    def health(self, endpoint):
        return self.board.of(endpoint, self.now)

    def begin(self, endpoint, *, is_stream=True):
        health = self.health(endpoint)
        self.board.asked(endpoint.partition(":")[2], self.now)
        return health.begin(self.now, is_stream=is_stream)

    def first_token(self, attempt):
        self.board.first_token(attempt, self.now)

    def end(self, attempt, outcome):
        self.board.end(attempt, outcome, self.now)

    def sync(self, *, loses_answers=False, hold=None):
        """One turn of the task that talks to the store.

        `loses_answers`: what is sent arrives, what is answered does not. `hold`: a list that takes the messages instead
        of the store; the worker gets no answer.
        """
        board, store = self.board, self._fleet.store
        board.suspect()
        flushes, results = board.flushes(self.now), board.results()
        flushes += [board.reading(name, self.now) for name in self._away - {flush.group for flush in flushes}]
        names = {flush.group for flush in flushes}
        if hold is not None:
            hold += map(copy_of, flushes)
        elif self.is_cut_off or not store.is_up:
            loses_answers = True
        else:
            answers = [store.merge(flush) for flush in flushes]
            if not loses_answers:
                for flush, answer in zip(flushes, answers, strict=True):
                    board.learn(flush, answer, self.now)
                self._away -= names
                while results:
                    store.report(results.pop(0))
        board.keep_results(results)
        if loses_answers or hold is not None:
            self._away |= names
        if self._away:
            self.changes += board.go_alone(self.now, self._away)


class Fleet:
    """`workers` of them; `now` is the true time."""

    def __init__(self, workers=1, limits=None, seed=0):
        self.now = 0.0
        self.store = Store(self, limits or BreakerLimits(jitter=0.0))
        self.rng = random.Random(seed)
        self.workers = [Worker(self, number, workers, self.rng) for number in range(workers)]

    def sync(self):
        for worker in self.workers:
            worker.sync()

    def wait(self, seconds=FLUSH_S):
        """Let time pass in which every worker has its turns."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now = min(self.now + FLUSH_S, end)
            self.sync()

    def drive(self, endpoint, seconds, rate, first_token_s, *, outcome_of=lambda rng: OK, patience_s=math.inf):
        """Let `rate` streams a second begin at random times, at workers in turn; yield at each tick.

        `first_token_s(true time)` is the mean of the time to the first token, which scatters as that of hosted models
        (log-normal, coefficient of variation 0.7); infinite: none ever comes. Who has waited for `patience_s` fails.
        """
        end, begins, tick = self.now + seconds, self.now + self.rng.expovariate(rate), self.now + FLUSH_S
        waiting = []
        number = 0
        while True:
            ends = waiting[0][0] if waiting else math.inf
            self.now = min(begins, tick, ends, end)
            if self.now >= end - 1e-9:
                break
            if self.now == tick:
                tick += FLUSH_S
                self.sync()
                yield self.now
            elif self.now == ends:
                _, _, worker, attempt, will_come = heapq.heappop(waiting)
                if will_come:
                    worker.first_token(attempt)
                    worker.end(attempt, outcome_of(self.rng))
                else:
                    worker.end(attempt, Outcome(Verdict.TIMEOUT, phase="first_byte"))
            else:
                begins += self.rng.expovariate(rate)
                worker = self.workers[number % len(self.workers)]
                number += 1
                waits_s = first_token_s(self.now) * self.rng.lognormvariate(-_SIGMA * _SIGMA / 2.0, _SIGMA)
                at = self.now + min(waits_s, patience_s)
                heapq.heappush(waiting, (at, number, worker, worker.begin(endpoint), waits_s <= patience_s))
        for _, _, worker, attempt, _ in waiting:
            worker.end(attempt, GONE)


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
