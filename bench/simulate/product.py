"""The gateway's own routing in the simulator: the one file that imports from `fairlead`.

The core runs as it does in life; simulated are the relay, as far as it picks and leaves, and what carries the flushes
(`HealthSync`). A worker has one call under way at most; it takes the store's round trip, and is lost after a time-out
when the store is away. Changes of state are published. All clocks have origins of their own.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from bench.simulate.attempt import Attempt, EndpointId, Kind, Outcome
from bench.simulate.policy import View
from bench.simulate.requests import Request
from bench.simulate.store import RTT_S
from fairlead.catalog.model import Catalog, Endpoint, Model, Price, Provider
from fairlead.health import endpoint as health
from fairlead.health.board import FLUSH_S, GroupHealth, HealthBoard
from fairlead.health.breaker import BreakerLimits
from fairlead.health.merge import Group, Probe, merge, report_probe
from fairlead.health.outcome import Outcome as Judged
from fairlead.health.outcome import Verdict
from fairlead.health.record import Change, Flush, Snapshot, pack, unpack
from fairlead.plan.plan import Planner
from fairlead.plan.score import Ask, Weights

LIMITS = BreakerLimits(probe_s=6.0)
"""A probe may take as long as the simulated gateway waits for a first byte, and a second."""
WEIGHTS = Weights()
URGENT_S = 0.005
"""How long urgent news are collected."""
TIMEOUT_S = 0.25

_MODEL = Model("simulated/model", "Simulated")
_STORE_ORIGIN_S = 1_000.0
_WORKER_ORIGIN_S = 17.0
_VERDICTS: Mapping[Kind, Verdict] = {
    Kind.OK: Verdict.OK,
    Kind.ERROR: Verdict.TRANSIENT,
    Kind.TIMEOUT: Verdict.TIMEOUT,
    Kind.LIMITED: Verdict.LIMIT,
    Kind.CUT: Verdict.CUT,
    Kind.GONE: Verdict.GONE,
    Kind.LEFT: Verdict.EVACUATED,
}
_Result = tuple[str, str, int, Probe]


class _Store:
    """Redis with the health script: the product's own merge, at the store's own time."""

    def __init__(self, rng: random.Random) -> None:
        self.calls = 0
        self._groups: dict[str, Group] = {}
        self._rng = rng

    def flush_all(self) -> None:
        """Lose everything."""
        self._groups.clear()

    def merge(self, flush: Flush, now: float) -> tuple[Snapshot, list[Change]]:
        """Run the script. What it returns is a copy, as everything is that has come over a wire."""
        self.calls += 1
        now += _STORE_ORIGIN_S
        snapshot, changes = merge(self._group(flush.group), flush, now, LIMITS)
        records = {name: unpack(pack(record)) for name, record in snapshot.records.items()}
        return Snapshot(now, snapshot.workers, records, dict(snapshot.granted)), changes

    def report(self, result: _Result, now: float) -> list[Change]:
        """Hear how a probe ended."""
        self.calls += 1
        group, endpoint, epoch, probe = result
        now += _STORE_ORIGIN_S
        return report_probe(self._group(group), endpoint, epoch, probe, now, self._rng.random(), LIMITS)

    def _group(self, name: str) -> Group:
        return self._groups.setdefault(name, Group(name))


class _Worker:
    """One worker process: its board, its planner, and the task that talks to the store."""

    def __init__(self, number: int, fleet: "Product", workers: int, rng: random.Random) -> None:
        self._fleet = fleet
        self._view = fleet.view
        self._rng = rng
        self.origin = number * _WORKER_ORIGIN_S
        self.board = HealthBoard(LIMITS, worker=f"worker-{number}", rng=rng, fleet=workers)
        self.board.urgent = self._hurry
        self.planner = Planner(self.board, rng, 1 / workers, WEIGHTS)
        self.attempts: dict[Attempt, health.Attempt] = {}
        self._now = 0.0
        self._is_calling = False
        self._is_wanted = False
        self._turn = 0
        self._at(rng.random() * FLUSH_S, self._flush, self._turn)

    def seen(self, now: float) -> float:
        """Return the time on this worker's clock."""
        self._now = now
        return now + self.origin

    def _at(self, when: float, call: Callable[..., None], *args: object) -> None:
        self._view.at(when, call, *args, when)

    def _rest(self, now: float) -> None:
        """Wait for the next flush, as `HealthSync.run`."""
        self._is_calling = False
        self._turn += 1
        self._at(now + (URGENT_S if self._is_wanted else FLUSH_S), self._flush, self._turn)

    def _hurry(self) -> None:
        if not self._is_wanted:
            self._is_wanted = True
            if not self._is_calling:
                self._rest(self._now)

    def _flush(self, turn: int, now: float) -> None:
        """Send what there is, as `HealthSync.flush`; unless it has been sent since."""
        if turn != self._turn:
            return
        self._is_wanted = False
        self._is_calling = True
        flushes, results = self.board.flushes(self.seen(now)), self.board.results()
        if self._view.store.is_up(now):
            self._at(now + RTT_S / 2, self._arrive, flushes, results)
        elif flushes or results:
            self._at(now + TIMEOUT_S, self._lose, results)
        else:
            self._rest(now)

    def _arrive(self, flushes: Sequence[Flush], results: Sequence[_Result], now: float) -> None:
        answers = []
        for flush in flushes:
            snapshot, changes = self._fleet.store.merge(flush, now)
            answers.append((flush, snapshot))
            self._publish(changes, now)
        self._at(now + RTT_S / 2, self._learn, answers, results)

    def _learn(self, answers: Sequence[tuple[Flush, Snapshot]], results: Sequence[_Result], now: float) -> None:
        self.board.is_alone = False
        for flush, snapshot in answers:
            self.board.learn(flush, snapshot, self.seen(now))
        if results:
            self._at(now + RTT_S / 2, self._report, results)
        else:
            self._rest(now)

    def _report(self, results: Sequence[_Result], now: float) -> None:
        for result in results:
            self._publish(self._fleet.store.report(result, now), now)
        self._rest(now + RTT_S / 2)

    def _lose(self, results: list[_Result], now: float) -> None:
        self.board.is_alone = True
        self.board.keep_results(results)
        self.board.go_alone(self.seen(now))
        self._rest(now)

    def _publish(self, changes: Sequence[Change], now: float) -> None:
        for change in changes:
            for worker in self._fleet.workers:
                self._at(now + self._view.store.publish_s(self._rng), worker.hear, change)

    def leave(self, attempt: Attempt) -> None:
        """Give an attempt up, a moment later, as a task that is told to end."""
        self._view.at(self._now, self._view.leave, attempt)

    def hear(self, change: Change, now: float) -> None:
        """Take in what was published."""
        self.board.hear(change, self.seen(now))


class Product:
    """The fleet."""

    def start(self, view: View, workers: int, rng: random.Random) -> None:
        """Begin with boards that know nothing and an empty store."""
        self.view = view
        self.store = _Store(rng)
        self.workers = [_Worker(number, self, workers, rng) for number in range(workers)]
        for at in view.store.flushes:
            view.at(at, self.store.flush_all)
        self._endpoints = [_endpoint(number, price) for number, price in enumerate(view.prices)]
        self._numbers = {endpoint.id: number for number, endpoint in enumerate(self._endpoints)}
        self._catalog = Catalog({}, {}, {})

    @property
    def store_calls(self) -> int:
        """Runs of the script."""
        return self.store.calls

    def listed(self, now: float, endpoints: Sequence[EndpointId]) -> None:
        """A new catalogue."""
        listed = tuple(self._endpoints[number] for number in endpoints)
        self._catalog = Catalog(MappingProxyType({_MODEL.id: _MODEL}), MappingProxyType({_MODEL.id: listed}), {})
        for worker in self.workers:
            worker.board.forget_all_but({endpoint.id for endpoint in listed})

    def order(self, now: float, worker: int, request: Request) -> Sequence[EndpointId]:
        """The plan."""
        there = self.workers[worker]

        def ask(group: GroupHealth) -> Ask:
            return Ask(
                prompt_tokens=request.prompt_tokens,
                output_tokens=group.out_tokens,
                alpha=self.view.alpha,
                gamma=self.view.gamma,
                session=0 if request.session is None else _hashed(request.session),
            )

        plan = there.planner.plan(self._catalog, _MODEL.id, ask, there.seen(now))
        assert plan is not None, "the catalogue lists nobody"
        return [self._numbers[candidate.endpoint.id] for candidate in plan.candidates]

    def again(self, now: float, worker: int, left: Sequence[EndpointId]) -> EndpointId:
        """The first who has not become unfit since the plan was made."""
        there = self.workers[worker]
        seen = there.seen(now)
        fit = (number for number in left if not there.board.of(self._endpoints[number].id).is_out(seen))
        return next(fit, left[0])

    def began(self, now: float, worker: int, attempt: Attempt) -> None:
        """An attempt is under way."""
        there = self.workers[worker]
        state = there.board.of(self._endpoints[attempt.endpoint].id, there.seen(now))
        ours = there.attempts[attempt] = state.begin(there.seen(now), is_stream=True)
        if attempt.rest:
            ours.leave = lambda: there.leave(attempt)

    def first_token(self, now: float, worker: int, attempt: Attempt) -> None:
        """Content begins to come."""
        there = self.workers[worker]
        there.board.first_token(there.attempts[attempt], there.seen(now))

    def ended(self, now: float, worker: int, attempt: Attempt, outcome: Outcome) -> None:
        """An attempt is over, and settled if it was well."""
        there = self.workers[worker]
        ours = there.attempts.pop(attempt)
        judged = Judged(_VERDICTS[outcome.kind], retry_after_s=outcome.retry_after_s or None)
        there.board.end(ours, judged, there.seen(now))
        if outcome.kind is Kind.OK and attempt.first_token_at is not None:
            first_token_at = attempt.first_token_at + there.origin
            there.board.replied(ours, there.seen(now), first_token_at, outcome.tokens)


def _endpoint(number: int, price: float) -> Endpoint:
    unit = round(price * 1_000_000)
    provider = Provider(f"p{number}", f"P{number}", "http://localhost", price=Price(unit, 4 * unit))
    return Endpoint(provider, _MODEL, "simulated", provider.price)


def _hashed(session: int) -> int:
    """A hash as that of a prompt's beginning: any number but 0, far from its neighbours'."""
    return (session + 1) * 0x9E3779B97F4A7C15 % (1 << 61)
